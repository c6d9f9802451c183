import { randomUUID } from "node:crypto";
import { link, rm, writeFile } from "node:fs/promises";
import { systemCodeOf } from "./errors.js";

/**
 * Creates a file whole, and only where none was: of several processes, on one machine or several, one succeeds.
 * @returns false when one was there
 * @throws the system's error when it cannot be written
 */
export async function createExclusively(path: string, text: string): Promise<boolean> {
  // Process numbers repeat: in containers most are 1.
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    await writeFile(temporary, text, { flush: true });
    await link(temporary, path);
    return true;
  } catch (error) {
    if (systemCodeOf(error) === "EEXIST") return false;
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}
