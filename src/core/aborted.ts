/** What `work` gives; null where it failed after an interrupt, which is no failure. */
export async function unlessAborted<T>(signal: AbortSignal | undefined, work: Promise<T>): Promise<T | null> {
  return work.catch((error: unknown) => {
    if (signal?.aborted === true) return null;
    throw error;
  });
}
