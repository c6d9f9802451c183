import { Worker } from "node:worker_threads";
import { EngineError } from "../../core/errors.js";
import type { Answered, Asked, WorkerAnswer, WorkerRequest } from "./protocol.js";

/**
 * Threads that answer requests, begun when there is work for them. One that dies fails what it was asked, and the next
 * request begins another.
 */
export class WorkerPool {
  private readonly threads = new Set<Thread>();
  private lesson: WorkerRequest | null = null;
  private closed = false;

  /** @param size threads at most */
  constructor(
    private readonly script: URL,
    private readonly size: number,
  ) {}

  /** Asks every thread, those to come included. @throws EngineError when one dies of it */
  async teach(lesson: WorkerRequest): Promise<void> {
    this.lesson = lesson;
    const there = [...this.threads];
    if (there.length === 0) await this.begin().taught;
    else await Promise.all(there.map((thread) => thread.ask(lesson)));
  }

  /** @throws EngineError when the thread fails or dies */
  async ask(request: WorkerRequest): Promise<WorkerAnswer> {
    if (this.closed) throw workerDied("it was ended");
    const [least] = [...this.threads].sort((a, b) => a.load - b.load);
    const isFree = least !== undefined && (least.load === 0 || this.threads.size >= this.size);
    return await (isFree ? least : this.begin().thread).ask(request);
  }

  /** Ends the threads; what they were asked fails. */
  async close(): Promise<void> {
    this.closed = true;
    await Promise.all([...this.threads].map((thread) => thread.end()));
  }

  private begin() {
    const thread: Thread = new Thread(this.script, () => this.threads.delete(thread));
    this.threads.add(thread);
    const taught = this.lesson === null ? Promise.resolve() : thread.ask(this.lesson);
    // A thread that dies of it fails the requests that wait behind, too.
    taught.catch(() => undefined);
    return { thread, taught };
  }
}

interface Waiting {
  readonly resolve: (answer: WorkerAnswer) => void;
  readonly reject: (error: Error) => void;
}

class Thread {
  private readonly worker: Worker;
  private readonly waiting = new Map<number, Waiting>();
  private nextId = 0;
  private cause = "it ended";

  constructor(script: URL, onEnd: () => void) {
    this.worker = new Worker(script);
    this.worker.on("message", (answered: Answered) => this.answered(answered));
    this.worker.on("error", (error) => {
      this.cause = error instanceof Error ? error.message : String(error);
    });
    this.worker.on("exit", () => {
      onEnd();
      for (const { reject } of this.waiting.values()) reject(workerDied(this.cause));
      this.waiting.clear();
    });
  }

  /** Requests that wait for their answer. */
  get load(): number {
    return this.waiting.size;
  }

  ask(request: WorkerRequest): Promise<WorkerAnswer> {
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, request } satisfies Asked);
    });
  }

  async end(): Promise<void> {
    await this.worker.terminate();
  }

  private answered(answered: Answered): void {
    const waiting = this.waiting.get(answered.id);
    this.waiting.delete(answered.id);
    if ("answer" in answered) waiting?.resolve(answered.answer);
    else
      waiting?.reject(
        new EngineError({ code: "engine-failed", what: "The lexical scorer failed", got: answered.error }),
      );
  }
}

const workerDied = (got: string): EngineError =>
  new EngineError({
    code: "engine-died",
    what: "A thread of the lexical scorer died",
    got,
    fix: "Start the same command again, with fewer --threads if memory is short.",
  });
