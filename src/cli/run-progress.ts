import type { RunEvent, RunHooks } from "../scoring/score-run.js";
import { abortable } from "./abort.js";
import type { LadmContext } from "./context.js";
import { type Pace, Progress } from "./progress.js";

/** Runs scoring with progress on standard error; Ctrl-C ends it in order. */
export async function withRunProgress<T>(
  context: LadmContext,
  { quiet, onEvent }: { readonly quiet: boolean; readonly onEvent?: (event: RunEvent, pace: Pace) => void },
  work: (hooks: RunHooks) => Promise<T>,
): Promise<T> {
  const { stderr, isTerminal } = context;
  const progress = new Progress({ write: (line) => stderr.write(line), isTerminal, quiet });
  const onBoth = (event: RunEvent) => {
    progress.onEvent(event);
    onEvent?.(event, progress.pace());
  };
  try {
    return await abortable(context, (signal) => work({ signal, onEvent: onBoth }));
  } finally {
    progress.end();
  }
}
