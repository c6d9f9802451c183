import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { installCommand } from "../core/installation.js";
import { VERSION } from "../core/version.js";
import { SKIP_GPU_LIBRARIES } from "../engine/installed.js";

/** A library with compiled code, which an installation can lack or hold for another system. */
export interface NativeLibrary {
  readonly name: string;
  readonly usedFor: string;
  /** As installed; null when it is not. */
  readonly version: string | null;
  readonly loads: boolean;
  /** Why it does not load, in the words of Node. */
  readonly reason: string | null;
  /** What installs it. */
  readonly install: string | null;
}

const ENGINE = "onnxruntime-node";
const NATIVE_LIBRARIES = [
  { name: ENGINE, usedFor: "score" },
  { name: "tokenizers", usedFor: "score, of texts" },
  { name: "@duckdb/node-api", usedFor: "check, show, select" },
] as const;

const LOAD_LIMIT_MS = 30_000;

/** One line: versions of this program, Node and the engine, which is not loaded for it. */
export function describeVersion(): string {
  const engine = installedVersion(ENGINE);
  return `ladm ${VERSION}, node ${process.versions.node}, ${ENGINE} ${engine ?? "not installed"}, ${process.platform} ${process.arch}`;
}

/** Loads each library in a process of its own, which a broken one may take down. */
export async function inspectLibraries(): Promise<readonly NativeLibrary[]> {
  return await Promise.all(
    NATIVE_LIBRARIES.map(async ({ name, usedFor }): Promise<NativeLibrary> => {
      const version = installedVersion(name);
      const reason = version === null ? "not installed" : await whyNotLoaded(name);
      const loads = reason === null;
      return {
        name,
        usedFor,
        version,
        loads,
        reason,
        install: loads ? null : installCommand(name, name === ENGINE ? SKIP_GPU_LIBRARIES : undefined),
      };
    }),
  );
}

function whyNotLoaded(name: string): Promise<string | null> {
  const args = ["--input-type=module", "--eval", "await import(process.argv[1])", name];
  const cwd = fileURLToPath(new URL(".", import.meta.url));
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd, timeout: LOAD_LIMIT_MS }, (error, _stdout, stderr) => {
      if (error === null) return resolve(null);
      const said = stderr.split("\n").find((line) => /^\S*Error\b/.test(line));
      resolve(said ?? (error.signal ? `the process that loaded it died (${error.signal})` : "it does not load"));
    });
  });
}

function installedVersion(name: string): string | null {
  const version = readPackage(findPackage(name))?.version;
  return typeof version === "string" ? version : null;
}

/** Where Node would look; the packages' own `exports` hide their package.json. */
function findPackage(name: string): string | undefined {
  const folders = createRequire(import.meta.url).resolve.paths(name) ?? [];
  return folders.map((folder) => join(folder, name, "package.json")).find((path) => existsSync(path));
}

function readPackage(path: string | undefined): Readonly<Record<string, unknown>> | undefined {
  if (path === undefined) return undefined;
  try {
    return asRecord(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return undefined;
  }
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === "object" && value !== null ? Object.fromEntries(Object.entries(value)) : undefined;
}
