import type { CalibrateEvent, CalibrateHooks } from "../evaluation/calibrate.js";
import type { LadmContext } from "./context.js";
import { ReadProgress } from "./read-progress.js";

/** Runs long work over texts with progress on standard error; Ctrl-C ends it in order. */
export async function interruptible<T>(
  { process, stderr, isTerminal }: LadmContext,
  quiet: boolean,
  work: (hooks: CalibrateHooks) => Promise<T>,
): Promise<T> {
  const progress = new ReadProgress({ write: (text) => stderr.write(text), isTerminal, quiet });
  const abort = new AbortController();
  const interrupt = () => abort.abort();
  const release = () => process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
  const onEvent = (event: CalibrateEvent) => {
    // The search is arithmetic without a pause, in which no handler would run; all that was read is kept by then.
    if (event.kind === "search") release();
    progress.onEvent(event);
  };
  process.once("SIGINT", interrupt).once("SIGTERM", interrupt);
  try {
    return await work({ signal: abort.signal, onEvent });
  } finally {
    progress.end();
    release();
  }
}
