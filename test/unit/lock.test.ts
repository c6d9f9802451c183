import { mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { holdLock } from "#ladm/core/lock.js";

describe("one process a shard", () => {
  let folder: string;
  let path: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "ladm-lock-"));
    path = join(folder, "part0.lock");
  });
  afterEach(() => rm(folder, { recursive: true }));

  const leave = (host: string, pid: number) => writeFile(path, JSON.stringify({ host, pid, token: "another" }));

  it("is held and let go", async () => {
    const unlock = await holdLock(path);
    expect(await readdir(folder)).toEqual(["part0.lock"]);
    await unlock();
    expect(await readdir(folder)).toEqual([]);
  });

  it("a living process of this machine keeps others out", async () => {
    await leave(hostname(), process.ppid);
    await expect(holdLock(path)).rejects.toThrow(`process ${process.ppid} on ${hostname()}`);
  });

  it("what a dead process of this machine left is taken over at once", async () => {
    await leave(hostname(), 2 ** 22 + 1);
    await (await holdLock(path))();
    expect(await readdir(folder)).toEqual([]);
  });

  it("another machine's lock holds while it is touched, and a minute longer", async () => {
    await leave("elsewhere", 1);
    await expect(holdLock(path)).rejects.toThrow("on elsewhere");
    const longAgo = new Date(Date.now() - 10 * 60_000);
    await utimes(path, longAgo, longAgo);
    await (await holdLock(path))();
    expect(await readdir(folder)).toEqual([]);
  });

  it("a lock that somebody else took over is not removed", async () => {
    const unlock = await holdLock(path);
    await leave("elsewhere", 1);
    await unlock();
    expect(await readdir(folder)).toEqual(["part0.lock"]);
  });

  it("a torn lock is nobody's", async () => {
    await writeFile(path, '{"host":"el');
    await (await holdLock(path))();
    expect(await readdir(folder)).toEqual([]);
  });
});
