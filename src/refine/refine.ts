import { UserError } from "../core/errors.js";
import { parseOptions } from "../core/invalid.js";
import { rankCorrelation } from "../core/statistics.js";
import { formatCount } from "../core/units.js";
import { readJsonLines } from "../formats/append.js";
import { runFolder } from "../formats/run-folder.js";
import { readRun } from "../formats/run-json.js";
import type { ScoreRunOptions } from "../scoring/run/options.js";
import { type RunEvent, type RunHooks, scoreRun } from "../scoring/score-run.js";
import { type ResolvedSelectOptions, selectOptionsSchema } from "../selection/options.js";
import { rank } from "../selection/ranking.js";
import { type CheapSelection, type Refinement, selectCheaply } from "../selection/refined.js";
import { checkOut, type SelectionSummary, selectBy } from "../selection/select.js";
import { type Known, type PreparedPool, preparePool } from "./errors.js";
import { type RefineOptions, type ResolvedRefineOptions, refineOptionsSchema } from "./options.js";
import { auditSize, drawAudit, refinedPlaces } from "./order.js";
import { prepareSecondRun } from "./second-run.js";
import { type Found, runStages, type Stage } from "./stages.js";

/** Unscored documents that are named. */
const NAMED = 10;

export type RefineEvent =
  | {
      readonly kind: "stage";
      readonly stage: Stage;
      /** To be scored by the more expensive scorer; those that an earlier process scored included. */
      readonly documents: number;
      readonly rankedDocuments: number;
      /** Judged by the stages before; null where they say nothing. */
      readonly elapsedMs: number | null;
      /** Expected agreement before this stage; null before the audit. */
      readonly agreement: number | null;
    }
  /** Events of `scoreRun`, stage after stage. */
  | { readonly kind: "run"; readonly event: RunEvent };

export interface RefineHooks {
  readonly onEvent?: (event: RefineEvent) => void;
  /** Stops at once; the more expensive scores so far are kept, and `out` is not made. */
  readonly signal?: AbortSignal;
}

/**
 * Selects in two stages: by the scores of a run, then once more after a more expensive scorer has scored the documents
 * near the cuts, as many as make the selection agree with scoring all of them. A random audit says how far the cheap
 * scores can be trusted. The more expensive scores lie in `refineRun`, so that a call that was killed goes on.
 * @returns null when it was interrupted
 * @throws UserError as `select` and `scoreRun`; `refine-…`
 */
export async function refineSelection(
  options: RefineOptions,
  hooks: RefineHooks = {},
): Promise<SelectionSummary | null> {
  const { refineWith, model, maxLength, refineRun: run, agreement, audit, seed, ...rest } = options;
  const refining = { refineWith, model, maxLength, refineRun: run, agreement, audit, seed };
  const asked = parseOptions(refineOptionsSchema, refining);
  const select = parseOptions(selectOptionsSchema, rest);
  refuseUnrefinable(select);
  await checkOut(select.out);
  const folders = [select.run].flat();
  for (const folder of folders) if ((await readRun(folder)) === null) throw bareFolder(folder);
  const cheap = await selectCheaply(select);
  if (cheap.run === null || cheap.data === null) throw bareFolder(folders.join(", "));
  if (cheap.windows?.rowsAreWindows === true) throw rowsAreWindows(folders.join(", "));
  const refineRun = asked.refineRun ?? `${select.out.replace(/[\\/]+$/, "")}-refine`;
  const second = await prepareSecondRun(cheap.run, { ...asked, refineRun, data: cheap.data, threads: select.threads });
  const pool = preparePool(cheap);
  const drawn = drawAudit(pool, auditSize(cheap.rows.length, asked.audit), asked.seed);
  const job = { cheap, pool, audit: drawn, second, select, asked, hooks };
  const scoring = new SecondScoring(job);
  const found = await runStages(pool, { audit: drawn, agreement: asked.agreement }, async (stage, ranks, expected) => {
    const known = await scoring.score(stage, ranks, expected);
    // What follows would depend on a few.
    if (stage === "audit" && known !== null && known.scores.size < ranks.length / 2)
      throw await tooFewScored(job, known);
    return known;
  });
  if (found === null) return null;
  const refinement = await describeRefinement(job, found);
  if (hooks.signal?.aborted === true) return null;
  return await selectBy(select, refinement);
}

