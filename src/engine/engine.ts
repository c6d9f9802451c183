import { EngineError, type UserError } from "../core/errors.js";
import { MortalProcess, ProcessDied, RequestFailed } from "../core/mortal-process.js";
import type { NamedTensors } from "../core/tensor.js";
import { engineMissing } from "./installed.js";
import type { Reply, Request } from "./protocol.js";

export interface EngineOptions {
  /** Bytes of an ONNX `ModelProto`. */
  readonly model: Uint8Array;
  /** Where the files of its external weights lie. */
  readonly weightsDirectory: string;
  /** Cores given to one operator. */
  readonly threads: number;
  /**
   * Lay weights out again at the start, as products of 8-bit weights need it; default: no, which saves a copy of each.
   */
  readonly packWeights?: boolean;
}

type EngineProcess = MortalProcess<Request, Reply>;

const CHILD = new URL("./child.js", import.meta.url);

/**
 * ONNX Runtime in a process of its own. When that process dies, the request it was busy with fails and the next
 * request starts a new one.
 */
export class Engine {
  private current: { readonly child: EngineProcess; readonly loaded: Promise<EngineProcess> } | undefined;
  private closed = false;

  constructor(private readonly options: EngineOptions) {}

  /**
   * Loads the graph.
   * @throws EngineError when it cannot be loaded; UserError when ONNX Runtime is not installed, or no process can be
   * started
   */
  async start(): Promise<void> {
    await this.process();
  }

  /** The process's number, for measurements; undefined when none is alive. */
  async pid(): Promise<number | undefined> {
    return (await this.current?.loaded)?.pid;
  }

  /**
   * One pass over the graph.
   * @throws EngineError when the engine refuses, crashes or runs out of memory; the engine can be asked again.
   * UserError as `start`: nothing is wrong with the inputs
   */
  async run(inputs: NamedTensors): Promise<NamedTensors> {
    const child = await this.process();
    const reply = await ask(child, { kind: "run", inputs });
    if (reply.kind !== "outputs") throw new Error(`the engine answered a run with ${reply.kind}`);
    return reply.outputs;
  }

  /**
   * Resident memory of the process at its highest, bytes; one is started where none is alive.
   * @throws EngineError as `run`
   */
  async peakBytes(): Promise<number> {
    const child = await this.process();
    const reply = await ask(child, { kind: "usage" });
    if (reply.kind !== "usage") throw new Error(`the engine answered about its memory with ${reply.kind}`);
    return reply.peakBytes;
  }

  /** Ends the process, whatever it is busy with: that request fails. */
  async close(): Promise<void> {
    this.closed = true;
    const child = this.current?.child;
    this.current = undefined;
    await child?.close();
  }

  private async process(): Promise<EngineProcess> {
    if (this.closed) throw new Error("the engine is closed");
    if (this.current === undefined) {
      const onEnd = () => {
        if (this.current?.child === child) this.current = undefined;
      };
      const child: EngineProcess = new MortalProcess(CHILD, { onEnd });
      this.current = { child, loaded: load(child, this.options) };
    }
    return this.current.loaded;
  }
}

async function load(child: EngineProcess, options: EngineOptions): Promise<EngineProcess> {
  try {
    await ask(child, { kind: "load", packWeights: false, ...options });
    return child;
  } catch (error) {
    await child.close();
    throw error;
  }
}

/** @throws EngineError; UserError when ONNX Runtime is not installed */
async function ask(child: EngineProcess, request: Request): Promise<Reply> {
  if (child.pending > 0) throw new Error("the engine's process is asked one thing at a time");
  try {
    return await child.ask(request);
  } catch (error) {
    if (error instanceof RequestFailed) throw engineFailed(error.message);
    if (error instanceof ProcessDied) throw engineDied(error);
    throw error;
  }
}

function engineFailed(message: string): EngineError {
  const outOfMemory = /bad_alloc|failed to allocate|out of memory/i.test(message);
  return new EngineError({
    code: outOfMemory ? "out-of-memory" : "engine-failed",
    what: outOfMemory ? "the engine ran out of memory" : "the engine failed",
    got: message.slice(0, 1000),
    ...(outOfMemory ? { fix: "Give a smaller --max-length or a machine with more memory." } : {}),
  });
}

function engineDied({ end, stderr }: ProcessDied): EngineError | UserError {
  const missing = /Cannot find (package|module)[^\n]*onnxruntime|onnxruntime_binding/.test(stderr);
  if (missing) return engineMissing();
  const tail = stderr.trim().split("\n").slice(-3).join(" | ");
  return new EngineError({
    code: "engine-died",
    what: "the engine's process died",
    got: tail === "" ? end : `${end}; its last words: ${tail}`,
    fix: "If memory ran out, give a smaller --max-length or more memory; `ladm doctor --model DIR` says what is needed.",
  });
}
