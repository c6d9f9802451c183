import type { RunEvent, RunHooks } from "../scoring/score-run.js";
import type { LadmContext } from "./context.js";
import { Progress } from "./progress.js";

/** Runs scoring with progress on standard error; Ctrl-C ends it in order. */
export async function withRunProgress<T>(
  { process, stderr, isTerminal }: LadmContext,
  { quiet, onEvent }: { readonly quiet: boolean; readonly onEvent?: (event: RunEvent) => void },
  work: (hooks: RunHooks) => Promise<T>,
): Promise<T> {
  const progress = new Progress({ write: (line) => stderr.write(line), isTerminal, quiet });
  const abort = new AbortController();
  const interrupt = () => abort.abort();
  process.once("SIGINT", interrupt).once("SIGTERM", interrupt);
  const onBoth = (event: RunEvent) => {
    progress.onEvent(event);
    onEvent?.(event);
  };
  try {
    return await work({ signal: abort.signal, onEvent: onBoth });
  } finally {
    progress.end();
    process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
  }
}
