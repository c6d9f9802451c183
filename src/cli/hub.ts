import { existsSync } from "node:fs";
import { messageOf, UserError } from "../core/errors.js";
import { formatBytes } from "../core/units.js";
import type { HubOptions } from "../hub/snapshot.js";
import type { LadmContext } from "./context.js";
import { ProgressLine } from "./progress-line.js";

/** What of the context is written to. */
export type Terminal = Pick<LadmContext, "stderr" | "isTerminal">;

/** Where nothing came of a name on the hub, it may as well be a path that was mistyped. */
const NOT_THERE = new Set(["hub-not-found", "hub-offline", "hub-unreachable"]);

/** A path that is there is never a name. */
export function isPath(text: string): boolean {
  return existsSync(text);
}

/** Runs work with the hub, with progress on standard error. */
export async function withHub<T>(
  label: string,
  { quiet, stderr, isTerminal }: Terminal & { readonly quiet: boolean },
  work: (options: HubOptions) => Promise<T>,
): Promise<T> {
  const { printable } = await import("../report/text.js");
  const line = new ProgressLine({ write: (text) => stderr.write(text), isTerminal, quiet });
  try {
    return await work({
      onNote: (message) => line.line(`note: ${printable(message)}`),
      onProgress: ({ file, doneBytes, ofBytes }) =>
        line.show(printable(`fetching ${label}: ${formatBytes(doneBytes)} of ${formatBytes(ofBytes)} (${file})`)),
    });
  } finally {
    line.end();
  }
}

/** The error of a path that is not there, with what the hub says of it as a name; any other error stays. */
export function orNoSuchPath(thrown: unknown, missing: (got: string, fix: string) => UserError): unknown {
  if (!(thrown instanceof UserError) || !NOT_THERE.has(thrown.code)) return thrown;
  const { what, got, fix } = thrown.problem;
  return missing(
    `nothing there; as a name on the hub: ${what}${got === undefined ? "" : ` (${got})`}`,
    fix ?? messageOf(thrown),
  );
}
