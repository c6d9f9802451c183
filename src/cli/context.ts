import type { CommandContext } from "@stricli/core";

/** What every command finds as `this`. */
export interface LadmContext extends CommandContext {
  /** A command sets `process.exitCode` where it ends with another code than 0 without a fault to tell. */
  readonly process: NodeJS.Process;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  /** Standard error is a terminal: a line there may be drawn again. */
  readonly isTerminal: boolean;
}

export function contextOf(process: NodeJS.Process): LadmContext {
  const { stdout, stderr } = process;
  return { process, stdout, stderr, isTerminal: stderr.isTTY === true };
}
