import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url)).replace(/[/\\]$/, "");

/**
 * The command that adds a package to this very installation: a clone, a project that depends on `ladm`, or a global
 * one.
 * @param variable set for it, such as `NAME=value`
 */
export function installCommand(name: string, variable?: string, root = ROOT): string {
  const before = variable === undefined ? "" : `${variable} `;
  const version = versionOf(name, root);
  const wanted = `${name}${version === undefined ? "" : `@${version}`}`;
  const modules = dirname(root);
  const isGlobal = basename(modules) === "node_modules" && !existsSync(join(dirname(modules), "package.json"));
  if (!isGlobal) return `${before}npm install ${wanted}`;
  return `${before}npm install --prefix ${JSON.stringify(root)} --no-save --omit=dev ${wanted}`;
}

/** As `package.json` asks for it. */
function versionOf(name: string, root: string): string | undefined {
  try {
    const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
      readonly dependencies?: Readonly<Record<string, string>>;
      readonly optionalDependencies?: Readonly<Record<string, string>>;
    };
    return manifest.dependencies?.[name] ?? manifest.optionalDependencies?.[name];
  } catch {
    return undefined;
  }
}
