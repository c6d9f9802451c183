import { link, writeFile } from "node:fs/promises";
import { systemCodeOf } from "./errors.js";
import { stageAt } from "./staged.js";

/**
 * Creates a file whole, and only where none was: of several processes, on one machine or several, one succeeds.
 * @returns false when one was there
 * @throws the system's error when it cannot be written
 */
export async function createExclusively(path: string, text: string): Promise<boolean> {
  const staged = await stageAt(path);
  try {
    await writeFile(staged.path, text, { flush: true });
    await link(staged.path, path);
    return true;
  } catch (error) {
    if (systemCodeOf(error) === "EEXIST") return false;
    throw error;
  } finally {
    await staged.discard();
  }
}
