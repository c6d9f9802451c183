import { totalmem } from "node:os";
import { EngineError } from "../core/errors.js";
import { MortalProcess, ProcessDied } from "../core/mortal-process.js";
import { Turns } from "../core/turns.js";
import { formatBytes, formatDuration } from "../core/units.js";
import type { Reply, Request } from "./tokenizer-protocol.js";

/** What a process may take before it is ended. Sound texts need a tenth of it. */
export interface TokenizerLimits {
  /** Time without an answer, and more for each character (UTF-16 unit) that is being encoded. */
  readonly silenceMs: number;
  readonly silenceMsPerCharacter: number;
  /** Memory on systems that tell (Linux); at most three quarters of the machine's. */
  readonly memoryBytes: number;
  readonly memoryBytesPerCharacter: number;
}

const DEFAULT_LIMITS: TokenizerLimits = {
  silenceMs: 20_000,
  silenceMsPerCharacter: 0.01,
  memoryBytes: 2 * 1024 ** 3,
  memoryBytesPerCharacter: 1024,
};

const MACHINE_SHARE = 0.75;
/** A vocabulary takes some ten times the bytes of its file. */
const MEMORY_PER_FILE_BYTE = 64;
const LOOK_EVERY_MS = 100;
/** The time counted between two looks, however much later this process gets to look: it may have been suspended. */
const MAX_LOOK_MS = 1000;
/** A text takes some time even where it is empty. */
const CHARACTERS_PER_TEXT = 64;

const CHILD = new URL("./tokenizer-child.js", import.meta.url);

export interface TokenizerProcessOptions {
  /** The environment of the process; default: that of this one. */
  readonly env?: NodeJS.ProcessEnv;
  readonly limits?: Partial<TokenizerLimits>;
  /** Ends the process: what is asked of it fails with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** A process, what it has loaded, and how many texts it was asked for. */
interface Current {
  readonly process: MortalProcess<Request, Reply>;
  loaded: Promise<unknown> | null;
  asked: number;
}

/**
 * A `tokenizer.json` in a process that may die: the next request then starts another one. It is ended when it is silent
 * for too long or takes too much memory.
 */
export class TokenizerProcess {
  private readonly limits: TokenizerLimits;
  private readonly turns = new Turns();
  private json: Uint8Array = new Uint8Array();
  private current: Current | null = null;
  private watch: NodeJS.Timeout | undefined;
  /** Characters of the requests that wait. */
  private characters = 0;
  private silentMs = 0;
  private isClosed = false;
  /** The last process was ended for it. */
  private ranOutOfTime = false;

  constructor(private readonly options: TokenizerProcessOptions) {
    this.limits = { ...DEFAULT_LIMITS, ...options.limits };
    options.signal?.addEventListener("abort", this.stop, { once: true });
    // It starts while the file is read.
    if (options.signal?.aborted === true) this.isClosed = true;
    else this.begin();
  }

  /** @throws ProcessDied or RequestFailed where it cannot be loaded; the signal's reason */
  async load(json: Uint8Array): Promise<void> {
    this.json = json;
    await this.loaded();
  }

  /** Beside other requests. @throws ProcessDied, of this request or of another; RequestFailed; the signal's reason */
  encode(texts: readonly string[], addSpecialTokens: boolean): Promise<Int32Array[]> {
    return this.turns.share(() => this.encodeNow(texts, addSpecialTokens));
  }

  /** With nothing beside it, so that a death is of these texts. @throws as `encode` */
  encodeAlone(texts: readonly string[], addSpecialTokens: boolean): Promise<Int32Array[]> {
    return this.turns.alone(async () => {
      const isFresh = this.current === null || this.current.asked === 0;
      try {
        return await this.encodeNow(texts, addSpecialTokens);
      } catch (error) {
        // What it did before may have a part in its death, but not in its time.
        if (isFresh || this.ranOutOfTime || !(error instanceof ProcessDied)) throw error;
        return await this.encodeNow(texts, addSpecialTokens);
      }
    });
  }

  /** Ends the process; what is asked of it fails. */
  async close(): Promise<void> {
    this.isClosed = true;
    this.options.signal?.removeEventListener("abort", this.stop);
    await this.current?.process.close();
  }

  private readonly stop = () => void this.close();

