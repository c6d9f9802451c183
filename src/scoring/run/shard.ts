import { readFile, rm } from "node:fs/promises";
import { systemCodeOf, UserError } from "../../core/errors.js";
import type { JsonObject, PairScores, Sample, UnscoredRow } from "../../core/records.js";
import { type AppendFile, closeAll, openAppend, readJsonLines, writeFileAtomic } from "../../formats/append.js";
import { describeValue } from "../../formats/data-rows.js";
import { openPairsFile, type PairsFile } from "../../formats/pairs.js";
import {
  type RunConfiguration,
  runFolder,
  type ScoreLine,
  type ShardEnd,
  shardEndSchema,
  type UnscoredLine,
} from "../../formats/run-folder.js";
import { redundancy } from "../../measure/redundancy.js";
import { WrittenRows, type WrittenWindow } from "./written-rows.js";

/** Milliseconds between waits for the disk; what lies between survives the death of the process, not a power cut. */
const SYNC_INTERVAL_MS = 1000;

/** A sample's score, as it goes into the shard. */
export interface ScoredSample {
  readonly sample: Sample;
  readonly score: number;
  /** Published, beside a calibrated one. */
  readonly cds?: number | null;
  readonly layers: readonly number[];
  /** Null only where no run keeps them. */
  readonly pairs: PairScores | null;
}

export interface ShardCounts {
  readonly scored: number;
  readonly unscored: number;
  readonly bad: number;
}

/**
 * The files of one shard: lines are written once, whole, in the order of the data; what is there already is known by
 * its row and window, so that a restart goes on where the last process stopped.
 */
export class Shard {
  private lastSyncMs = performance.now();

  private constructor(
    private readonly run: string,
    private readonly shardIndex: number,
    private readonly configuration: RunConfiguration,
    private readonly scoreFile: AppendFile,
    private readonly unscoredFile: AppendFile,
    private readonly pairsFile: PairsFile | null,
    private readonly rows: WrittenRows,
    private tally: { scored: number; unscored: number; bad: number },
  ) {}

  /** @throws UserError when a file of the shard is damaged or holds rows of another shard */
  static async open(run: string, shardIndex: number, configuration: RunConfiguration): Promise<Shard> {
    const paths = [runFolder.score(run, shardIndex), runFolder.unscored(run, shardIndex)] as const;
    // First what is torn is cut off, then what is left is read.
    const files: { close(): Promise<void> }[] = [];
    try {
      const scoreFile = await openAppend(paths[0]);
      files.push(scoreFile);
      const unscoredFile = await openAppend(paths[1]);
      files.push(unscoredFile);
      const { rows, tally, pairsEnd } = await readShard(paths, shardIndex, configuration);
      const keepsPairs = configuration.keep === "pairs" || configuration.keep === "heads";
      const pairsFile = keepsPairs ? await openPairsFile(runFolder.pairs(run, shardIndex), pairsEnd) : null;
      return new Shard(run, shardIndex, configuration, scoreFile, unscoredFile, pairsFile, rows, tally);
    } catch (error) {
      await closeAll(files);
      throw error;
    }
  }

  /** Counts of all rows that are written. */
  get counts(): ShardCounts {
    return { ...this.tally };
  }

  /** How many rows are written, with all their windows, of those before `limit`; of all without one. */
  rowsBelow(limit = Infinity): number {
    return this.rows.countBelow(limit);
  }

  /** The row is written, with all its windows. */
  has(row: number): boolean {
    return this.rows.has(row);
  }

  hasWindow(row: number, number: number): boolean {
    return this.rows.hasWindow(row, number);
  }

  /** Pair scores first, so that no row refers to what is not there. */
  async writeScore({ sample, score, cds, layers, pairs }: ScoredSample): Promise<void> {
    const { keep } = this.configuration;
    const kept = pairs === null ? undefined : await this.pairsFile?.append(sample.row, sample.index, pairs);
    const line: ScoreLine = {
      index: sample.index,
      chunked_index: sample.chunkedIndex,
      score,
      ...(cds === undefined ? {} : { cds }),
      meta: sample.meta ?? null,
      ...(sample.id === null ? {} : { id: sample.id }),
      row: sample.row,
      tokenCount: sample.tokenIds.length,
      documentTokenCount: sample.documentTokenCount,
      ...windowFields(sample),
      redundancy: redundancy(sample.tokenIds),
      contentHash: sample.contentHash,
      ...(keep === "none" ? {} : { layers }),
      ...(kept === undefined ? {} : { pairs: kept }),
    };
    await this.scoreFile.append(line);
    this.rows.add(sample.row, windowOf(sample));
    this.tally.scored += 1;
    await this.syncNowAndThen();
  }

