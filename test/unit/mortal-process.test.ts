import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { MortalProcess, ProcessDied, RequestFailed } from "#ladm/core/mortal-process.js";
import { temporaryFolder } from "./selection-run.js";

type Request = { readonly kind: "wait" | "throw" | "die" | "sleep"; readonly ms?: number };
type Reply = { readonly kind: "done"; readonly ms: number };

const ANSWERS = `
import { answerParent } from ${JSON.stringify(new URL("../../dist/core/answer-parent.js", import.meta.url).href)};
answerParent(async ({ kind, ms = 0 }) => {
  if (kind === "throw") throw new Error("not this one");
  if (kind === "die") { console.error("last words"); process.exit(7); }
  await new Promise((resolve) => setTimeout(resolve, kind === "sleep" ? 600_000 : ms));
  return { kind: "done", ms };
});`;

async function begin(source: string, onEnd = () => undefined): Promise<MortalProcess<Request, Reply>> {
  const path = join(await temporaryFolder("ladm-mortal-"), "script.mjs");
  await writeFile(path, source);
  return new MortalProcess(pathToFileURL(path), { onEnd });
}

test("answers come in the order of the requests, whichever is done first", async () => {
  const process = await begin(ANSWERS);
  const order: number[] = [];
  const ask = async (ms: number) => order.push((await process.ask({ kind: "wait", ms })).ms);
  await Promise.all([ask(80), ask(1), ask(20)]);
  expect(order).toEqual([80, 1, 20]);
  expect(process.pending).toBe(0);
  await process.close();
});

test("a request that throws fails alone", async () => {
  const process = await begin(ANSWERS);
  const [first, second] = [process.ask({ kind: "throw" }), process.ask({ kind: "wait", ms: 1 })];
  await expect(first).rejects.toBeInstanceOf(RequestFailed);
  expect(await second).toEqual({ kind: "done", ms: 1 });
  await process.close();
});

test("a request that cannot be sent fails alone: the next one gets its own answer", async () => {
  const process = await begin(ANSWERS);
  const unsendable = { kind: "wait", ms: 1, toString: () => "a function cannot be cloned" } as const;
  await expect(process.ask(unsendable)).rejects.toThrow("could not be cloned");
  expect(process.pending).toBe(0);
  expect(await process.ask({ kind: "wait", ms: 2 })).toEqual({ kind: "done", ms: 2 });
  await process.close();
});

test("a death fails all that waits and all that comes, with its words", async () => {
  const ends: string[] = [];
  const process = await begin(ANSWERS, () => void ends.push("once"));
  const asked = [process.ask({ kind: "wait", ms: 60_000 }), process.ask({ kind: "die" })];
  const caught = await Promise.all(asked.map((one) => one.catch((error: unknown) => error)));
  for (const error of caught) {
    expect(error).toBeInstanceOf(ProcessDied);
    expect(error).toMatchObject({ end: "it ended with code 7", stderr: "last words\n" });
  }
  await expect(process.ask({ kind: "wait" })).rejects.toThrow("code 7");
  expect(ends).toEqual(["once"]);
  await process.close();
});

test("ended by its parent: the cause is the parent's; closed: at once", async () => {
  const process = await begin(ANSWERS);
  const asked = process.ask({ kind: "sleep" });
  process.kill("it was too slow");
  await expect(asked).rejects.toThrow("it was too slow");
  const other = await begin(ANSWERS);
  const waiting = other.ask({ kind: "sleep" }).catch((error: unknown) => error);
  await other.close();
  expect(await waiting).toBeInstanceOf(ProcessDied);
});

test("a script that cannot be run, and one that is not there", async () => {
  const torn = await begin("import 'no-such-package-at-all';");
  await expect(torn.ask({ kind: "wait" })).rejects.toMatchObject({
    stderr: expect.stringContaining("no-such-package-at-all") as string,
  });
  const missing = new MortalProcess<Request, Reply>(new URL("file:///no/such/script.mjs"), { onEnd: () => undefined });
  await expect(missing.ask({ kind: "wait" })).rejects.toBeInstanceOf(ProcessDied);
});

test("one that asks waits for the end of a process whose stderr is open for longer", async () => {
  const folder = await temporaryFolder("ladm-mortal-");
  const [child, parent] = [join(folder, "child.mjs"), join(folder, "parent.mjs")];
  await writeFile(
    child,
    `import { spawn } from "node:child_process";
    process.on("message", () => {
      spawn(process.execPath, ["-e", "setTimeout(() => 0, 1000)"], { stdio: ["ignore", "ignore", "inherit"] });
      process.exit(7);
    });`,
  );
  const module = new URL("../../dist/core/mortal-process.js", import.meta.url).href;
  await writeFile(
    parent,
    `import { MortalProcess } from ${JSON.stringify(module)};
    const mortal = new MortalProcess(new URL(${JSON.stringify(pathToFileURL(child).href)}), { onEnd: () => undefined });
    await mortal.ask({ kind: "die" }).catch((error) => console.log(error.end));
    await mortal.close();`,
  );
  const { stdout } = await promisify(execFile)(process.execPath, [parent]);
  expect(stdout).toBe("it ended with code 7\n");
});
