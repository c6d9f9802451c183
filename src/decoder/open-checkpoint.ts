import { type Checkpoint, readCheckpoint } from "../checkpoint/checkpoint.js";
import { tensorsRead } from "./tensors.js";

/**
 * Opens the folder of a checkpoint that a decoder can be grown of.
 * @throws UserError with what is wrong: not found, not supported, damaged or contradictory
 */
export async function openCheckpoint(directory: string): Promise<Checkpoint> {
  return await readCheckpoint(directory, tensorsRead);
}
