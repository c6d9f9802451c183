import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { ladm } from "../cli/command-line.js";
import { DOCUMENTS, FLAGS, resultsOf, rowsOf } from "../cli/score-data.js";

const MOUNT = "mount";
const UMOUNT = "umount";
const folder = mkdtempSync(join(tmpdir(), "ladm-disk-"));
const disk = join(folder, "disk");
/** A file system of its own, as only an administrator of Linux may make; null: why not. */
const refusal = mount("size=64k");
afterAll(() => {
  if (refusal === null) execFileSync(UMOUNT, [disk]);
  rmSync(folder, { recursive: true });
});

function mount(options: string): string | null {
  mkdirSync(disk, { recursive: true });
  try {
    execFileSync(MOUNT, ["-t", "tmpfs", "-o", options, "tmpfs", disk], { stdio: "pipe" });
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

test("a full disk: exit 2, whole rows are kept, with room the same command goes on to the same files", async (context) => {
  if (refusal !== null) return context.skip(`no file system of 64 kB can be mounted: ${refusal}`);
  const score = (out: string) => ladm(["score", ...FLAGS, "--data", DOCUMENTS, "--keep", "heads", "--out", out]);
  const undisturbed = join(folder, "undisturbed");
  expect((await score(undisturbed)).code).toBe(0);
  const run = join(disk, "run");
  const full = await score(run);
  expect(full.code).toBe(2);
  expect(full.stderr).toMatch(/ladm: The disk is full \(.*part0-pairs\.arrows\): got ENOSPC/);
  expect(full.stderr).toContain("Make room and start the same command again");
  const kept = rowsOf(run);
  expect(kept.length).toBeGreaterThan(0);
  expect(kept).toEqual(rowsOf(undisturbed).slice(0, kept.length));
  // Still full: the same again, and nothing is lost.
  expect((await score(run)).code).toBe(2);
  expect(rowsOf(run)).toEqual(kept);
  execFileSync(MOUNT, ["-o", "remount,size=4m", disk]);
  expect((await score(run)).code).toBe(0);
  expect(resultsOf(run)).toEqual(resultsOf(undisturbed));
});
