import { formatCount, formatDuration, plural } from "../core/units.js";
import type { CalibrateEvent } from "../evaluation/calibrate.js";
import { printable } from "../report/text.js";

export interface ReadProgressOptions {
  readonly write: (text: string) => void;
  readonly isTerminal: boolean;
  readonly quiet: boolean;
  /** Milliseconds; for tests. */
  readonly now?: () => number;
}

const LOG_INTERVAL_MS = 30_000;
const REDRAW_MS = 200;
const CLEAR_LINE = "\r\u001b[K";

/** Tells what reading the texts will cost, then how far it is. */
export class ReadProgress {
  private startMs: number | undefined;
  private lastMs = Number.NEGATIVE_INFINITY;
  private drawn = false;

  constructor(private readonly options: ReadProgressOptions) {}

  readonly onEvent = (event: CalibrateEvent): void => {
    switch (event.kind) {
      case "pool":
        this.show(describePool(event), event.of !== null && event.tokenised === event.of);
        return;
      case "note":
        this.line(`note: ${event.message}`);
        return;
      case "plan":
        for (const line of describePlan(event)) this.line(line);
        this.startMs = this.now();
        return;
      case "text": {
        const elapsedMs = this.now() - (this.startMs ?? this.now());
        const leftMs = (elapsedMs / event.done) * (event.of - event.done);
        const at = `${event.done} of ${plural(event.of, "pass").replace(/passs$/, "passes")}`;
        this.show(`${at}, ${formatDuration(leftMs)} left`, event.done === 1 || event.done === event.of);
        return;
      }
      case "failed":
        this.line(
          `the ${event.text} text of row ${event.row} (${printable(event.group)}) is left out: ${event.message}`,
        );
        return;
      case "search":
        this.show(`choosing: ${event.done} of ${event.of}`);
    }
  };

  /** Ends the drawn line. */
  end(): void {
    if (this.drawn) this.options.write(CLEAR_LINE);
    this.drawn = false;
  }

  private show(text: string, always = false): void {
    const { quiet, isTerminal, write } = this.options;
    if (quiet) return;
    const now = this.now();
    if (!always && now - this.lastMs < (isTerminal ? REDRAW_MS : LOG_INTERVAL_MS)) return;
    this.lastMs = now;
    write(isTerminal ? `${CLEAR_LINE}${text}` : `${text}\n`);
    this.drawn = isTerminal;
  }

  private line(text: string): void {
    if (this.options.quiet) return;
    this.end();
    this.options.write(`${text}\n`);
  }

  private now(): number {
    return (this.options.now ?? (() => performance.now()))();
  }
}

function describePool({ rows, tokenised, of }: Extract<CalibrateEvent, { kind: "pool" }>): string {
  if (of === null) return `drawing documents: ${plural(rows, "row")} read`;
  return `drawing documents: ${formatCount(tokenised)} of ${formatCount(of)} tokenised`;
}

function describePlan(plan: Extract<CalibrateEvent, { kind: "plan" }>): string[] {
  const { wholes, texts, passes, cached, maxLength, estimatedSeconds, cacheDirectory, leftOut } = plan;
  const what = `${plural(wholes, "whole document")} and ${plural(texts - wholes, "control")} of ${formatCount(maxLength)} tokens`;
  const before = cached === 0 ? "" : `, ${formatCount(cached)} known from before`;
  const cost =
    passes === 0
      ? "no pass to make"
      : `${formatCount(passes)} to read, about ${formatDuration(estimatedSeconds * 1000)}`;
  return [
    `${what}: ${cost}${before}`,
    ...(leftOut.length === 0 ? [] : [`groups without documents enough: ${printable(leftOut.join(", "))}`]),
    ...(cacheDirectory === null || passes === 0
      ? []
      : [`what is read is kept in ${cacheDirectory}; started again, it goes on`]),
  ];
}
