import { readFile } from "node:fs/promises";
import { z } from "zod";
import { createExclusively } from "../core/exclusive.js";
import { runFolder } from "./run-folder.js";

const arraySchema = z.strictObject({
  format: z.literal(1),
  first: z.number().int().nonnegative(),
  step: z.number().int().positive(),
});

/** How the tasks of a job array count: task `first` is shard 0, task `first + step` shard 1. */
export type ArrayNumbering = Omit<z.infer<typeof arraySchema>, "format">;

/** What `array.json` of a run says; null where there is none, or it cannot be read. */
export async function readArrayNumbering(run: string): Promise<ArrayNumbering | null> {
  try {
    const { first, step } = arraySchema.parse(JSON.parse(await readFile(runFolder.array(run), "utf8")));
    return { first, step };
  } catch {
    return null;
  }
}

/** Records it, where no task has done so before. @throws the system's error when it cannot be written */
export async function keepArrayNumbering(run: string, { first, step }: ArrayNumbering): Promise<void> {
  await createExclusively(runFolder.array(run), `${JSON.stringify({ format: 1, first, step })}\n`);
}
