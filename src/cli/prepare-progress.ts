import { formatCount, formatDuration, plural } from "../core/units.js";
import type { PrepareEvent } from "../prepare/prepare.js";
import { printable } from "../report/text.js";
import { describePace, ProgressLine, type ProgressOptions } from "./progress-line.js";

/** Bad rows told one by one; all are in `dropped.jsonl`. */
const TOLD_BAD_ROWS = 20;

/** Tells how far the tokenising is, how quick, and how long it will take. */
export class PrepareProgress {
  private readonly output: ProgressLine;
  private rows = 0;
  private doneRows = 0;
  private newRows = 0;
  private tokens = 0;
  private badRows = 0;
  private readonly beganMs: number;
  private startMs = 0;

  constructor(options: ProgressOptions) {
    this.output = new ProgressLine(options);
    this.beganMs = this.output.now();
  }

  readonly onEvent = (event: PrepareEvent): void => {
    switch (event.kind) {
      case "survey":
        this.output.show(
          `counting the data: ${plural(event.rows, "row")}${describePace(event.rows, this.output.now() - this.beganMs, event.share)}`,
        );
        return;
      case "note":
        this.output.line(`note: ${printable(event.message)}`);
        return;
      case "plan": {
        this.rows = event.rows;
        this.doneRows = event.doneRows;
        this.startMs = this.output.now();
        const before = event.doneRows === 0 ? "" : `, ${formatCount(event.doneRows)} done before`;
        this.output.line(`${plural(event.rows, "row")}${before}`);
        this.output.rest();
        return;
      }
      case "row":
        this.newRows += 1;
        this.tokens += event.tokenCount;
        if (event.reason !== null) this.tellBadRow(event.row, event.reason.message);
        this.output.show(this.describe(), this.doneRows + this.newRows === this.rows);
        return;
      case "write":
        this.output.show(`writing ${event.name}: ${formatCount(event.rows)} of ${plural(event.of, "document")}`);
    }
  };

  /** Ends the drawn line. */
  end(): void {
    this.output.end();
  }

  private tellBadRow(row: number, message: string): void {
    this.badRows += 1;
    if (this.badRows <= TOLD_BAD_ROWS) this.output.line(`row ${row} is bad: ${printable(message)}`);
    if (this.badRows === TOLD_BAD_ROWS) this.output.line("further bad rows are told in dropped.jsonl only");
  }

  private describe(): string {
    const done = this.doneRows + this.newRows;
    const elapsedMs = Math.max(1, this.output.now() - this.startMs);
    const leftMs = (elapsedMs / this.newRows) * (this.rows - done);
    return [
      `${formatCount(done)} of ${plural(this.rows, "row")}`,
      `${formatCount((1000 * this.tokens) / elapsedMs)} tokens/s`,
      ...(this.badRows > 0 ? [plural(this.badRows, "bad row")] : []),
      `${formatDuration(leftMs)} left`,
    ].join(", ");
  }
}
