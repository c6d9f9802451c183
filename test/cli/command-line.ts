import { execFile } from "node:child_process";
import { cp, mkdir, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "../unit/selection-run.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
export const MAIN = join(ROOT, "dist", "cli", "main.js");
/** A checkpoint of random weights, float32, without a tokenizer. */
export const CHECKPOINT = join(ROOT, "test", "golden", "data", "llama-mha");

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `ladm` as a user does. */
export function ladm(
  args: readonly string[],
  {
    main = MAIN,
    env = {},
    input,
  }: { readonly main?: string; readonly env?: NodeJS.ProcessEnv; readonly input?: string } = {},
): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [main, ...args],
      { env: { ...process.env, NO_COLOR: "1", LADM_DEBUG: "", npm_command: "", ...env } },
      (_error, stdout, stderr) => resolve({ code: child.exitCode, stdout, stderr }),
    );
    child.stdin?.end(input);
  });
}

/** The one JSON object that a command printed. */
export function parsed({ stdout }: Ended): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(stdout);
  if (typeof value !== "object" || value === null) throw new Error(`not an object: ${stdout}`);
  return Object.fromEntries(Object.entries(value));
}

/** A copy of the installation that has these packages and no others; `main` is its command. */
export async function makeInstallation(
  packages: readonly string[],
): Promise<{ readonly folder: string; readonly main: string }> {
  const folder = await temporaryFolder("ladm-installation-");
  await cp(join(ROOT, "dist"), join(folder, "dist"), { recursive: true });
  await cp(join(ROOT, "package.json"), join(folder, "package.json"));
  await cp(join(ROOT, "models", "lexical"), join(folder, "models", "lexical"), { recursive: true });
  for (const name of packages) {
    const place = join(folder, "node_modules", name);
    await mkdir(dirname(place), { recursive: true });
    await symlink(join(ROOT, "node_modules", name), place);
  }
  return { folder, main: join(folder, "dist", "cli", "main.js") };
}
