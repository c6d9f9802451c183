/** The values that an option may have: for flags, schemas and records alike. */

/** Which windows of a document that is longer than the window are scored. */
export const WINDOW_MODES = ["truncate", "all", "head-tail"] as const;
export type WindowMode = (typeof WINDOW_MODES)[number];

/** What the score of a document of several windows is made of. */
export const WINDOW_RULES = ["mean", "max", "share"] as const;
export type WindowRuleName = (typeof WINDOW_RULES)[number];

/** What a run keeps beside the score. */
export const KEEPS = ["none", "layers", "pairs", "heads"] as const;
export type Keep = (typeof KEEPS)[number];

/** The published code's definition of a pair score, or the paper's. */
export const DEFINITIONS = ["reference", "paper"] as const;
export type DefinitionName = (typeof DEFINITIONS)[number];

/** The published formula without one of its parts. */
export const ABLATIONS = ["no_std", "no_len_weight"] as const;
export type Ablation = (typeof ABLATIONS)[number];

export const POLICIES = ["budget", "published"] as const;
export type Policy = (typeof POLICIES)[number];

/** Formats of selected rows. */
export const EXPORT_FORMATS = ["jsonl", "parquet", "hf", "arrow"] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];
