/** Files that ladm itself writes, as a disk, a kill or somebody else leaves them. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ReadingCache } from "#ladm/evaluation/reading/cache.js";
import { openAppend, readJsonLines } from "#ladm/formats/append.js";
import { calibrationFingerprint, documentFrequenciesOf, readCalibration } from "#ladm/formats/calibration.js";
import { decodeLexical, encodeLexical } from "#ladm/formats/lexical.js";
import { openPairsFile, readPairs } from "#ladm/formats/pairs.js";
import { readRun } from "#ladm/formats/run-json.js";
import { readShardEnd, Shard } from "#ladm/scoring/run/shard.js";
import { attempt, demand } from "../invariants.mjs";
import { dictionaryOf, mutateBytes } from "../mutate-bytes.mjs";
import { mutateJson, mutateJsonBytes } from "../mutate-json.mjs";

/** @typedef {import("../dice.mjs").Dice} Dice */
/** @typedef {import("../target.mjs").MakeTarget} MakeTarget */
/** @typedef {import("../target.mjs").MakeTargetLater} MakeTargetLater */

const LAC_TINY = new URL("../../../models/lac-tiny/calibration.json", import.meta.url);
const SHA = "0123456789abcdef".repeat(4);

/** @type {MakeTarget} */
export const calibration = (room) => {
  const seed = readFileSync(LAC_TINY, "utf8");
  const small = /** @type {{ model: { samples: unknown[] }, lexical: unknown, plan: unknown }} */ (JSON.parse(seed));
  small.model.samples = small.model.samples.slice(0, 1);
  small.plan = { attention: [{ first: 0, last: 1, window: 1024, sink: 128 }], precision: "int8" };
  small.lexical = { weight: 0.5, scale: 1, over: "mean", documentCount: 3, documentFrequencies: "AQACAAMA" };
  const words = [
    "weights",
    "layer",
    "head",
    "weight",
    "scale",
    "lexical",
    "documentFrequencies",
    "plan",
    "attention",
    "first",
    "last",
    "window",
    "sink",
    "precision",
    "int8",
    "over",
    "median",
    "by",
    "layer",
    "samples",
    "/////w==",
    "AQ==",
  ];
  return {
    make: (dice) => mutateJsonBytes(dice, [JSON.stringify(small), seed], { words }),
    read: async (input) => {
      const path = room.write("calibration.json", input);
      const { value, refused } = await attempt(() => readCalibration(path));
      if (value === null) return { outcome: String(refused) };
      const { model, weights, lexical } = value;
      for (const { layer, head, weight, scale } of weights) {
        demand(layer < model.layerCount && (head ?? 0) < model.headCount, "a weight of what the model has not");
        demand(Number.isFinite(weight / scale), "a weight that is not finite");
      }
      const counts = lexical === null ? null : documentFrequenciesOf(lexical).counts;
      if (lexical !== null && counts !== null)
        for (const count of counts.values())
          demand(count <= lexical.documentCount, "a token in more documents than there are");
      return { outcome: "read", seen: [calibrationFingerprint(value), counts?.size] };
    },
  };
};

/** @type {MakeTarget} */
export const lexical = () => {
  const seed = encodeLexical(
    { documentCount: 9, ids: Int32Array.of(1, 5, 70_000), counts: Uint16Array.of(1, 9, 2) },
    SHA,
  );
  return {
    make: (dice) => mutateJsonBytes(dice, [seed], { words: ["ids", "counts", "documentCount", "AAAA", "AQAAAA=="] }),
    read: async (input) => {
      const { value, refused } = await attempt(() => decodeLexical(input.toString("utf8"), "lexical.json"));
      if (value === null) return { outcome: refused };
      demand(value.ids.length === value.counts.length, "ids and counts differ in number");
      demand(
        value.ids.every((id, at) => id >= 0 && (at === 0 || id > (value.ids[at - 1] ?? 0))),
        "ids that are negative or do not ascend",
      );
      demand(
        value.counts.every((count) => count >= 1 && count <= value.documentCount),
        "a count that is none",
      );
      return { outcome: "read", seen: [...value.ids, ...value.counts] };
    },
  };
};

