import type { CommandContext } from "@stricli/core";
import { ERASE_LINE, printedText, STYLES } from "../core/printed.js";
import type { LogFile } from "./log-file.js";
import { selfCommand } from "./self.js";

/** Where a command prints. Whatever is written, a terminal finds nothing in it to obey. */
export interface Output {
  readonly write: (text: string) => void;
}

/** What a command has of the process: it prints through `Output` alone. */
export interface LadmProcess extends Pick<NodeJS.Process, "env" | "once" | "off" | "exit"> {
  readonly stdout: Output;
  readonly stderr: Output;
  /** A command sets it where it ends with another code than 0 without a fault to tell. */
  exitCode: number;
}

/** What every command finds as `this`. */
export interface LadmContext extends CommandContext {
  readonly process: LadmProcess;
  readonly stdout: Output;
  readonly stderr: Output;
  /** Standard error is a terminal: a line there may be drawn again. */
  readonly isTerminal: boolean;
  /** Columns of standard output; undefined where it is no terminal. */
  readonly columns: number | undefined;
  /** What the user types for `ladm`. */
  readonly self: string;
}

export function contextOf(own: NodeJS.Process, log: LogFile | null = null): LadmContext {
  const stdout = outputOf(own.stdout, log);
  const stderr = outputOf(own.stderr, log);
  const process: LadmProcess = {
    stdout,
    stderr,
    env: own.env,
    once: own.once.bind(own),
    off: own.off.bind(own),
    exit: (code) => own.exit(code),
    set exitCode(code: number) {
      own.exitCode = code;
    },
  };
  const self = selfCommand(own.argv[1] ?? "", own.env, own.cwd());
  return { process, stdout, stderr, isTerminal: own.stderr.isTTY === true, columns: own.stdout.columns, self };
}

/** Lets through, of all sequences, the one that our progress line begins with. */
export function outputOf(stream: NodeJS.WriteStream, log: LogFile | null = null): Output {
  return {
    write: (text) => {
      log?.write(text);
      const begins = text.startsWith(ERASE_LINE) ? ERASE_LINE : "";
      stream.write(begins + printedText(text.slice(begins.length)));
    },
  };
}

/**
 * For what the command line parser prints: its own styles stay, since `text` (`text.ts`) cleans what it says of the
 * user's words.
 */
export function styledOutputOf(stream: NodeJS.WriteStream, log: LogFile | null) {
  return {
    write: (text: string) => {
      log?.write(text.replaceAll(STYLES, ""));
      const pieces = text.split(STYLES);
      // What is split at a group is at the odd places.
      stream.write(pieces.map((piece, at) => (at % 2 === 1 ? piece : printedText(piece))).join(""));
    },
    getColorDepth: (env?: NodeJS.ProcessEnv) => (stream.isTTY ? stream.getColorDepth(env) : 1),
  };
}
