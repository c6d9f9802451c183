import type { CalibrateHooks } from "../evaluation/calibrate.js";
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
  process.once("SIGINT", interrupt).once("SIGTERM", interrupt);
  try {
    return await work({ signal: abort.signal, onEvent: progress.onEvent });
  } finally {
    progress.end();
    process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
  }
}
