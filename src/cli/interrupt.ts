import type { CalibrateEvent, CalibrateHooks } from "../evaluation/calibrate.js";
import { abortable } from "./abort.js";
import type { LadmContext } from "./context.js";
import { ReadProgress } from "./read-progress.js";

/** Runs long work over texts with progress on standard error; Ctrl-C ends it in order. */
export async function interruptible<T>(
  context: LadmContext,
  quiet: boolean,
  work: (hooks: CalibrateHooks) => Promise<T>,
): Promise<T> {
  const { stderr, isTerminal } = context;
  const progress = new ReadProgress({ write: (text) => stderr.write(text), isTerminal, quiet });
  try {
    return await abortable(context, (signal, { release, hold }) => {
      const onEvent = (event: CalibrateEvent) => {
        // The search is arithmetic without a pause, in which no handler would run; all that was read is kept by then.
        if (event.kind === "search" && event.done < event.of) release();
        else hold();
        progress.onEvent(event);
      };
      return work({ signal, onEvent });
    });
  } finally {
    progress.end();
  }
}
