import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { type FileHandle, mkdir, open, readdir, readFile, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { createExclusively } from "#ladm/core/exclusive.js";
import { makeFolders, readExactly, readUpTo } from "#ladm/core/files.js";
import { clearLeftovers, stageAt, tryPlace, writeFileWhole } from "#ladm/core/staged.js";
import { temporaryFolder } from "./selection-run.js";

describe("reads", () => {
  /** A file system that gives one byte a call. */
  async function slow(text: string): Promise<FileHandle> {
    const path = join(await temporaryFolder("ladm-files-"), "file");
    await writeFile(path, text);
    const file = await open(path, "r");
    onTestFinished(() => file.close());
    const read = (bytes: Uint8Array, offset: number, length: number, position: number) =>
      file.read(bytes, offset, Math.min(length, 1), position);
    return Object.assign(Object.create(file) as FileHandle, { read });
  }

  it("that give less than was asked for go on", async () => {
    const file = await slow("0123456789");
    expect((await readExactly(file, Buffer.alloc(4), 3)).toString()).toBe("3456");
    const bytes = Buffer.alloc(6);
    expect(await readUpTo(file, bytes, 7)).toBe(3);
    expect(bytes.toString("latin1", 0, 3)).toBe("789");
  });

  it("past the end are an error", async () => {
    await expect(readExactly(await slow("0123"), Buffer.alloc(4), 1)).rejects.toThrow("the file ends at byte 4");
  });
});

describe("folders", () => {
  it("are made with those above, by several at once", async () => {
    const folder = await temporaryFolder("ladm-files-");
    for (let round = 0; round < 20; round++) {
      const path = join(folder, `${round}`, "b", "c", "d");
      const siblings = ["d", "e", "f", "g"].map((name) => join(path, "..", name));
      await Promise.all([...siblings, ...siblings].map(makeFolders));
      for (const sibling of siblings) expect((await stat(sibling)).isDirectory()).toBe(true);
    }
  });

  it("below a file are an error", async () => {
    const path = join(await temporaryFolder("ladm-files-"), "file");
    await writeFile(path, "");
    await expect(makeFolders(path)).rejects.toMatchObject({ code: "EEXIST" });
    await expect(makeFolders(join(path, "a", "b"))).rejects.toMatchObject({ code: "ENOTDIR" });
  });

  it.skipIf(!existsSync("/proc/self"))("that a file system will not have are an error", async () => {
    await expect(makeFolders("/proc/nope")).rejects.toMatchObject({ code: "ENOENT" });
    await expect(makeFolders("/proc/nope/a/b")).rejects.toMatchObject({ code: "ENOENT" });
  });
});

describe("what is in the making", () => {
  it("is there whole or not at all", async () => {
    const folder = await temporaryFolder("ladm-files-");
    await writeFileWhole(join(folder, "file"), "one");
    await writeFileWhole(join(folder, "file"), "two");
    await expect(writeFileWhole(join(folder, "none", "file"), "three")).rejects.toMatchObject({ code: "ENOENT" });
    const staged = await stageAt(join(folder, "made"));
    await mkdir(join(staged.path, "inner"), { recursive: true });
    await writeFile(join(staged.path, "inner", "x"), "x");
    expect((await readdir(folder)).includes("made")).toBe(false);
    await staged.publish();
    await staged.discard();
    const dropped = await stageAt(join(folder, "dropped"));
    await writeFile(dropped.path, "");
    await dropped.discard();
    expect((await readdir(folder)).sort()).toEqual(["file", "made"]);
    expect(await readFile(join(folder, "file"), "utf8")).toBe("two");
    expect(await readFile(join(folder, "made", "inner", "x"), "utf8")).toBe("x");
  });

  it("does not take a place that is taken", async () => {
    const folder = await temporaryFolder("ladm-files-");
    await mkdir(join(folder, "made"));
    await writeFile(join(folder, "made", "x"), "x");
    const staged = await stageAt(join(folder, "made"));
    await mkdir(staged.path);
    await expect(staged.publish()).rejects.toMatchObject({ code: "ENOTEMPTY" });
    await staged.discard();
    expect(await readdir(folder)).toEqual(["made"]);
  });

  it("one of several creates a file", async () => {
    const folder = await temporaryFolder("ladm-files-");
    const made = await Promise.all([1, 2, 3, 4].map((n) => createExclusively(join(folder, "file"), `${n}`)));
    expect(made.filter((one) => one)).toHaveLength(1);
    expect(await readdir(folder)).toEqual(["file"]);
  });

  it("a place is tried, and nothing stays", async () => {
    const folder = await temporaryFolder("ladm-files-");
    await tryPlace(join(folder, "new", "file"), "file");
    await mkdir(join(folder, "empty"));
    await tryPlace(join(folder, "empty"), "folder");
    await expect(tryPlace(join(folder, "empty"), "file")).rejects.toThrow("a folder is in its place");
    await writeFile(join(folder, "empty", "x"), "");
    await expect(tryPlace(join(folder, "empty"), "folder")).rejects.toThrow("a folder is in its place");
    expect(await readdir(folder)).toEqual(["empty"]);
  });
});

describe("what killed processes left", () => {
  const STAGED = new URL("../../dist/core/staged.js", import.meta.url).href;

  /** A process that makes a folder at `place`, and is still at it. */
  async function startMaker(place: string) {
    const script = `const { stageAt } = await import(${JSON.stringify(STAGED)});
      const { mkdirSync } = await import("node:fs");
      const staged = await stageAt(${JSON.stringify(place)});
      mkdirSync(staged.path + "/inner", { recursive: true });
      console.log(staged.path);
      setInterval(() => undefined, 1000);`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    onTestFinished(() => void child.kill("SIGKILL"));
    const end = new Promise((resolve) => child.once("exit", resolve));
    await new Promise((resolve) => child.stdout.once("data", resolve));
    return async () => {
      child.kill("SIGKILL");
      await end;
    };
  }

  it.skipIf(!existsSync("/proc/self/ns/pid"))("goes, and what living ones make stays", async () => {
    const folder = await temporaryFolder("ladm-files-");
    const kill = await startMaker(join(folder, "one"));
    await startMaker(join(folder, "two"));
    expect(await readdir(folder)).toHaveLength(2);
    await clearLeftovers(folder);
    expect(await readdir(folder)).toHaveLength(2);
    await kill();
    await clearLeftovers(folder);
    expect(await readdir(folder)).toHaveLength(1);
  });

  it("elsewhere goes after a day without a touch; files of other names never", async () => {
    const folder = await temporaryFolder("ladm-files-");
    const names = [".ladm-0123456789ab-1-5-00000000.tmp", ".ladm-x-1-x-00000001.tmp", "mine.tmp", ".ladm-mine.tmp"];
    for (const name of names) await writeFile(join(folder, name), "");
    await clearLeftovers(folder);
    expect(await readdir(folder)).toHaveLength(4);
    const then = new Date(Date.now() - 25 * 3600_000);
    for (const name of names) await utimes(join(folder, name), then, then);
    await clearLeftovers(folder);
    expect((await readdir(folder)).sort()).toEqual([".ladm-mine.tmp", "mine.tmp"]);
  });
});
