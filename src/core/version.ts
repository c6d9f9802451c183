import { readFileSync } from "node:fs";

/** The version of this package. */
export const VERSION: string = readVersion(new URL("../../package.json", import.meta.url));

function readVersion(packageJson: URL): string {
  const value: unknown = JSON.parse(readFileSync(packageJson, "utf8"));
  return typeof value === "object" && value !== null && "version" in value ? String(value.version) : "unknown";
}
