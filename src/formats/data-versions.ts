import type { Problem } from "../core/errors.js";
import { type FileVersion, refuseChanged, versionOf } from "../core/versions.js";
import { filesOfData } from "./data.js";

/** Bytes of data files, packed as they are. */
export interface DataSizes {
  readonly sizeOf: (path: string) => number;
  /** The sum over all files. */
  readonly sizeBytes: number;
}

/** Data files as they were seen at one moment: what is read of them later is what was there then, or refused. */
export interface DataVersions extends DataSizes {
  /** Checks one of them. @throws UserError `data-changed` */
  readonly check: (path: string) => Promise<void>;
  /** Checks each. @throws UserError `data-changed` */
  readonly checkAll: () => Promise<void>;
}

const CHANGED: Problem = {
  code: "data-changed",
  what: "The data changed while it was read",
  allowed: "the file as it was when the command began",
  fix: "Leave the data alone while it is read, and give a copy of a log that still grows. If the data changed for good, give another --out.",
};

/** @param paths as `expandData` gives them; @throws the system's error where a folder cannot be listed */
export async function pinData(paths: readonly string[]): Promise<DataVersions> {
  const pinned = new Map<string, readonly FileVersion[]>();
  for (const path of paths) {
    const files = await filesOfData(path);
    const versions: FileVersion[] = [];
    for (const file of files) versions.push(await versionOf(file));
    pinned.set(path, versions);
  }
  const check = async (path: string) => {
    for (const version of pinned.get(path) ?? []) await refuseChanged(version, CHANGED);
  };
  const sizeOf = (path: string) =>
    (pinned.get(path) ?? []).reduce((sum, { seen }) => sum + Number(seen?.sizeBytes ?? 0), 0);
  return {
    check,
    sizeOf,
    sizeBytes: [...pinned.keys()].reduce((sum, path) => sum + sizeOf(path), 0),
    checkAll: async () => {
      for (const path of pinned.keys()) await check(path);
    },
  };
}
