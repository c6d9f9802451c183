import { type Application, proposeCompletions } from "@stricli/core";
import type { LadmContext } from "./context.js";

/** What the shell's script asks with; no command for people. */
export const COMPLETE = "__complete";

/** The words that may stand in the place of the last one, a line each. */
export async function complete(
  app: Application<LadmContext>,
  words: readonly string[],
  context: LadmContext,
): Promise<void> {
  const found = await proposeCompletions(app, words, { process: context.process, forCommand: () => context });
  for (const { completion } of found) context.stdout.write(`${completion}\n`);
}
