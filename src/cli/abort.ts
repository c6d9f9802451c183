import type { LadmContext } from "./context.js";

/** Ctrl-C and a plea to end abort the work's signal; a second one ends the process. `release` gives them back before the end. */
export async function abortable<T>(
  { process }: Pick<LadmContext, "process">,
  work: (signal: AbortSignal, release: () => void) => Promise<T>,
): Promise<T> {
  const abort = new AbortController();
  const interrupt = () => abort.abort();
  const release = () => void process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
  process.once("SIGINT", interrupt).once("SIGTERM", interrupt);
  try {
    return await work(abort.signal, release);
  } finally {
    release();
  }
}