const CONFIGURATION = {
  model: { family: "llama", fingerprint: SHA },
  tokenizer: null,
  data: [{ sizeBytes: 10, sampledSha256: SHA }],
  textColumn: "text",
  idColumn: "id",
  metaColumns: [],
  maxLength: 1024,
  window: "truncate",
  stride: null,
  definition: "reference",
  attnChunkSize: 16,
  dAfs: 4,
  dCds: 4,
  ablation: null,
  layers: [0, 1],
  keep: "pairs",
  numShards: 1,
  calibration: null,
  plan: { attention: [{ first: 0, last: 0, window: 64, sink: 4 }], precision: "float32" },
  subset: false,
};
const RUN = JSON.stringify({
  format: 1,
  configuration: CONFIGURATION,
  rows: 20,
  paths: { model: "/m", data: ["/d"] },
  versions: { ladm: "0.1.0" },
});

/** @type {MakeTarget} */
export const run = (room) => ({
  make: (dice) =>
    mutateJsonBytes(dice, [RUN], {
      words: [...Object.keys(CONFIGURATION), "configuration", "rows", "paths", "format"],
    }),
  read: async (input) => {
    room.write("run.json", input);
    const { value, refused } = await attempt(() => readRun(room.folder));
    if (value === null) return { outcome: String(refused) };
    const { rows, configuration } = value;
    demand(Number.isSafeInteger(rows) && rows >= 0 && configuration.numShards >= 1, "a run of no rows or shards");
    return { outcome: "read", seen: value };
  },
});

/** @param {number} row @param {object} [more] */
const scoreLine = (row, more = {}) =>
  JSON.stringify({
    index: row,
    chunked_index: null,
    score: row / 7,
    meta: { source: "a" },
    row,
    tokenCount: 100,
    documentTokenCount: 120,
    redundancy: 0.1,
    ...more,
  });
const SCORES = [0, 1, 2, 3].map((row) =>
  scoreLine(row, row === 3 ? { pairs: { offset: 0, sizeBytes: 10 }, id: "x" } : {}),
);
const WORDS = ["row", "score", "index", "pairs", "offset", "sizeBytes", "windows", "chunked_index", "bad"];

/** @param {Dice} dice */
function makeScores(dice) {
  const lines = SCORES.map((line) =>
    dice.chance(0.3) ? mutateJson(dice, line, { others: SCORES, words: WORDS }) : line,
  );
  const text = Buffer.from(dice.chance(0.5) ? `${lines.join("\n")}\n` : lines.join("\n"));
  return dice.chance(0.5)
    ? mutateBytes(dice, text, {
        dictionary: dictionaryOf(["\n", "NaN", "Infinity", '"', "{}\n", "\0", ...WORDS]),
        most: 4,
      })
    : text;
}

const LAST = { row: 99, text: "\u2028 \u{1F600} \u0000" };

/** What a kill leaves of a file of lines is cut off, nothing else. @type {MakeTarget} */
export const append = (room) => ({
  make: makeScores,
  read: async (input) => {
    const path = room.write("lines.json", input);
    const { value: file, refused } = await attempt(() => openAppend(path));
    if (file === null) return { outcome: refused };
    const kept = readFileSync(path);
    try {
      demand(input.subarray(0, kept.length).equals(kept), "repair changes what was whole");
      demand(kept.length === 0 || kept.at(-1) === 10, "repair leaves a torn line");
      // At most the last line with an end, where it is no JSON, and what follows it.
      demand(input.subarray(kept.length, -1).filter((byte) => byte === 10).length <= 1, "repair cuts off whole lines");
      await file.append(LAST);
    } finally {
      await file.close();
    }
    const { value: lines, refused: unread } = await attempt(() => linesOf(path));
    if (lines === null) return { outcome: `read ${unread}`, seen: kept.length };
    demand(JSON.stringify(lines.at(-1)) === JSON.stringify(LAST), "a line is not read as it was written");
    const texts = kept
      .toString("utf8")
      .split("\n")
      .filter((line) => line.trim() !== "");
    demand(lines.length === texts.length + 1, "lines are lost");
    return { outcome: "read", seen: lines.length };
  },
});

/** @param {string} path */
async function linesOf(path) {
  const lines = [];
  for await (const { value } of readJsonLines(path)) lines.push(value);
  return lines;
}

