import { LEXICAL } from "../core/lexical.js";
import { formatBytes, formatCount, formatDuration, formatRanges, plural } from "../core/units.js";
import type { RunEvent, RunPlan } from "../scoring/score-run.js";
import { scoreInWords } from "../scoring/scorer/choose-score.js";
import { describePace, ProgressLine, type ProgressOptions } from "./progress-line.js";

/** Bad rows told one by one; the others are in the shard's file. */
const TOLD_BAD_ROWS = 20;

export interface Pace {
  readonly tokensPerSecond: number;
  readonly leftMs: number;
}

/** Tells how a run goes: what it will do, then rows, tokens a second and time left. */
export class Progress {
  private readonly output: ProgressLine;
  private plan: RunPlan | undefined;
  private readonly beganMs: number;
  private startMs = 0;
  private rows = 0;
  private scoredRows = 0;
  private tokens = 0;
  private badRows = 0;
  private estimated = false;

  /** @param isLater of several runs of one scorer, this is not the first: what it is has been told */
  constructor(
    options: ProgressOptions,
    private readonly isLater = false,
  ) {
    this.output = new ProgressLine(options);
    this.beganMs = this.output.now();
  }

  readonly onEvent = (event: RunEvent): void => {
    switch (event.kind) {
      case "survey":
        this.output.show(
          `counting the data: ${plural(event.rows, "row")}${event.sizeBytes > 0 ? `, ${formatBytes(event.sizeBytes)}` : ""}${describePace(event.rows, this.output.now() - this.beganMs, event.share)}`,
        );
        return;
      case "wait":
        this.output.line(describeWait(event));
        return;
      case "plan":
        this.plan = event.plan;
        // Many samples are in the making at once: the first says little.
        this.estimated = event.plan.family === LEXICAL;
        for (const line of this.isLater ? [describeRows(event.plan)] : describePlan(event.plan)) this.output.line(line);
        return;
      case "started":
        this.startMs = this.output.now();
        this.output.rest();
        return;
      case "row":
        this.row(event);
    }
  };

  /** How fast it goes, and how long the rest will take. */
  pace(): Pace {
    const seconds = Math.max(0.001, (this.output.now() - this.startMs) / 1000);
    return { tokensPerSecond: Math.round(this.tokens / seconds), leftMs: Math.round(this.remainingMs()) };
  }

  /** Ends the drawn line. */
  end(): void {
    this.output.end();
  }

  private row(event: Extract<RunEvent, { kind: "row" }>): void {
    if (endsRow(event)) this.rows += 1;
    this.tokens += event.tokenCount;
    if (event.score !== null) this.scoredRows += 1;
    if (event.reason?.bad === true) this.tellBadRow(event.row, event.reason.message);
    if (!this.estimated && this.scoredRows > 0 && this.rows > 0) {
      this.estimated = true;
      this.output.line(`about ${formatDuration(this.remainingMs())} to go, judged by the first sample`);
    }
    this.output.show(this.describe(), this.left() === 0);
  }

  private tellBadRow(row: number, message: string): void {
    this.badRows += 1;
    if (this.badRows <= TOLD_BAD_ROWS) this.output.line(`row ${row} is bad: ${message}`);
    if (this.badRows === TOLD_BAD_ROWS) this.output.line("further bad rows are told in the run folder only");
  }

  private describe(): string {
    const { plan } = this;
    if (plan === undefined) return "";
    const done = plan.doneRows + this.rows;
    const share = plan.shardRows === 0 ? 100 : (100 * done) / plan.shardRows;
    const { tokensPerSecond, leftMs } = this.pace();
    return [
      `${formatCount(done)} of ${plural(plan.shardRows, "row")} (${share.toFixed(share < 10 ? 1 : 0)}%)`,
      `${formatCount(tokensPerSecond)} tokens/s`,
      ...(this.badRows > 0 ? [`${plural(this.badRows, "bad row")}`] : []),
      `${formatDuration(leftMs)} left`,
    ].join(", ");
  }

