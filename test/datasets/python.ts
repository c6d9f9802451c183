import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** A Python that has `datasets`, `pyarrow` and `duckdb`; undefined: the tests that need one are skipped. */
export const PYTHON = process.env.LADM_PYTHON || undefined;

if (PYTHON === undefined) console.info("LADM_PYTHON names no Python with datasets, pyarrow and duckdb: skipped");

/** Runs a script of this folder and gives what it prints. @throws with its errors where it fails */
export async function python(script: string, ...args: readonly string[]): Promise<string> {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const environment = { ...process.env, HF_HUB_OFFLINE: "1", HF_DATASETS_DISABLE_PROGRESS_BARS: "1" };
  const { stdout } = await promisify(execFile)(PYTHON ?? "", [path, ...args], { env: environment, maxBuffer: 1 << 28 });
  return stdout;
}
