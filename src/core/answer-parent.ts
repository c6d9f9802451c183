/** The child's side of a `MortalProcess`. */
import { Worker } from "node:worker_threads";
import { messageOf } from "./errors.js";
import type { Failed } from "./mortal-process.js";

/** Answers the requests of the parent, in their order, until it closes the channel or is gone. */
export function answerParent<Request, Reply>(answer: (request: Request) => Promise<Reply>): void {
  let sent: Promise<unknown> = Promise.resolve();
  process.on("message", (request: Request) => {
    const reply = answer(request).catch((error: unknown): Failed => ({ kind: "failed", message: messageOf(error) }));
    sent = sent.then(async () => process.send?.(await reply));
  });
  // Ctrl-C reaches every process of the terminal; the parent decides when this one ends.
  process.on("SIGINT", () => undefined);
  // An exit would wait for native threads, for hours where a text takes them.
  process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
  watchParent(Number(process.argv[2]));
}

/**
 * Native code may block this thread for minutes; another one sees that the parent is gone and ends the orphan at once.
 * @param parent its process number, told by itself: it may be gone by now
 */
function watchParent(parent: number): void {
  const source = `
    setInterval(() => {
      if (process.ppid !== ${parent}) process.kill(process.pid, "SIGKILL");
    }, 500);`;
  const resourceLimits = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 2 };
  // Without the watch an orphan ends after its request; that is no reason to end here.
  new Worker(source, { eval: true, resourceLimits }).on("error", () => undefined).unref();
}
