/** Every reader of untrusted bytes, by name. */
import * as checkpoint from "./checkpoint.mjs";
import * as files from "./files.mjs";
import * as hub from "./hub.mjs";
import * as lines from "./lines.mjs";
import { rows } from "./rows.mjs";
import * as tables from "./tables.mjs";
import { tokenizer, tokenizerProcess } from "./tokenizer.mjs";
import * as words from "./words.mjs";

/** @type {Readonly<Record<string, import("../target.mjs").MakeTarget>>} */
export const TARGETS = {
  lines: lines.lines,
  "row-lines": lines.rowLines,
  gzip: lines.gzip,
  zstd: lines.zstd,
  rows,
  parquet: tables.parquet,
  "arrow-stream": tables.arrowStream,
  "arrow-file": tables.arrowFile,
  dataset: tables.dataset,
  tokenizer,
  "tokenizer-process": tokenizerProcess,
  safetensors: checkpoint.safetensors,
  "safetensors-index": checkpoint.safetensorsIndex,
  config: checkpoint.config,
  family: checkpoint.family,
  calibration: files.calibration,
  lexical: files.lexical,
  run: files.run,
  append: files.append,
  shard: files.shard,
  pairs: files.pairs,
  cache: files.cache,
  hub: hub.hub,
  "hub-cache": hub.hubCache,
  "hub-names": hub.hubNames,
  plans: words.plans,
  globs: words.globs,
  flags: words.flags,
  terminal: words.terminal,
  svg: words.svg,
};