interface Job {
  readonly cheap: CheapSelection;
  readonly pool: PreparedPool;
  /** Ranks drawn at random. */
  readonly audit: readonly number[];
  readonly second: ScoreRunOptions;
  readonly select: ResolvedSelectOptions;
  readonly asked: ResolvedRefineOptions;
  readonly hooks: RefineHooks;
}

/**
 * The more expensive run as it grows. Only what this call asks for is known, whatever else lies there, so that one that
 * goes on chooses as before.
 */
class SecondScoring {
  readonly #job: Job;
  #asked: readonly number[] = [];
  #elapsedMs = 0;
  #timed = 0;

  constructor(job: Job) {
    this.#job = job;
  }

  /** @returns all that is known after it, of all stages; null when it was interrupted */
  async score(stage: Stage, ranks: readonly number[], agreement: number | null): Promise<Known | null> {
    const { cheap, second, hooks } = this.#job;
    const emit = hooks.onEvent ?? (() => undefined);
    const elapsedMs = this.#timed === 0 ? null : (ranks.length * this.#elapsedMs) / this.#timed;
    const counts = { documents: ranks.length, rankedDocuments: cheap.rows.length };
    emit({ kind: "stage", stage, ...counts, elapsedMs, agreement });
    const onEvent = (event: RunEvent) => {
      if (event.kind === "row") this.#time(event);
      emit({ kind: "run", event });
    };
    const rows = ranks.map((rank) => cheap.rows[rank] ?? 0);
    const { finished } = await scoreRun({ ...second, rows }, { ...signalOf(hooks), onEvent });
    if (!finished) return null;
    this.#asked = [...this.#asked, ...ranks];
    return await readKnown(this.#job, this.#asked);
  }

  #time({ elapsedMs, window }: Extract<RunEvent, { kind: "row" }>): void {
    this.#elapsedMs += elapsedMs;
    if (window === undefined || window.number === window.count - 1) this.#timed += 1;
  }
}

const signalOf = ({ signal }: RefineHooks): RunHooks => (signal === undefined ? {} : { signal });

/**
 * The more expensive scores of documents, made of their windows as the cheap ones are; a document shorter than the more
 * expensive window has none that compares.
 */
async function readKnown({ cheap, second, select }: Job, asked: readonly number[]): Promise<Known> {
  const rankOf = new Map(asked.map((rank) => [cheap.rows[rank] ?? 0, rank]));
  const scores = new Map<number, number>();
  const { includeShort, windows, memoryLimit, threads } = select;
  const options = { includeShort, windows, memoryLimit, threads, groupBy: "none", maxRedundancy: "none" } as const;
  try {
    for await (const { row, score } of rank({ ...options, run: second.out, partial: true })) {
      const place = rankOf.get(row ?? -1);
      if (place !== undefined) scores.set(place, score);
    }
  } catch (thrown) {
    if (!(thrown instanceof UserError) || !NOTHING_RANKED.has(thrown.code)) throw thrown;
  }
  return { scores, unscored: new Set(asked.filter((one) => !scores.has(one))) };
}

/** Refuses a run without a score that can be ranked. */
const NOTHING_RANKED: ReadonlySet<string> = new Set(["nothing-scored", "all-short"]);

