import type { Dirent } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { shownName } from "../core/data-names.js";
import { cannotRead, refuse } from "./data-problems.js";

/** What lies in a folder, and what that makes it. */
export interface Folder {
  readonly entries: readonly Dirent[];
  readonly names: ReadonlySet<string>;
  readonly kind: "dataset" | "dict" | OwnKind | "other";
}

/** Written by `ladm score`, `select` and `prepare`. */
type OwnKind = "run" | "selection" | "preparation";

/** @throws UserError where it cannot be read */
export async function readFolder(path: string): Promise<readonly Dirent[]> {
  return await readdir(path, { withFileTypes: true }).catch((error: unknown) => {
    throw cannotRead(path, error);
  });
}

/** @throws UserError where it cannot be read, or is a `DatasetDict` that is broken */
export async function openFolder(path: string): Promise<Folder> {
  const entries = await readFolder(path);
  const names = new Set(entries.map(({ name }) => name));
  return { entries, names, kind: await kindOf(path, names) };
}

async function kindOf(path: string, names: ReadonlySet<string>): Promise<Folder["kind"]> {
  // A file state.json or dataset_dict.json alone may be anybody's.
  if (names.has("state.json") && [...names].some((name) => name === "dataset_info.json" || name.endsWith(".arrow")))
    return "dataset";
  if (names.has("dataset_dict.json") && (await hasSplit(path))) return "dict";
  if (names.has("run.json") && names.has("scores")) return "run";
  if (names.has("selection.json") && names.has("sorted_by_score.jsonl")) return "selection";
  return names.has("prepare.json") || names.has("prepare.lock") ? "preparation" : "other";
}

async function hasSplit(path: string): Promise<boolean> {
  const { datasetDictSplits, isHfDataset } = await import("./arrow/hf-dataset.js");
  for (const split of (await datasetDictSplits(path)) ?? []) if (await isHfDataset(join(path, split))) return true;
  return false;
}

/**
 * The folder of the split of a `DatasetDict` that is meant: `train`, or its only one.
 * @param onNote called with a sentence on the other splits
 * @throws UserError `data-splits`
 */
export async function chooseSplit(path: string, onNote: (sentence: string) => void = () => undefined): Promise<string> {
  const { datasetDictSplits } = await import("./arrow/hf-dataset.js");
  const splits = (await datasetDictSplits(path)) ?? [];
  const split = splits.includes("train") ? "train" : splits.length === 1 ? splits[0] : undefined;
  const others = splits.filter((one) => one !== split);
  if (split !== undefined && others.length > 0)
    onNote(`data: the split ${split} of ${shownName(path)} is read; it has ${shownName(others.join(", "))} too`);
  if (split !== undefined) return join(path, split);
  throw refuse({
    code: "data-splits",
    what: "Which split of the dataset is meant is not clear",
    where: path,
    got: splits.join(", ") || "no split",
    fix: "Name its folder: DIR/SPLIT.",
  });
}
