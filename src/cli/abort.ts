import type { LadmContext } from "./context.js";

/** Who answers Ctrl-C and a plea to end. */
export interface Handlers {
  /** Leaves them to the system, which ends the process. */
  readonly release: () => void;
  /** Takes them again, unless they came already. */
  readonly hold: () => void;
}

/** Ctrl-C and a plea to end abort the work's signal; a second one ends the process. */
export async function abortable<T>(
  { process }: Pick<LadmContext, "process">,
  work: (signal: AbortSignal, handlers: Handlers) => Promise<T>,
): Promise<T> {
  const abort = new AbortController();
  const interrupt = () => abort.abort();
  const release = () => void process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
  const hold = () => {
    release();
    if (!abort.signal.aborted) process.once("SIGINT", interrupt).once("SIGTERM", interrupt);
  };
  hold();
  try {
    return await work(abort.signal, { release, hold });
  } finally {
    release();
  }
}
