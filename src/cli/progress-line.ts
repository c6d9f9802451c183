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
const CLEAR_LINE = "\r\u001b[K";

/** Lines that pass and lines that stay. */
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
    write(isTerminal ? `${CLEAR_LINE}${text}` : `${text}\n`);
    this.drawn = isTerminal;
  }

  /** A line that stays. */
  line(text: string): void {
    if (this.options.quiet) return;
    this.end();
    this.options.write(`${text}\n`);
  }

  /** The next passing line waits for its turn from now on. */
  rest(): void {
    this.lastMs = this.now();
  }

  /** Ends the drawn line. */
  end(): void {
    if (this.drawn) this.options.write(CLEAR_LINE);
    this.drawn = false;
  }

  now(): number {
    return (this.options.now ?? (() => performance.now()))();
  }
}
