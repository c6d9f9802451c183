import { Worker } from "node:worker_threads";
import type { Answered, AnswerTo, ParquetRequest } from "./protocol.js";

const SCRIPT = new URL("./worker.js", import.meta.url);
/** The slowest piece takes seconds; a disk far away may take long. */
const DEADLINE_MS = 10 * 60_000;

export interface ParquetThreadOptions {
  readonly script?: URL;
  /** For one answer. */
  readonly deadlineMs?: number;
}

/** The library refused, or the system: its message, and the system's code. */
export class ParquetRefusal extends Error {
  constructor(
    message: string,
    readonly code: string | undefined,
  ) {
    super(message);
  }
}

/** The library crashed, as it does on corrupt pages and without memory, or did not answer in time. */
export class ParquetCrash extends Error {}

/** Kept for the next reader: beginning one takes a fifth of a second, and a pool may have thousands of files. */
let spare: RunningThread | null = null;

/** A thread with the Parquet library, begun when there is work for it. One that dies fails what it was asked, and nothing else. */
export class ParquetThread {
  private readonly script: URL;
  private readonly deadlineMs: number;
  private running: RunningThread | null = null;
  private turn: Promise<unknown> = Promise.resolve();
  private closed = false;

  constructor({ script = SCRIPT, deadlineMs = DEADLINE_MS }: ParquetThreadOptions = {}) {
    this.script = script;
    this.deadlineMs = deadlineMs;
  }

  /** One request at a time. @throws ParquetRefusal, ParquetCrash */
  async ask<Request extends ParquetRequest>(request: Request): Promise<AnswerTo<Request>> {
    const answered = this.turn.then(() => this.askNow(request));
    this.turn = answered.catch(() => undefined);
    const result = await answered;
    if ("error" in result) throw new ParquetRefusal(result.error.message, result.error.systemCode ?? undefined);
    return result.answer as AnswerTo<Request>;
  }

  /** What it is asked fails. */
  async close(): Promise<void> {
    this.closed = true;
    await this.running?.end("it was closed");
  }

  /** Closes after what was asked is answered, and leaves the thread to the next reader. */
  async release(): Promise<void> {
    const left = this.running === null ? undefined : await this.ask({ kind: "leave" }).catch(() => undefined);
    this.closed = true;
    const { running } = this;
    if (running === null) return;
    if (left === undefined || spare !== null || this.script !== SCRIPT) return await running.end("it was closed");
    this.running = null;
    spare = running.ownedBy(() => {
      if (spare === running) spare = null;
    });
  }

  private askNow(request: ParquetRequest): Promise<Answered> {
    if (this.closed) throw new ParquetCrash("it was closed");
    this.running ??= this.begin();
    return this.running.ask(request, this.deadlineMs);
  }

  private begin(): RunningThread {
    const kept = this.script === SCRIPT ? spare : null;
    if (kept !== null) spare = null;
    return (kept ?? new RunningThread(this.script)).ownedBy(() => {
      this.running = null;
    });
  }
}

/** Keeps the process alive only while it works. */
class RunningThread {
  private readonly worker: Worker;
  private waiting: { readonly resolve: (answered: Answered) => void; readonly reject: (error: Error) => void } | null =
    null;
  private cause = "it ended";
  private onEnd: () => void = () => undefined;

  constructor(script: URL) {
    this.worker = new Worker(script);
    this.worker.on("message", (answered: Answered) => this.waiting?.resolve(answered));
    this.worker.on("error", (error) => {
      this.cause = error instanceof Error ? error.message : String(error);
    });
    this.worker.on("exit", () => {
      this.onEnd();
      this.waiting?.reject(new ParquetCrash(this.cause));
    });
  }

  /** @param onEnd called when it has ended */
  ownedBy(onEnd: () => void): this {
    this.onEnd = onEnd;
    return this;
  }

  async ask(request: ParquetRequest, deadlineMs: number): Promise<Answered> {
    const late = setTimeout(() => void this.end(`no answer in ${deadlineMs / 1000} s`), deadlineMs);
    this.worker.ref();
    try {
      return await new Promise((resolve, reject) => {
        this.waiting = { resolve, reject };
        this.worker.postMessage(request, request.kind === "append" ? [request.ipc.buffer] : []);
      });
    } finally {
      clearTimeout(late);
      this.waiting = null;
      this.worker.unref();
    }
  }

  async end(cause: string): Promise<void> {
    this.cause = cause;
    await this.worker.terminate();
  }
}
