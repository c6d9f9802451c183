import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { systemCodeOf, UserError } from "../core/errors.js";
import { makeFolder, writeFileAtomic } from "../formats/append.js";

/** Names of what a demo writes. */
export const demoFolder = {
  documents: (out: string) => join(out, "documents.jsonl"),
  run: (out: string) => join(out, "run"),
  selected: (out: string) => join(out, "selected"),
  selectedDocuments: (out: string) => join(out, "selected", "selected.jsonl"),
} as const;

/**
 * Makes the folder and its documents, or makes sure that they are these: a run goes on only with the documents that it
 * began with.
 * @param jsonLines what `documents.jsonl` holds
 * @throws UserError `out-in-use` for a folder that holds anything else; `cannot-write`
 */
export async function claimDemoFolder(out: string, jsonLines: string): Promise<void> {
  const path = demoFolder.documents(out);
  const there = await orNullIfMissing(readFile(path, "utf8"));
  if (there === jsonLines) return;
  const inside = (await orNullIfMissing(readdir(out))) ?? [];
  if (inside.length === 0) {
    await makeFolder(out);
    await writeFileAtomic(path, jsonLines);
    return;
  }
  throw new UserError({
    code: "out-in-use",
    what: "The output folder is in use",
    where: out,
    got:
      there === null
        ? `it holds ${inside.slice(0, 3).join(", ")}${inside.length > 3 ? ", …" : ""}, and no demo`
        : "a demo with other documents (another --documents, model or version of a package)",
    allowed: "a folder that is absent, empty, or of this same demo",
    fix: "Give another --out, or remove it.",
  });
}

/** Takes away what an earlier selection wrote, and nothing else. */
export async function clearSelection(out: string): Promise<void> {
  for (const name of ["selected.jsonl", "sorted_by_score.jsonl", "selection.parquet", "selection.json"]) {
    await rm(join(demoFolder.selected(out), name), { force: true });
  }
}

async function orNullIfMissing<T>(action: Promise<T>): Promise<T | null> {
  try {
    return await action;
  } catch (error) {
    if (systemCodeOf(error) === "ENOENT") return null;
    throw error;
  }
}
