import { formatCount, formatDuration, plural } from "../core/units.js";
import type { RefineEvent, RefineHooks } from "../refine/refine.js";
import { abortable } from "./abort.js";
import type { LadmContext } from "./context.js";
import { Progress } from "./progress.js";
import { ProgressLine } from "./progress-line.js";

/**
 * Runs a refinement with progress on standard error: what each stage scores, then its rows. Ctrl-C ends it in order.
 */
export async function withRefineProgress<T>(
  context: LadmContext,
  quiet: boolean,
  work: (hooks: RefineHooks) => Promise<T>,
): Promise<T> {
  const { stderr, isTerminal } = context;
  const options = { write: (text: string) => stderr.write(text), isTerminal, quiet };
  const output = new ProgressLine(options);
  let progress = new Progress(options);
  const onEvent = (event: RefineEvent) => {
    if (event.kind === "run") {
      progress.onEvent(event.event);
      return;
    }
    progress.end();
    progress = new Progress(options, event.stage !== "audit");
    output.line(describeStage(event));
  };
  try {
    return await abortable(context, (signal) => work({ signal, onEvent }));
  } finally {
    progress.end();
  }
}

function describeStage({
  stage,
  documents,
  rankedDocuments,
  elapsedMs,
  agreement,
}: Extract<RefineEvent, { kind: "stage" }>): string {
  const share = `${((100 * documents) / rankedDocuments).toFixed(0)}%`;
  const time = elapsedMs === null ? "" : `, about ${formatDuration(elapsedMs)}`;
  const expected = `${(100 * (agreement ?? 0)).toFixed(1)}%`;
  if (stage === "audit") {
    const of = `${formatCount(documents)} of ${plural(rankedDocuments, "ranked document")}`;
    return `audit: the more expensive scorer scores ${of}, drawn at random (${share}); then those near the cuts`;
  }
  const what = `the more expensive scorer scores ${plural(documents, "document")}`;
  return stage === "band"
    ? `band: ${what} near the cuts (${share})${time}; without them ${expected} agreement is expected`
    : `wider band: ${what} more (${share})${time}; by now ${expected} agreement is expected`;
}
