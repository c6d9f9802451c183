import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { MAIN } from "./command-line.js";

const EXAMPLES = fileURLToPath(new URL("../../examples/", import.meta.url));
/** Random weights, a byte-level tokenizer, 4 layers, a window of 4,096 tokens. */
export const MODEL = join(EXAMPLES, "tiny-llama");
export const DOCUMENTS = join(EXAMPLES, "documents.jsonl");
export const DOCUMENT_COUNT = 12;
/** Spans small enough for the examples; a sample takes some hundredths of a second. */
export const SETTINGS = { model: MODEL, attnChunkSize: 16, maxLength: 1024 } as const;
export const FLAGS = ["--model", MODEL, "--attn-chunk-size", "16", "--max-length", "1024"];

export interface Row {
  readonly row: number;
  readonly index: number | null;
  readonly score: number | null;
  readonly [field: string]: unknown;
}

/** The example documents again and again under other ids, among them one that is too short and one that is bad. */
export function writePool(path: string, copies: number): number {
  const documents = parseLines<{ readonly id: string }>(readFileSync(DOCUMENTS, "utf8"));
  const lines = Array.from({ length: copies }, (_, copy) => [
    ...documents.map((document) => JSON.stringify({ ...document, id: `${document.id}-${copy}` })),
    JSON.stringify({ text: "too short", id: `short-${copy}`, meta: { domain: "lists" } }),
    '{"text": torn',
  ]).flat();
  writeFileSync(path, `${lines.join("\n")}\n`);
  return lines.length;
}

/**
 * Every file of the run folder by name, but for `run.json`, which holds paths, and for what a kill leaves of one that
 * was not there yet.
 */
export function resultsOf(run: string): Readonly<Record<string, string>> {
  const files = readdirSync(run, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const names = files
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !/run\.json$|\.tmp$/.test(path));
  return Object.fromEntries(names.sort().map((path) => [path.slice(run.length + 1), readFileSync(path, "latin1")]));
}

/** Rows of the score files, or of the unscored ones, in the order written. */
export function rowsOf(run: string, kind: "score" | "unscored" = "score", shardIndex = 0): readonly Row[] {
  return parseLines<Row>(readFileSync(join(run, "scores", `part${shardIndex}-${kind}.json`), "utf8"));
}

function parseLines<T>(text: string): readonly T[] {
  const lines = text.split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line) as T);
}

export interface Started {
  readonly child: ChildProcess;
  /** Resolves when so many rows are told, or the process has ended. */
  readonly rows: (count: number) => Promise<void>;
  readonly ended: Promise<{
    readonly code: number | null;
    readonly signal: NodeJS.Signals | null;
    readonly stderr: string;
  }>;
}

/** `ladm score` as a process of its own. */
export function startScore(args: readonly string[], flags: readonly string[] = FLAGS): Started {
  const child = spawn(process.execPath, [MAIN, "score", ...flags, ...args, "--json"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let told = 0;
  let stderr = "";
  let over = false;
  const waiting = new Set<{ readonly count: number; readonly resolve: () => void }>();
  const wake = () => {
    for (const waiter of waiting) if (over || told >= waiter.count) waiter.resolve();
  };
  createInterface({ input: child.stdout }).on("line", (line) => {
    if (line.startsWith('{"kind":"row"')) told += 1;
    wake();
  });
  child.stderr.on("data", (text: Buffer) => {
    stderr += text.toString();
  });
  const ended = new Promise<Awaited<Started["ended"]>>((resolve) => {
    child.on("close", (code, signal) => {
      over = true;
      wake();
      resolve({ code, signal, stderr });
    });
  });
  const rows = (count: number) =>
    new Promise<void>((resolve) => {
      waiting.add({ count, resolve });
      wake();
    });
  return { child, rows, ended };
}

/** Numbers of the children of a process that run a script, youngest last. */
export function childrenOf(pid: number, script: string): readonly number[] {
  const all = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
  return all.filter((child) => {
    try {
      return readFileSync(`/proc/${child}/cmdline`, "utf8").includes(script);
    } catch {
      return false;
    }
  });
}

export const pause = (elapsedMs: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, elapsedMs));
