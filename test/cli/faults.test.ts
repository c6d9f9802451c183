import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeRun } from "../unit/selection-run.js";
import { ladm, MAIN, makeInstallation } from "./command-line.js";

test("a fault of ours: exit 1, a line that asks for a report, the stack only when asked for", async () => {
  const { folder, main } = await makeInstallation(["@stricli/core"]);
  const broken = "export async function checkRun() { throw new TypeError('boom'); }";
  await writeFile(join(folder, "dist", "selection", "check.js"), broken);
  const plain = await ladm(["check", "run"], { main });
  expect(plain).toMatchObject({ code: 1, stdout: "" });
  expect(plain.stderr).toMatch(/^ladm: boom\nThis should not happen: please report it .*main\.js --version`/);
  expect(plain.stderr).not.toMatch(/^\s+at /m);
  const debug = await ladm(["check", "run"], { main, env: { LADM_DEBUG: "1" } });
  expect(debug.code).toBe(1);
  expect(debug.stderr).toMatch(/^ladm: TypeError: boom\n\s+at checkRun/);
});

test("a rejection that nobody awaits: exit 1, without a stack", async () => {
  const { folder, main } = await makeInstallation(["@stricli/core"]);
  const broken =
    "export async function checkRun() { Promise.reject(new Error('lost')); await new Promise(() => setTimeout(() => {}, 5000)); }";
  await writeFile(join(folder, "dist", "selection", "check.js"), broken);
  const { code, stderr } = await ladm(["check", "run"], { main });
  expect(code).toBe(1);
  expect(stderr).toMatch(/^ladm: lost\n/);
  expect(stderr).not.toMatch(/^\s+at /m);
});

test("a path that the system refuses is the user's mistake", async () => {
  const { run, data } = await makeRun([{ score: 1 }]);
  const { code, stderr } = await ladm(["select", run, "--count", "1", "--out", join(data, "below", "a-file")]);
  expect(code).toBe(2);
  expect(stderr).toMatch(/^ladm: .*data\.jsonl/);
  expect(stderr).not.toContain("This should not happen");
});

test.each([["stdout"], ["stderr"]] as const)("%s whose reader has gone ends quietly", async (stream) => {
  const { run } = await makeRun(Array.from({ length: 5 }, (_, row) => ({ score: row })));
  const args = stream === "stdout" ? ["show", run] : ["select", run, "--out", "x"];
  const child = spawn(process.execPath, [MAIN, ...args]);
  child[stream].destroy();
  let said = "";
  child[stream === "stdout" ? "stderr" : "stdout"].on("data", (text: Buffer) => {
    said += text.toString();
  });
  await once(child, "close");
  expect({ code: child.exitCode, said }).toEqual({ code: stream === "stdout" ? 0 : 2, said: "" });
});
