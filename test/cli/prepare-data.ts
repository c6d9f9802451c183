import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { MAIN } from "./command-line.js";
import { MODEL } from "./score-data.js";

/** One token a byte, and `<s>` (256) before each text. */
export const TOKENIZER = MODEL;

export interface MadeDocument {
  readonly id: string | number;
  readonly text: string;
  readonly meta: { readonly domain: string; readonly year: number | string | null };
}

/** Texts of 10 to 309 bytes, of two domains. */
export function makeDocuments(count: number): readonly MadeDocument[] {
  return Array.from({ length: count }, (_, at) => ({
    id: `document-${at}`,
    text: `${at} `.repeat(400).slice(0, 10 + ((at * 37) % 300)),
    meta: { domain: at % 3 === 0 ? "books" : "web", year: at % 5 === 0 ? null : 1900 + at },
  }));
}

/** With a bad line after every tenth. */
export function writeLines(path: string, documents: readonly MadeDocument[], withBad = false): void {
  const lines = documents.flatMap((document, at) => [
    JSON.stringify(document),
    ...(withBad && at % 10 === 9 ? ['{"text": torn'] : []),
  ]);
  writeFileSync(path, `${lines.join("\n")}\n`);
}

/** The token ids of a text. */
export const idsOf = (text: string): readonly number[] => [256, ...Buffer.from(text)];

export function readLinesOf(path: string): readonly Readonly<Record<string, unknown>>[] {
  const lines = readFileSync(path, "utf8").split("\n").slice(0, -1);
  return lines.map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
}

/** Every file of a folder by name, but for what a kill leaves of one that was not there yet. */
export function filesOf(folder: string): Readonly<Record<string, string>> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files.map((entry) => join(entry.parentPath, entry.name)).filter((path) => !path.endsWith(".tmp"));
  return Object.fromEntries(paths.sort().map((path) => [path.slice(folder.length + 1), readFileSync(path, "latin1")]));
}

export interface StartedPreparation {
  readonly child: ChildProcess;
  /** Resolves when so many events of the kind are told, or the process has ended. */
  readonly events: (kind: string, count: number) => Promise<void>;
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
}

/** `ladm prepare` as a process of its own. */
export function startPrepare(args: readonly string[]): StartedPreparation {
  const child = spawn(process.execPath, [MAIN, "prepare", ...args, "--json", "--quiet"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const told = new Map<string, number>();
  let over = false;
  const waiting = new Set<() => void>();
  createInterface({ input: child.stdout }).on("line", (line) => {
    const kind = /^\{"kind":"(\w+)"/.exec(line)?.[1] ?? "";
    told.set(kind, (told.get(kind) ?? 0) + 1);
    for (const wake of waiting) wake();
  });
  const ended = new Promise<Awaited<StartedPreparation["ended"]>>((resolve) => {
    child.on("close", (code, signal) => {
      over = true;
      for (const wake of waiting) wake();
      resolve({ code, signal });
    });
  });
  const events = (kind: string, count: number) =>
    new Promise<void>((resolve) => {
      const wake = () => {
        if (over || (told.get(kind) ?? 0) >= count) resolve();
      };
      waiting.add(wake);
      wake();
    });
  return { child, events, ended };
}
