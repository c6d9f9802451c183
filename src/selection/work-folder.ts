import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A fresh folder for what does not fit in memory; `remove` it afterwards. */
export async function makeWorkFolder(): Promise<{ readonly path: string; readonly remove: () => Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), "ladm-"));
  return { path, remove: async () => await rm(path, { recursive: true, force: true }) };
}
