import { tmpdir } from "node:os";
import { join } from "node:path";
import { cannotWrite, makeFolders } from "../core/files.js";
import { stageAt } from "../core/staged.js";

/**
 * A fresh folder for what does not fit in memory; `remove` it afterwards. What a killed process left of its own goes.
 * @throws UserError `cannot-write`
 */
export async function makeWorkFolder(): Promise<{ readonly path: string; readonly remove: () => Promise<void> }> {
  const { path, discard } = await stageAt(join(tmpdir(), "ladm"));
  await makeFolders(path).catch((error: unknown) => {
    throw cannotWrite(path, error, "or set TMPDIR to another place");
  });
  return { path, remove: discard };
}
