import { readFile } from "node:fs/promises";
import { availableParallelism, cpus, totalmem } from "node:os";

export interface Machine {
  readonly node: string;
  readonly platform: string;
  readonly arch: string;
  /** A system on which the tests are run; others are only expected to work. */
  readonly tried: boolean;
  readonly processor: string | null;
  readonly cores: number;
  /** Cores that the control group allows; null without a limit below `cores`. */
  readonly coreLimit: number | null;
  readonly totalBytes: number;
  readonly availableBytes: number;
  /** Memory that the control group allows; null without a limit below `totalBytes`. */
  readonly memoryLimitBytes: number | null;
}

export async function inspectMachine(): Promise<Machine> {
  const { platform, arch } = process;
  const cores = availableParallelism();
  const totalBytes = totalmem();
  const coreLimit = await readCoreLimit();
  const memoryLimitBytes = process.constrainedMemory();
  return {
    node: process.versions.node,
    platform,
    arch,
    tried: platform === "linux" && arch === "x64",
    processor: cpus()[0]?.model ?? null,
    cores,
    coreLimit: coreLimit !== null && coreLimit < cores ? coreLimit : null,
    totalBytes,
    availableBytes: Math.min(process.availableMemory(), totalBytes),
    // Without a limit the system says 0 or a number beyond all memory.
    memoryLimitBytes: memoryLimitBytes > 0 && memoryLimitBytes < totalBytes ? memoryLimitBytes : null,
  };
}

/** Whole cores that this process may use, at least one. */
export async function usableCores(): Promise<number> {
  return Math.max(1, Math.floor(Math.min(availableParallelism(), (await readCoreLimit()) ?? Infinity)));
}

/** The smallest CPU quota of this process's control groups, in cores; Linux only. */
async function readCoreLimit(): Promise<number | null> {
  const own = /^0::(\/.*)$/m.exec((await readIfThere("/proc/self/cgroup")) ?? "")?.[1] ?? "/";
  const names = own.split("/").filter((name) => name !== "");
  const folders = [...names.keys(), names.length].map((depth) =>
    ["/sys/fs/cgroup", ...names.slice(0, depth)].join("/"),
  );
  const unified = await Promise.all(folders.map((folder) => readIfThere(`${folder}/cpu.max`)));
  const [quota, period] = await Promise.all(
    ["quota", "period"].map((name) => readIfThere(`/sys/fs/cgroup/cpu/cpu.cfs_${name}_us`)),
  );
  const limits = [...unified, `${quota ?? ""} ${period ?? ""}`]
    .map((text) => parseQuota(text ?? ""))
    .filter((limit) => limit !== null);
  return limits.length === 0 ? null : Math.min(...limits);
}

/** `150000 100000` → 1.5; `max 100000` and `-1 100000` set no limit. */
function parseQuota(text: string): number | null {
  const [, quota, period] = /^(\d+)\s+(\d+)\s*$/.exec(text.trim()) ?? [];
  return quota === undefined || period === undefined ? null : Number(quota) / Number(period);
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch {
    return null;
  }
}
