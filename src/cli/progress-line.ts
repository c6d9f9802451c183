import { ERASE_LINE, messageLine } from "../core/printed.js";
import { formatCount, formatDuration } from "../core/units.js";

export interface ProgressOptions {
  readonly write: (text: string) => void;
  /** One line is drawn again and again; otherwise plain lines at intervals. */
  readonly isTerminal: boolean;
  readonly quiet: boolean;
  /** Milliseconds; for tests. */
  readonly now?: () => number;
}

const REDRAW_MS = 200;
const LOG_INTERVAL_MS = 30_000;

/**
 * How many a second, how much is done and how long the rest will take: `, 1,200 rows/s, 34%, 2 min left`.
 * @param share 0 to 1; null where it is not known
 */
export function describePace(rows: number, elapsedMs: number, share: number | null): string {
  if (elapsedMs < 1000 || (share !== null && share >= 1)) return "";
  const rate = `, ${formatCount((1000 * rows) / elapsedMs)} rows/s`;
  if (share === null || !(share > 0)) return rate;
  return `${rate}, ${(100 * share).toFixed(0)}%, ${formatDuration((elapsedMs / share) * (1 - share))} left`;
}

/** Lines that pass and lines that stay; each stays one line, whatever names are in it. */
export class ProgressLine {
  private lastMs = Number.NEGATIVE_INFINITY;
  private drawn = false;

  constructor(private readonly options: ProgressOptions) {}

  /** A passing line: drawn over on a terminal, told at intervals in a log. */
  show(text: string, always = false): void {
    const { quiet, isTerminal, write } = this.options;
    if (quiet) return;
    if (!always && this.now() - this.lastMs < (isTerminal ? REDRAW_MS : LOG_INTERVAL_MS)) return;
    this.lastMs = this.now();
    const line = messageLine(text);
    write(isTerminal ? `${ERASE_LINE}${line}` : `${line}\n`);
    this.drawn = isTerminal;
  }

  /** A line that stays. */
  line(text: string): void {
    if (this.options.quiet) return;
    this.end();
    this.options.write(`${messageLine(text)}\n`);
  }

  /** The next passing line waits for its turn from now on. */
  rest(): void {
    this.lastMs = this.now();
  }

  /** Ends the drawn line. */
  end(): void {
    if (this.drawn) this.options.write(ERASE_LINE);
    this.drawn = false;
  }

  now(): number {
    return (this.options.now ?? (() => performance.now()))();
  }
}
