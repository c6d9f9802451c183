import { EXIT } from "../core/errors.js";
import type { LadmContext } from "./context.js";

/** Milliseconds that the work has for ending in order. What it writes survives its end at any moment. */
const GRACE_MS = 2000;

/** Who answers Ctrl-C and a plea to end. */
export interface Handlers {
  /** Leaves them to the system, which ends the process. */
  readonly release: () => void;
  /** Takes them again, unless they came already. */
  readonly hold: () => void;
}

/**
 * Ctrl-C and a plea to end abort the work's signal; where that does not end it soon, or at a second one, the process
 * ends.
 */
export async function abortable<T>(
  { process }: Pick<LadmContext, "process">,
  work: (signal: AbortSignal, handlers: Handlers) => Promise<T>,
): Promise<T> {
  const abort = new AbortController();
  let overdue: NodeJS.Timeout | undefined;
  const interrupt = () => {
    abort.abort();
    overdue = setTimeout(() => process.exit(EXIT.interrupted), GRACE_MS);
  };
  let isHeld = false;
  const release = () => {
    isHeld = false;
    process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
  };
  const hold = () => {
    // A handler that is taken off and put on again loses what arrives in between.
    if (isHeld || abort.signal.aborted) return;
    isHeld = true;
    process.once("SIGINT", interrupt).once("SIGTERM", interrupt);
  };
  hold();
  try {
    return await work(abort.signal, { release, hold });
  } finally {
    clearTimeout(overdue);
    release();
  }
}

/** For work that leaves nothing behind: Ctrl-C and a plea to end end the process at once. */
export async function endable<T>({ process }: Pick<LadmContext, "process">, work: () => Promise<T>): Promise<T> {
  const end = () => process.exit(EXIT.interrupted);
  process.once("SIGINT", end).once("SIGTERM", end);
  try {
    return await work();
  } finally {
    process.off("SIGINT", end).off("SIGTERM", end);
  }
}
