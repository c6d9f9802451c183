import { Worker } from "node:worker_threads";
import type { Answered, AnswerTo, NumberedAnswer, NumberedRequest, ParquetRequest } from "./protocol.js";

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

/** The file was closed before it was asked; says nothing about its rows. */
class ParquetClosed extends Error {
  constructor() {
    super("the Parquet file was closed while it was read");
  }
}

/** Kept for the next reader: beginning one takes a fifth of a second, and a pool may have thousands of files. */
let spare: RunningThread | null = null;

/**
 * A thread with the Parquet library, begun when there is work for it. One that dies fails what it was asked, and
 * nothing else.
 */
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

  /** One request at a time. @throws ParquetRefusal, ParquetCrash, ParquetClosed */
  async ask<Request extends ParquetRequest>(request: Request): Promise<AnswerTo<Request>> {
    if (this.closed) throw new ParquetClosed();
    return await this.inTurn(request);
  }

  /** What it is asked fails. */
  async close(): Promise<void> {
    this.closed = true;
    await this.running?.end(new ParquetClosed());
  }

  /** Takes no more requests, waits until those made are answered, and leaves the thread to the next reader. */
  async release(): Promise<void> {
    this.closed = true;
    await this.turn;
    if (this.running === null) return;
    const hasLeft = await this.inTurn({ kind: "leave" }).then(
      () => true,
      () => false,
    );
    const { running } = this;
    if (running === null) return;
    if (!hasLeft || spare !== null || this.script !== SCRIPT || !running.isIdle)
      return await running.end(new ParquetClosed());
    this.running = null;
    spare = running.ownedBy(() => {
      if (spare === running) spare = null;
    });
  }

  private async inTurn<Request extends ParquetRequest>(request: Request): Promise<AnswerTo<Request>> {
    const answered = this.turn.then(() => {
      this.running ??= this.begin();
      return this.running.ask(request, this.deadlineMs);
    });
    this.turn = answered.catch(() => undefined);
    const result = await answered;
    if ("error" in result) throw new ParquetRefusal(result.error.message, result.error.systemCode ?? undefined);
    return result.answer as AnswerTo<Request>;
  }

  private begin(): RunningThread {
    const kept = this.script === SCRIPT ? spare : null;
    if (kept !== null) spare = null;
    return (kept ?? new RunningThread(this.script)).ownedBy(() => {
      this.running = null;
    });
  }
}

/** What was asked and is not answered. */
interface Pending {
  readonly id: number;
  readonly resolve: (answered: Answered) => void;
  readonly reject: (error: Error) => void;
}

/** Keeps the process alive only while it works. */
class RunningThread {
  private readonly worker: Worker;
  private pending: Pending | null = null;
  private lastId = 0;
  private cause: Error = new ParquetCrash("it ended");
  private onEnd: () => void = () => undefined;

  constructor(script: URL) {
    this.worker = new Worker(script);
    this.worker.on("message", (answer: NumberedAnswer) => this.settle(answer));
    this.worker.on("error", (error) => {
      this.cause = new ParquetCrash(error instanceof Error ? error.message : String(error));
    });
    this.worker.on("exit", () => {
      this.onEnd();
      this.pending?.reject(this.cause);
    });
  }

  /** Nothing that was asked is still to be answered. */
  get isIdle(): boolean {
    return this.pending === null;
  }

  /** @param onEnd called when it has ended */
  ownedBy(onEnd: () => void): this {
    this.onEnd = onEnd;
    return this;
  }

  async ask(request: ParquetRequest, deadlineMs: number): Promise<Answered> {
    if (this.pending !== null) throw new Error("a Parquet thread was asked twice at once");
    this.lastId += 1;
    const numbered: NumberedRequest = { id: this.lastId, request };
    const late = setTimeout(() => void this.end(new ParquetCrash(`no answer in ${deadlineMs / 1000} s`)), deadlineMs);
    this.worker.ref();
    try {
      return await new Promise((resolve, reject) => {
        this.pending = { id: numbered.id, resolve, reject };
        this.worker.postMessage(numbered, request.kind === "append" ? [request.ipc.buffer] : []);
      });
    } finally {
      clearTimeout(late);
      this.pending = null;
      this.worker.unref();
    }
  }

  async end(cause: Error): Promise<void> {
    this.cause = cause;
    await this.worker.terminate();
  }

  /** An answer that nobody waits for would be taken for the next one: the thread is of no use then. */
  private settle({ id, answered }: NumberedAnswer): void {
    if (this.pending?.id === id) this.pending.resolve(answered);
    else void this.end(new Error(`the Parquet thread answered request ${id}, which nobody made or which was answered`));
  }
}