  private left(): number {
    return this.plan === undefined ? 0 : this.plan.shardRows - this.plan.doneRows - this.rows;
  }

  private remainingMs(): number {
    return this.rows === 0 ? 0 : ((this.output.now() - this.startMs) / this.rows) * this.left();
  }
}

function describeWait({ holder, atMostMs }: Extract<RunEvent, { kind: "wait" }>): string {
  return `${holder} holds the shard: watching for at most ${formatDuration(atMostMs)} whether it still lives`;
}

/** The row's only window or its last one, or a row without any. */
function endsRow({ window }: Extract<RunEvent, { kind: "row" }>): boolean {
  return window === undefined || window.number === window.count - 1;
}

/** Which score it will be, where a calibration was looked for. */
function describeScore({ calibration, uncalibrated, isForOtherSettings, basis, layerCount }: RunPlan): string[] {
  if (calibration !== null) {
    return [`calibrated: ${calibration.name}, layers ${formatRanges(calibration.layers)} of ${layerCount}`];
  }
  if (uncalibrated === null) return [];
  const score = scoreInWords(basis);
  return isForOtherSettings
    ? [`WARNING: ${uncalibrated}. The score is ${score}, uncalibrated: \`ladm evaluate\` says how well it tells`]
    : [`score: ${score}; ${uncalibrated}`];
}

function describeLayers({ family, listenedLayers, layerCount, farLayers }: RunPlan): string {
  if (family === LEXICAL) return "text alone (no model)";
  if (listenedLayers === layerCount) return `${layerCount} layers`;
  const far = farLayers === layerCount ? "" : ` (${farLayers} see the whole window)`;
  return `${listenedLayers} of ${layerCount} layers${far}`;
}

/** Where the first documents have no score, the flag that would help. */
function warnOfShort({ minimumLength, meanTokenCount, attnChunkSize }: RunPlan): string[] {
  if (meanTokenCount === null || meanTokenCount.document >= minimumLength) return [];
  const have = `documents shorter than ${formatCount(minimumLength)} tokens have no score, and the first ones have about ${formatCount(meanTokenCount.document)}`;
  return [`WARNING: ${have}. ${adviceForShort({ minimumLength, attnChunkSize }, meanTokenCount.document)}`];
}

const SMALLEST_SPAN = 16;

/** The largest span with which documents of so many tokens have a score. */
export function adviceForShort(
  { minimumLength, attnChunkSize }: Pick<RunPlan, "minimumLength" | "attnChunkSize">,
  tokens: number,
): string {
  const leastOf = (span: number) => ((minimumLength - 1) / attnChunkSize) * span + 1;
  for (let span = Math.floor(attnChunkSize / 2); span >= SMALLEST_SPAN; span = Math.floor(span / 2)) {
    if (leastOf(span) <= tokens)
      return `--attn-chunk-size ${span} scores documents of ${formatCount(leastOf(span))} tokens and more.`;
  }
  return "The score is for long documents: these are too short for it.";
}

function describeRows({ rows, shardRows, doneRows, meanTokenCount: mean }: RunPlan): string {
  const shard = shardRows === rows ? "" : ` of ${formatCount(rows)}`;
  const done = doneRows === 0 ? "" : `, ${formatCount(doneRows)} done before`;
  const tokens = mean === null ? "" : `, about ${formatCount(mean.scored * (shardRows - doneRows))} tokens to score`;
  return `${plural(shardRows, "row")}${shard}${done}${tokens}`;
}

function describePlan(plan: RunPlan): string[] {
  const layers = describeLayers(plan);
  const memory =
    plan.memoryBytes === null ? "" : `, about ${formatBytes(plan.memoryBytes)} of memory for a whole window`;
  return [
    ...plan.warnings.map((warning) => `note: ${warning}`),
    ...describeScore(plan),
    describeRows(plan),
    `window ${formatCount(plan.maxLength)} tokens (a document needs ${formatCount(plan.minimumLength)}), ${layers}, ${plural(plan.threads, "thread")}${memory}`,
    ...warnOfShort(plan),
  ];
}