  private async encodeNow(texts: readonly string[], addSpecialTokens: boolean): Promise<Int32Array[]> {
    const current = await this.loaded().catch((error: unknown) => {
      throw error instanceof ProcessDied ? cannotStart(error) : error;
    });
    current.asked += texts.length;
    const characters = texts.reduce((sum, { length }) => sum + length + CHARACTERS_PER_TEXT, 0);
    const reply = await this.ask(current, { kind: "encode", texts, addSpecialTokens }, characters);
    if (reply.kind !== "encoded") throw new Error(`the tokenizer's process answered a text with ${reply.kind}`);
    const { ids, lengths } = reply;
    let end = 0;
    return Array.from(lengths, (length) => {
      const start = end;
      end += length;
      return ids.slice(start, end);
    });
  }

  private async loaded(): Promise<Current> {
    const current = this.current ?? this.begin();
    current.loaded ??= this.ask(current, { kind: "load", json: this.json }, this.json.length);
    await current.loaded;
    return current;
  }

  private begin(): Current {
    if (this.isClosed) throw this.closed();
    const onEnd = () => {
      if (this.current === current) this.current = null;
    };
    const current: Current = {
      process: new MortalProcess(CHILD, { ...(this.options.env && { env: this.options.env }), onEnd }),
      loaded: null,
      asked: 0,
    };
    this.current = current;
    this.ranOutOfTime = false;
    return current;
  }

  private async ask({ process }: Current, request: Request, characters: number): Promise<Reply> {
    if (this.isClosed) throw this.closed();
    this.characters += characters;
    this.watch ??= this.look();
    try {
      return await process.ask(request);
    } catch (error) {
      throw this.isClosed ? this.closed() : error;
    } finally {
      this.silentMs = 0;
      this.characters -= characters;
      if (this.characters === 0) {
        clearInterval(this.watch);
        this.watch = undefined;
      }
    }
  }

  private look(): NodeJS.Timeout {
    this.silentMs = 0;
    let before = performance.now();
    return setInterval(() => {
      const now = performance.now();
      this.silentMs += Math.min(now - before, MAX_LOOK_MS);
      before = now;
      const cause = this.excess();
      if (cause !== null) this.current?.process.kill(cause);
    }, LOOK_EVERY_MS);
  }

  /** What the process takes beyond its limits. */
  private excess(): string | null {
    const { silenceMs, silenceMsPerCharacter, memoryBytes, memoryBytesPerCharacter } = this.limits;
    const patienceMs = silenceMs + silenceMsPerCharacter * this.characters;
    this.ranOutOfTime = this.silentMs > patienceMs;
    if (this.ranOutOfTime) return `it was ended after ${formatDuration(patienceMs)} without an answer`;
    const wanted = memoryBytes + MEMORY_PER_FILE_BYTE * this.json.length + memoryBytesPerCharacter * this.characters;
    const limit = Math.min(wanted, MACHINE_SHARE * machineBytes());
    const resident = this.current?.process.residentBytes() ?? 0;
    return resident > limit ? `it was ended for taking more than ${formatBytes(limit)} of memory` : null;
  }

  private closed(): unknown {
    const { signal } = this.options;
    return signal?.aborted === true ? signal.reason : new Error("the tokenizer is closed");
  }
}

function machineBytes(): number {
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}

/** The file was loaded before, or its library is not there: neither its fault nor that of a text. */
export function cannotStart(death: ProcessDied): EngineError {
  return new EngineError({
    code: "tokenizer-died",
    what: "The tokenizer's process cannot be started",
    got: describeDeath(death),
    fix: "Start the same command again, with more memory if it is short; reinstall ladm where a package is missing.",
  });
}

const WORDS_SHOWN = 200;

/** How a process ended and what it said of it, on one short line. */
export function describeDeath({ end, stderr }: ProcessDied): string {
  const [, panic] = /panicked at [^\n]*\n([^\n]*)/.exec(stderr) ?? [];
  const [error] = /^\w*Error.*$/m.exec(stderr) ?? [];
  const said = panic ?? error ?? stderr.trim().split("\n").at(-1) ?? "";
  return oneLine(said === "" ? end : `${end}: ${said}`);
}

/** What can be shown of another program's words. */
export function oneLine(words: string): string {
  return words
    .replace(/[\p{C}\s]+/gu, " ")
    .trim()
    .slice(0, WORDS_SHOWN);
}