async function describeRefinement(job: Job, found: Found): Promise<Refinement> {
  const { cheap, pool, audit, second, asked } = job;
  const { known, bands, widened, outside, agreement } = found;
  const pairs = audit.filter((rank) => known.scores.has(rank));
  return {
    places: refinedPlaces(pool, known.scores),
    options: { ...asked, refineRun: second.out, audit: audit.length },
    summary: {
      with: asked.refineWith,
      model: second.model,
      run: second.out,
      audit: {
        documents: audit.length,
        rankCorrelation: rankCorrelation(
          pairs.map((rank) => pool.scores[rank] ?? 0),
          pairs.map((rank) => known.scores.get(rank) ?? 0),
        ),
        outsideBands: outside.count,
        wrongSide: outside.wrong,
      },
      rescored: known.scores.size,
      rescoredShare: known.scores.size / cheap.rows.length,
      unscored: await describeUnscored(job, known),
      widened,
      agreement: { asked: asked.agreement, ...agreement },
      bands: bands.map(({ start, end }, group) => ({
        name: cheap.groupNames[group] ?? "",
        cut: pool.cuts[group] ?? 0,
        start,
        end,
      })),
    },
  };
}

async function describeUnscored(
  { cheap, second }: Job,
  { unscored }: Known,
): Promise<Refinement["summary"]["unscored"]> {
  const told = new Map<number, { readonly reason: string; readonly bad: boolean }>();
  for await (const { value } of readJsonLines(runFolder.unscored(second.out, 0))) {
    const { row, reason, bad } = value;
    const word = typeof reason === "object" && reason !== null && "code" in reason ? reason.code : null;
    if (typeof row !== "number") continue;
    told.set(row, { reason: typeof word === "string" ? word : "unscored", bad: bad === true });
  }
  const named = [...unscored]
    .sort((a, b) => a - b)
    // Others have a score, but are shorter than the window.
    .map((rank) => ({ index: cheap.indexes[rank] ?? 0, ...(told.get(cheap.rows[rank] ?? 0) ?? SHORT) }));
  return {
    count: named.length,
    bad: named.filter(({ bad }) => bad).length,
    first: named.slice(0, NAMED).map(({ index, reason }) => ({ index, reason })),
  };
}

const SHORT = { reason: "short", bad: false } as const;

/** @throws UserError */
function refuseUnrefinable({ policy, minScore, windows }: ResolvedSelectOptions): void {
  const refused =
    policy === "published"
      ? {
          got: "--policy published, which takes documents by one score as the published code does",
          allowed: "--policy budget",
        }
      : minScore !== undefined
        ? { got: "--min-score, which is a score of the cheap run", allowed: "--tokens, --top or --count" }
        : windows === "share"
          ? { got: "--windows share, whose threshold is a score of the cheap run", allowed: "--windows mean or max" }
          : null;
  if (refused === null) return;
  throw new UserError({
    code: "refine-options",
    what: "A selection of this kind cannot be refined",
    ...refused,
    fix: "Leave --refine-with out, or select in another way.",
  });
}

const bareFolder = (folder: string): UserError =>
  new UserError({
    code: "refine-run",
    what: "The folder does not say what was scored, so that it cannot be scored again",
    where: folder,
    got: "score files without run.json",
    allowed: "a run folder of `ladm score`",
    fix: "Score the data with `ladm score`, or select without --refine-with.",
  });

const rowsAreWindows = (folder: string): UserError =>
  new UserError({
    code: "refine-windows",
    what: "Rows that are windows of documents cannot be refined",
    where: folder,
    got: "rows of one index with several chunked_index",
    allowed: "a row a document; `ladm score --window all` cuts it",
    fix: "Score the whole documents with --window all, or select without --refine-with.",
  });

async function tooFewScored(job: Job, known: Known): Promise<UserError> {
  const { first } = await describeUnscored(job, known);
  return new UserError({
    code: "refine-unscored",
    what: "The more expensive scorer cannot score most of the documents that were drawn for the audit",
    where: job.second.out,
    got: `${formatCount(known.scores.size)} of ${formatCount(job.audit.length)} with a score; the first without: ${first
      .slice(0, 3)
      .map(({ index, reason }) => `index ${index} (${reason})`)
      .join(", ")}`,
    allowed: "at least half of them",
    fix: "Check --refine-with and --model: documents of the cheap run may be too short for them.",
  });
}
