import { mkdir, readdir, readFile, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { takePart } from "#ladm/hub/part.js";
import { temporaryFolder } from "./selection-run.js";

const SUFFIX = ".ladm.incomplete";

async function makeBlobs() {
  const blobs = join(await temporaryFolder("ladm-part-"), "blobs");
  await mkdir(blobs);
  return { blobs, blob: join(blobs, "etag") };
}

test.each([
  [
    "of another container with this one's host name and process number",
    `${hostname().replaceAll(/[^\w-]/g, "_")}.${process.pid}`,
  ],
  ["of another machine", `0123456789ab-${process.pid}-5-00000000`],
])(
  "a part %s is another's while it is touched, whatever its time says, and free when it was silent",
  async (_, owner) => {
    const { blobs, blob } = await makeBlobs();
    const part = `${blob}.${owner}${SUFFIX}`;
    await writeFile(part, "bytes");
    let beats = 0;
    const longAgo = Date.now() - 1000 * 86_400_000;
    const beat = () => utimes(part, new Date(longAgo), new Date(longAgo + ++beats)).catch(() => undefined);
    await beat();
    const timer = setInterval(() => void beat(), 50);
    const taking = takePart(blob, undefined, 1500);
    await new Promise((resolve) => setTimeout(resolve, 2500));
    expect(await readdir(blobs)).toEqual([`etag.${owner}${SUFFIX}`]);
    clearInterval(timer);
    const taken = await taking;
    expect(await readFile(taken?.path ?? "", "utf8")).toBe("bytes");
    await taken?.release();
    expect(await readdir(blobs)).toEqual([`etag.free${SUFFIX}`]);
  },
);

test("two calls of one process: the second waits for the first", async () => {
  const { blobs, blob } = await makeBlobs();
  const first = await takePart(blob, undefined);
  await writeFile(first?.path ?? "", "whole");
  const second = takePart(blob, undefined);
  await first?.finish();
  expect(await second).toBeNull();
  expect(await readdir(blobs)).toEqual(["etag"]);
});
