/** What is left of a preparation that is killed or finds the disk full, and what the same command makes of it. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ladm } from "../cli/command-line.js";
import { filesOf, makeDocuments, startPrepare, TOKENIZER, writeLines } from "../cli/prepare-data.js";
import { pause } from "../cli/score-data.js";
import { temporaryFolder } from "../unit/selection-run.js";

const SIZES = "--min-tokens=100 --max-length=120";
const MOUNT = "mount";
const UMOUNT = "umount";

const random = (below: number) => Math.floor(Math.random() * below);

/** A run that is always killed before it gets anywhere would never end. */
const MOST_STARTS = 40;

test.each(["hf", "parquet", "jsonl"])(
  "killed again and again: the same bytes, with --format %s",
  async (format) => {
    const folder = await temporaryFolder("ladm-prepare-kill-");
    const data = join(folder, "pool.jsonl");
    writeLines(data, makeDocuments(400), true);
    const args = (out: string, partTokens: number) =>
      `--data=${data} --tokenizer=${TOKENIZER} --out=${join(folder, out)} --format=${format} ${SIZES} --window=all --part-tokens=${partTokens}`.split(
        " ",
      );
    // One part: where parts end is not to be seen.
    expect(await startPrepare(args("undisturbed", 1e6)).ended).toMatchObject({ code: 3 });
    let kills = 0;
    let whole = false;
    for (let start = 1; start <= MOST_STARTS && !whole; start++) {
      const { child, events, ended } = startPrepare(args("out", 3000));
      // While loading and counting; among the rows; while the datasets are written.
      if (start % 4 === 0) await pause(random(500));
      else if (start % 4 === 3) await events("write", 1 + random(200));
      else await events("row", 1 + random(120));
      if (start % 2 === 0) await pause(random(15));
      child.kill("SIGKILL");
      const { code, signal } = await ended;
      whole = signal === null;
      if (whole) expect(code).toBe(3);
      else kills += 1;
    }
    expect(kills).toBeGreaterThan(2);
    expect(await startPrepare(args("out", 3000)).ended).toMatchObject({ code: 3 });
    const [got, want] = [filesOf(join(folder, "out")), filesOf(join(folder, "undisturbed"))];
    expect(Object.keys(got)).toEqual(Object.keys(want));
    for (const [name, content] of Object.entries(want))
      expect(got[name] === content, `${name} after ${kills} kills`).toBe(true);
  },
  240_000,
);

test("a full disk: exit 2, nothing looks whole, and with room the same command goes on to the same bytes", async (context) => {
  const folder = await temporaryFolder("ladm-prepare-disk-");
  const disk = join(folder, "disk");
  mkdirSync(disk);
  try {
    execFileSync(MOUNT, ["-t", "tmpfs", "-o", "size=160k", "tmpfs", disk], { stdio: "pipe" });
  } catch (error) {
    return context.skip(`no small file system can be mounted: ${String(error)}`);
  }
  try {
    const data = join(folder, "pool.jsonl");
    writeLines(data, makeDocuments(300));
    const prepare = (out: string) =>
      ladm(
        `prepare --data=${data} --tokenizer=${TOKENIZER} --out=${out} --format=jsonl ${SIZES} --part-tokens=5000 --quiet`.split(
          " ",
        ),
      );
    expect(await prepare(join(folder, "undisturbed"))).toMatchObject({ code: 0 });
    const out = join(disk, "out");
    const full = await prepare(out);
    expect(full.code).toBe(2);
    expect(full.stderr).toMatch(/ladm: The disk is full \(.*\): got ENOSPC/);
    expect(readdirSync(out).sort()).toEqual(["unfinished"]);
    expect((await prepare(out)).code).toBe(2);
    execFileSync(MOUNT, ["-o", "remount,size=16m", disk]);
    expect(await prepare(out)).toMatchObject({ code: 0 });
    expect(filesOf(out)).toEqual(filesOf(join(folder, "undisturbed")));
  } finally {
    execFileSync(UMOUNT, [disk]);
  }
});

test("a part that was changed is told, not written on", async () => {
  const folder = await temporaryFolder("ladm-prepare-broken-");
  const data = join(folder, "pool.jsonl");
  writeLines(data, makeDocuments(200));
  const args = ["--data", data, "--tokenizer", TOKENIZER, "--out", join(folder, "out"), "--min-tokens", "100"];
  const { child, events, ended } = startPrepare([...args, "--part-tokens", "1000"]);
  await events("write", 1);
  child.kill("SIGKILL");
  if ((await ended).signal === null) return;
  writeFileSync(join(folder, "out", "unfinished", "part-00001.json"), "{}\n");
  const again = await ladm(["prepare", ...args]);
  expect(again.code).toBe(2);
  expect(again.stderr).toContain("The file is not one that this version of ladm prepare writes");
});
