import { type ChildProcess, fork } from "node:child_process";
import { readFileSync } from "node:fs";
import { Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { messageOf, UserError } from "./errors.js";

/** The answer to a request that threw; the process lives on. */
export interface Failed {
  readonly kind: "failed";
  readonly message: string;
}

/** The request threw in the process, which can be asked again. */
export class RequestFailed extends Error {}

/** The process ended before it answered. */
export class ProcessDied extends Error {
  constructor(
    /** How it ended. */
    readonly end: string,
    /** The last of what it wrote to stderr. */
    readonly stderr: string,
  ) {
    super(end);
  }
}

interface Waiting<Reply> {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
}

export interface MortalProcessOptions {
  /** Default: that of this process. */
  readonly env?: NodeJS.ProcessEnv;
  /** Called once, when the process is gone. */
  readonly onEnd: () => void;
}

const STDERR_KEPT = 4000;

/**
 * Native code in a process of its own, so that its crash is not ours: a script that calls `answerParent`. Answers come
 * in the order of the requests. Between two requests it does not keep this process from ending, and it ends with this
 * one.
 */
export class MortalProcess<Request extends object, Reply extends { readonly kind: string }> {
  private readonly child: ChildProcess | null;
  private readonly gone: Promise<void>;
  private readonly waiting: Waiting<Reply>[] = [];
  private stderr = "";
  private end: string | undefined;
  /** Why there is no process. */
  private unstarted: unknown;

  constructor(script: URL, { env = process.env, onEnd }: MortalProcessOptions) {
    this.child = this.begin(script, env);
    this.gone = new Promise((resolve) => {
      const ended = (how: string) => {
        this.end ??= how;
        this.fail();
        onEnd();
        resolve();
      };
      if (this.child === null) return queueMicrotask(() => ended("it could not be started"));
      this.child.on("error", (error) => {
        if (this.pid === undefined) this.unstarted = error;
        ended(error.message);
      });
      this.child.on("close", (code, signal) => ended(describeEnd(code, signal)));
    });
    this.rest();
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  /** Requests that wait for their answers. */
  get pending(): number {
    return this.waiting.length;
  }

  /** @throws ProcessDied, RequestFailed; UserError `process-not-started`; Node's error for what cannot be sent */
  ask(request: Request): Promise<Reply> {
    return new Promise<Reply>((resolve, reject) => {
      if (this.end !== undefined) return reject(this.cause());
      // An undelivered request means that the process is gone, which its end reports. One that cannot be sent throws
      // here, and must not wait for the answer to the next.
      if (this.child?.connected === true) this.child.send(request, () => undefined);
      this.waiting.push({ resolve, reject });
      this.hold();
    });
  }

  /** Bytes in memory now; null where the system does not tell. */
  residentBytes(): number | null {
    try {
      const [, kibibytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.pid}/status`, "utf8")) ?? [];
      return kibibytes === undefined ? null : 1024 * Number(kibibytes);
    } catch {
      return null;
    }
  }

  /** Ends it; what it is busy with fails with this cause. */
  kill(cause: string): void {
    this.end ??= cause;
    this.child?.kill("SIGKILL");
  }

  /** Ends it; what it is busy with fails. */
  async close(): Promise<void> {
    this.hold();
    this.child?.kill("SIGKILL");
    await this.gone;
  }

  private begin(script: URL, env: NodeJS.ProcessEnv): ChildProcess | null {
    try {
      const child = fork(fileURLToPath(script), [String(process.pid)], {
        serialization: "advanced",
        stdio: ["ignore", "ignore", "pipe", "ipc"],
        execArgv: [],
        env,
      });
      child.stderr?.setEncoding("utf8").on("data", (text: string) => {
        this.stderr = (this.stderr + text).slice(-STDERR_KEPT);
      });
      child.on("message", (reply: Reply | Failed) => this.settle(reply));
      return child;
    } catch (error) {
      this.unstarted = error;
      return null;
    }
  }

  private cause(): Error {
    return this.unstarted === undefined
      ? new ProcessDied(this.end ?? "it ended", this.stderr)
      : notStarted(this.unstarted);
  }

  private settle(reply: Reply | Failed): void {
    const waiting = this.waiting.shift();
    if (this.waiting.length === 0) this.rest();
    if (isFailed(reply)) waiting?.reject(new RequestFailed(reply.message));
    else waiting?.resolve(reply);
  }

  private fail(): void {
    for (const { reject } of this.waiting.splice(0)) reject(this.cause());
  }

  private hold(): void {
    this.child?.ref();
    this.child?.channel?.ref();
    // Its end is told after that of its stderr: with nothing else to wait for, this process would end before.
    this.stderrSocket()?.ref();
  }

  private rest(): void {
    this.child?.unref();
    this.child?.channel?.unref();
    this.stderrSocket()?.unref();
  }

  private stderrSocket(): Socket | null {
    const stderr = this.child?.stderr;
    return stderr instanceof Socket ? stderr : null;
  }
}

/** A fault of the machine, and of no request: were it one, every row left would be called bad. */
function notStarted(error: unknown): UserError {
  const problem = {
    code: "process-not-started",
    what: "No process can be started beside this one",
    got: messageOf(error),
    fix: "The machine lacks memory, processes or open files: make room (see ulimit -a) and start the same command again; it goes on after the last whole row.",
  };
  return new UserError(problem, { cause: error });
}

function isFailed(reply: { readonly kind: string }): reply is Failed {
  return reply.kind === "failed";
}

function describeEnd(code: number | null, signal: NodeJS.Signals | null): string {
  if (signal === "SIGKILL")
    return "it was killed (SIGKILL), which is how the system ends a process when memory runs out";
  return signal === null ? `it ended with code ${code}` : `it was ended by ${signal}`;
}
