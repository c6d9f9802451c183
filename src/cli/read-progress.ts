import { formatCount, formatDuration, plural } from "../core/units.js";
import type { CalibrateEvent } from "../evaluation/calibrate.js";
import { printable } from "../report/text.js";
import { describePace, ProgressLine, type ProgressOptions } from "./progress-line.js";

/** Tells what reading the texts will cost, then how far it is. */
export class ReadProgress {
  private readonly beganMs: number;
  private startMs: number | undefined;
  private readonly output: ProgressLine;

  constructor(options: ProgressOptions) {
    this.output = new ProgressLine(options);
    this.beganMs = this.output.now();
  }

  readonly onEvent = (event: CalibrateEvent): void => {
    switch (event.kind) {
      case "pool":
        this.output.show(
          describePool(event, this.output.now() - this.beganMs),
          event.of !== null && event.tokenised === event.of,
        );
        return;
      case "note":
        this.output.line(`note: ${event.message}`);
        return;
      case "plan":
        for (const line of describePlan(event)) this.output.line(line);
        this.startMs = this.output.now();
        return;
      case "text": {
        const elapsedMs = this.output.now() - (this.startMs ?? this.output.now());
        const leftMs = (elapsedMs / event.done) * (event.of - event.done);
        const at = `${event.done} of ${plural(event.of, "pass").replace(/passs$/, "passes")}`;
        this.output.show(`${at}, ${formatDuration(leftMs)} left`, event.done === 1 || event.done === event.of);
        return;
      }
      case "failed":
        this.output.line(
          `the ${event.text} text of row ${event.row} (${printable(event.group)}) is left out: ${event.message}`,
        );
        return;
      case "search": {
        const under = event.plan === undefined ? "" : ` under ${event.plan}`;
        this.output.show(`choosing${under}: ${event.done} of ${event.of}`);
        return;
      }
      case "measure":
        this.output.show(`timing: ${event.done} of ${plural(event.of, "pass").replace(/passs$/, "passes")}`);
    }
  };

  /** Ends the drawn line. */
  end(): void {
    this.output.end();
  }
}

function describePool(
  { rows, share, tokenised, of }: Extract<CalibrateEvent, { kind: "pool" }>,
  elapsedMs: number,
): string {
  if (of === null) return `drawing documents: ${plural(rows, "row")} read${describePace(rows, elapsedMs, share)}`;
  return `drawing documents: ${formatCount(tokenised)} of ${formatCount(of)} tokenised`;
}

type PlanEvent = Extract<CalibrateEvent, { kind: "plan" }>;

function describePlan(plan: PlanEvent): string[] {
  const { wholes, texts, passes, cached, maxLength, estimatedSeconds, cacheDirectory, leftOut, search } = plan;
  const under = search === undefined ? "" : ` under ${plural(search.plans.length, "plan")}`;
  const what = `${plural(wholes, "whole document")} and ${plural(texts - wholes, "control")} of ${formatCount(maxLength)} tokens${under}`;
  const before = cached === 0 ? "" : `, ${formatCount(cached)} known from before`;
  const cost =
    passes === 0
      ? "no pass to make"
      : `${formatCount(passes)} to read, about ${formatDuration(estimatedSeconds * 1000)}`;
  return [
    `${what}: ${cost}${before}`,
    ...(search === undefined ? [] : describeSearch(search)),
    ...(leftOut.length === 0 ? [] : [`groups without documents enough: ${printable(leftOut.join(", "))}`]),
    ...(cacheDirectory === null || passes === 0
      ? []
      : [`what is read is kept in ${cacheDirectory}; started again, it goes on`]),
  ];
}

function describeSearch({ plans, laterPasses, laterSeconds }: NonNullable<PlanEvent["search"]>): string[] {
  const later = `then at most ${formatCount(laterPasses)} more, for what turns out best and to time scoring: about ${formatDuration(laterSeconds * 1000)}`;
  return [`plans: ${plans.join("; ")}`, ...(laterPasses === 0 ? [] : [later])];
}
