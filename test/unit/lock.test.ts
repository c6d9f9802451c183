import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { holdLock, type LockWait } from "#ladm/core/lock.js";

const LOCK = new URL("../../dist/core/lock.js", import.meta.url).href;
/** Only Linux says which process is which. */
const onLinux = it.skipIf(!existsSync("/proc/self/ns/pid"));

describe("one holder a lock", () => {
  let folder: string;
  let path: string;
  const children: ChildProcess[] = [];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "ladm-lock-"));
    path = join(folder, "part0.lock");
  });
  afterEach(async () => {
    for (const child of children.splice(0)) child.kill("SIGKILL");
    await rm(folder, { recursive: true });
  });

  /** Runs until it is killed; resolves when it has printed a line. */
  async function start(command: string, args: readonly string[]): Promise<{ child: ChildProcess; line: string }> {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
    children.push(child);
    const line = await new Promise<string>((resolve) => {
      child.stdout.once("data", (bytes: Buffer) => resolve(bytes.toString().trim()));
    });
    return { child, line };
  }

  async function startHolder(): Promise<ChildProcess> {
    const script = `const { holdLock } = await import(${JSON.stringify(LOCK)});
      await holdLock(${JSON.stringify(path)});
      console.log("held");
      setInterval(() => undefined, 1000);`;
    return (await start(process.execPath, ["--input-type=module", "-e", script])).child;
  }

  async function kill(child: ChildProcess): Promise<void> {
    const end = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await end;
  }

  /** What a holder writes, with other values. */
  async function leave(values: object): Promise<void> {
    const lock = await holdLock(path);
    const own: unknown = JSON.parse(await readFile(path, "utf8"));
    await lock.release();
    await writeFile(path, JSON.stringify({ ...Object(own), token: "another", ...values }));
  }

  /** Takes it with a short watch; how long the watch was asked for. */
  async function take(): Promise<{ readonly waits: readonly LockWait[] }> {
    const waits: LockWait[] = [];
    const lock = await holdLock(path, { silenceMs: 400, onWait: (wait) => void waits.push(wait) });
    await lock.release();
    expect(await readdir(folder)).toEqual([]);
    return { waits };
  }

  const startedOf = (pid: number) => readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ")[19];

  it("is held and let go", async () => {
    const lock = await holdLock(path);
    expect(await readdir(folder)).toEqual(["part0.lock"]);
    lock.check();
    await lock.release();
    expect(await readdir(folder)).toEqual([]);
  });

  it("a second call of this process is refused at once", async () => {
    const lock = await holdLock(path);
    await expect(holdLock(path)).rejects.toThrow(`got this process, ${process.pid} on `);
    await lock.release();
    expect((await take()).waits).toEqual([]);
  });

  it("of calls at once one gets it, the others are refused", async () => {
    const calls = await Promise.allSettled(Array.from({ length: 8 }, () => holdLock(path)));
    expect(calls.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const call of calls) {
      if (call.status === "rejected") expect(call.reason).toMatchObject({ code: "shard-busy" });
      else await call.value.release();
    }
  });

  onLinux("another process keeps others out, and none after it is killed", async () => {
    const child = await startHolder();
    await expect(holdLock(path)).rejects.toThrow(`process ${child.pid} on `);
    await kill(child);
    expect((await take()).waits).toEqual([]);
  });

  onLinux("a dead process whose number another has by now holds nothing", async () => {
    const child = await startHolder();
    await kill(child);
    const holder: unknown = JSON.parse(await readFile(path, "utf8"));
    await writeFile(path, JSON.stringify({ ...Object(holder), pid: process.ppid }));
    expect((await take()).waits).toEqual([]);
  });

  onLinux("a process that has ended and that nobody has asked for holds nothing", async () => {
    // It ends once the shell is no shell any more: a shell may ask for it.
    const { line } = await start("sh", ["-c", "sleep 1 & echo $!; exec sleep 600"]);
    const pid = Number(line);
    while (readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.startsWith("Z") === false)
      await new Promise((resolve) => setTimeout(resolve, 10));
    await leave({ pid, started: startedOf(pid) });
    expect((await take()).waits).toEqual([]);
  });

  onLinux("a process that is stopped still holds what it holds", async () => {
    const child = await startHolder();
    child.kill("SIGSTOP");
    await expect(holdLock(path, { silenceMs: 400 })).rejects.toThrow(`process ${child.pid} on `);
  });

  const years = 3 * 365 * 86_400;
  describe.each([
    ["now", 0],
    ["long ago, as after a clock that jumped ahead", -years],
    ["in the future, as after a clock that jumped back", years],
  ])("of a holder that may live elsewhere, last touched %s", (_, seconds) => {
    const elsewhere = { host: "elsewhere", pid: 1 };
    const touch = async (more: number) => {
      const time = new Date(Date.now() + seconds * 1000 + more);
      await utimes(path, time, time).catch(() => undefined);
    };

    it("it is refused while that one lives", async () => {
      await leave(elsewhere);
      await touch(0);
      let beats = 0;
      const timer = setInterval(() => void touch(++beats), 50);
      await expect(holdLock(path, { silenceMs: 2000 })).rejects.toThrow("process 1 on elsewhere");
      clearInterval(timer);
    });

    it("it is taken over when that one was silent", async () => {
      await leave(elsewhere);
      await touch(0);
      expect((await take()).waits).toEqual([{ holder: "process 1 on elsewhere", atMostMs: 60_000 }]);
    });
  });

  it.each([
    ["another boot", { boot: "another" }],
    ["another namespace of process numbers", { namespace: "pid:[1] time:[1]" }],
    ["an older version", { boot: undefined, namespace: undefined, started: undefined }],
    ["a system that tells nothing", { boot: null, namespace: null, started: null }],
    ["another thread of this process", { pid: process.pid }],
  ])("the process number says nothing of %s", async (_, values) => {
    await leave({ pid: 2 ** 22 + 1, ...values });
    expect((await take()).waits).toHaveLength(1);
  });

  it("a living holder is seen by its beat", async () => {
    const lock = await holdLock(path, { beatMs: 50 });
    // As if another module held it.
    const text = await readFile(path, "utf8");
    const copy = join(folder, "copy.lock");
    await writeFile(copy, text.replace(/"token":"[^"]*"/, '"token":"another","host":"elsewhere"'));
    await rename(copy, path);
    await expect(holdLock(path, { silenceMs: 2000 })).rejects.toThrow("on elsewhere");
    await lock.release();
  });

  it("a lock that another took over is not removed, and what it guards is written no more", async () => {
    const lock = await holdLock(path, { beatMs: 20 });
    lock.check();
    await writeFile(path, JSON.stringify({ host: "elsewhere", pid: 1, token: "another" }));
    await vi.waitFor(() => expect(lock.check).toThrow("took this one for dead"));
    await lock.release();
    expect(await readdir(folder)).toEqual(["part0.lock"]);
  });

  it("a lock that was moved away is there again", async () => {
    const lock = await holdLock(path, { beatMs: 20 });
    await rm(path);
    await expect.poll(() => existsSync(path)).toBe(true);
    lock.check();
    await lock.release();
    expect(await readdir(folder)).toEqual([]);
  });

  it("a torn lock is nobody's", async () => {
    await writeFile(path, '{"host":"el');
    expect((await take()).waits).toEqual([]);
  });

  it.each([
    ["a folder", () => mkdir(path)],
    ["a link to nothing", () => symlink("nothing", path)],
  ])("%s in its place is named", async (_, make) => {
    await make();
    await expect(holdLock(path)).rejects.toMatchObject({ code: "not-a-lock" });
    expect(await readdir(folder)).toEqual(["part0.lock"]);
  });

  it("a folder that is not there is named", async () => {
    await expect(holdLock(join(folder, "none", "part0.lock"))).rejects.toMatchObject({ code: "cannot-write" });
  });

  it("a signal ends the watch", async () => {
    await leave({ host: "elsewhere" });
    const abort = new AbortController();
    const work = holdLock(path, { signal: abort.signal, onWait: () => abort.abort() });
    await expect(work).rejects.toMatchObject({ name: "AbortError" });
  });
});