/** A shard is opened to go on: each of its lines counts once, or it is refused. @type {MakeTarget} */
export const shard = (room) => {
  const folder = room.emptyFolder("run");
  room.emptyFolder("run/scores");
  room.emptyFolder("run/pairs");
  const configuration = /** @type {import("#ladm/formats/run-folder.js").RunConfiguration} */ (
    /** @type {unknown} */ ({ ...CONFIGURATION, keep: "none" })
  );
  const ends = '{"shardIndex":0,"numShards":1,"rows":4,"scored":4,"unscored":0,"bad":0,"limit":null}';
  return {
    make: (dice) =>
      Buffer.concat([mutateJsonBytes(dice, [ends]).filter((byte) => byte !== 10), Buffer.from("\n"), makeScores(dice)]),
    read: async (input) => {
      const end = input.indexOf(10);
      room.write("run/scores/part0-end.json", input.subarray(0, end + 1));
      const path = room.write("run/scores/part0-score.json", input.subarray(end + 1));
      rmSync(room.path("run", "scores", "part0-unscored.json"), { force: true });
      const { value: ended } = await attempt(() => readShardEnd(folder, 0));
      const { value, refused } = await attempt(() => Shard.open(folder, 0, configuration));
      if (value === null) return { outcome: refused, seen: ended };
      const { scored, unscored } = value.counts;
      const rows = value.rowsBelow();
      await value.close();
      const lines = readFileSync(path, "utf8")
        .split("\n")
        .filter((line) => line.trim() !== "").length;
      demand(scored + unscored === lines && rows === lines, "lines and rows of a shard differ in number");
      return { outcome: "read", seen: [ended, scored, rows] };
    },
  };
};

/** @param {number} row */
const pairScores = (row) => ({
  grid: {
    length: 64 + row,
    spanLength: 16,
    queries: [
      { start: 16, keys: [0] },
      { start: 32, keys: [16, 0] },
    ],
  },
  layers: [0, 1],
  headCount: null,
  values: Float32Array.from({ length: 6 }, (_, at) => at + row / 10),
});

/** @type {MakeTargetLater} */
export const pairs = async (room) => {
  const path = room.path("seed.arrows");
  const file = await openPairsFile(path, 0);
  for (const row of [0, 1, 2]) await file.append(row, row + 10, pairScores(row));
  await file.close();
  const seed = readFileSync(path);
  return {
    make: (dice) => mutateBytes(dice, seed, { most: 4, dictionary: [Buffer.from("ffffffff00000000", "hex")] }),
    read: async (input) => {
      const mutated = room.write("pairs.arrows", input);
      /** @type {unknown[]} */
      const samples = [];
      const { refused } = await attempt(async () => {
        for await (const { row, index, scores } of readPairs(mutated)) {
          const { grid, layers, headCount, values } = scores;
          const pairCount = grid.queries.reduce((sum, { keys }) => sum + keys.length, 0);
          demand(
            values.length === layers.length * (headCount ?? 1) * pairCount,
            "pair scores of another number than their pairs",
          );
          demand(Number.isSafeInteger(row) && Number.isSafeInteger(index), "a row that is none");
          samples.push([row, index, grid, layers, [...values]]);
        }
      });
      const size = input.length;
      const { value: opened, refused: closed } = await attempt(() =>
        openPairsFile(mutated, Math.min(size, seed.length)),
      );
      if (opened !== null) await opened.close();
      return { outcome: `${refused ?? `${samples.length} samples`}, ${closed ?? "goes on"}`, seen: samples };
    },
  };
};

/** A reading that is damaged is none. @type {MakeTargetLater} */
export const cache = async (room) => {
  const values = Float32Array.from({ length: 50 }, (_, at) => at / 3);
  const folder = room.path("cache");
  const readings = new ReadingCache(folder, SHA);
  const key = "ab".repeat(32);
  await readings.put(key, values);
  const path = join(folder, "ab", `${key}.bin`);
  const seed = readFileSync(path);
  return {
    make: (dice) => mutateBytes(dice, seed, { most: 4 }),
    read: async (input) => {
      writeFileSync(path, input);
      const { value, refused } = await attempt(() => readings.get(key));
      if (refused !== null) return { outcome: refused };
      if (value === null) return { outcome: "none" };
      demand(
        value.length === values.length && value.every((number, at) => Object.is(number, values[at])),
        "a damaged reading counts as one",
      );
      return { outcome: "read", seen: value.length };
    },
  };
};