  async writeUnscored(unscored: UnscoredRow): Promise<void> {
    const { index, row, id, meta, bad, reason, chunkedIndex = null, documentTokenCount } = unscored;
    const isWindow = chunkedIndex !== null;
    const line: UnscoredLine = {
      index,
      ...(isWindow ? { chunked_index: chunkedIndex } : {}),
      row,
      score: null,
      ...(id === null ? {} : { id }),
      meta: meta ?? null,
      ...(isWindow && documentTokenCount !== undefined ? { documentTokenCount } : {}),
      ...windowFields(unscored),
      bad,
      reason,
    };
    await this.unscoredFile.append(line);
    this.rows.add(row, windowOf(unscored));
    this.tally.unscored += 1;
    if (bad) this.tally.bad += 1;
    await this.syncNowAndThen();
  }

  /** Records that the shard has all the rows it should hold. */
  async end(rows: number, limit: number | null): Promise<void> {
    await this.sync();
    const { numShards } = this.configuration;
    const record: ShardEnd = { shardIndex: this.shardIndex, numShards, rows, ...this.counts, limit };
    await writeFileAtomic(runFolder.end(this.run, this.shardIndex), `${JSON.stringify(record)}\n`);
  }

  /** Takes the end record back: the shard is to hold more rows than it says. */
  async reopen(): Promise<void> {
    await rm(runFolder.end(this.run, this.shardIndex), { force: true });
  }

  async close(): Promise<void> {
    try {
      await this.sync();
    } finally {
      await closeAll([this.scoreFile, this.unscoredFile, ...(this.pairsFile === null ? [] : [this.pairsFile])]);
    }
  }

  private async syncNowAndThen(): Promise<void> {
    if (performance.now() - this.lastSyncMs >= SYNC_INTERVAL_MS) await this.sync();
  }

  private async sync(): Promise<void> {
    await this.pairsFile?.sync();
    await this.scoreFile.sync();
    await this.unscoredFile.sync();
    this.lastSyncMs = performance.now();
  }
}

/** The end record of a shard; null where the shard has not ended, or the record is broken and is to be made again. */
export async function readShardEnd(run: string, shardIndex: number): Promise<ShardEnd | null> {
  try {
    return shardEndSchema.parse(JSON.parse(await readFile(runFolder.end(run, shardIndex), "utf8")));
  } catch (error) {
    const code = systemCodeOf(error);
    if (code !== undefined && code !== "ENOENT") throw error;
    return null;
  }
}

function windowFields({ window }: Sample | UnscoredRow) {
  return window === undefined ? {} : { windows: window.count, windowStart: window.start };
}

function windowOf({ window, chunkedIndex }: Sample | UnscoredRow): WrittenWindow | null {
  return window === undefined ? null : { number: chunkedIndex ?? 0, count: window.count };
}

/** Which rows are written, and where the last of their pair scores ends. */
async function readShard(
  [scorePath, unscoredPath]: readonly [string, string],
  shardIndex: number,
  { numShards, window }: RunConfiguration,
) {
  const rows = new WrittenRows(numShards, shardIndex);
  const tally = { scored: 0, unscored: 0, bad: 0 };
  let pairsEnd = 0;
  const keepRow = (value: JsonObject, where: string) => {
    const { row } = value;
    const own = isRow(row) && row % numShards === shardIndex;
    if (own && rows.add(row, window === "truncate" ? null : windowOfLine(value))) return;
    throw damaged(where, value, numShards, shardIndex);
  };
  for await (const { line, value } of readJsonLines(scorePath)) {
    const where = `${scorePath}:${line}`;
    keepRow(value, where);
    tally.scored += 1;
    const end = endOfPairs(value);
    if (!Number.isSafeInteger(end) || end < 0) throw damaged(where, value, numShards, shardIndex);
    pairsEnd = Math.max(pairsEnd, end);
  }
  for await (const { line, value } of readJsonLines(unscoredPath)) {
    keepRow(value, `${unscoredPath}:${line}`);
    tally.unscored += 1;
    if (value.bad === true) tally.bad += 1;
  }
  return { rows, tally, pairsEnd };
}

const isRow = (row: unknown): row is number => typeof row === "number" && Number.isSafeInteger(row) && row >= 0;

/** Null: the line stands for the whole row. */
function windowOfLine({ chunked_index: number, windows: count }: JsonObject): WrittenWindow | null {
  return typeof number === "number" && typeof count === "number" ? { number, count } : null;
}

function damaged(where: string, line: JsonObject, numShards: number, shardIndex: number): UserError {
  const window = line.windows === undefined ? "" : `, window ${describeValue(line.chunked_index ?? null)}`;
  return new UserError({
    code: "shard-damaged",
    what: "The shard holds a line that no run of it wrote",
    where,
    got: `row ${describeValue(line.row)}${window}`,
    allowed: `each row${window === "" ? "" : ", or each of its windows,"} once, row mod ${numShards} = ${shardIndex}`,
    fix: "Remove the files of this shard and score it again.",
  });
}

function endOfPairs({ pairs }: JsonObject): number {
  if (typeof pairs !== "object" || pairs === null || !("offset" in pairs)) return 0;
  return Number(pairs.offset) + Number(pairs.sizeBytes);
}
