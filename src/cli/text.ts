import {
  type ApplicationText,
  ArgumentScannerError,
  ExitCode,
  type FlagNotFoundError,
  formatMessageForArgumentScannerError,
  text_en,
} from "@stricli/core";
import { EngineError, EXIT, messageOf, RowError, systemCodeOf, UserError } from "../core/errors.js";
import { messageLine } from "../core/printed.js";
import { inKebabCase } from "./arguments.js";
import { selfCommand, withSelf } from "./self.js";

/** Characters of a message; its parts have limits of their own. */
const MAX_MESSAGE = 32_768;

/** A path that cannot be used: the message of the system names it. */
const PATH_CODES = new Set(["EACCES", "EISDIR", "ELOOP", "ENAMETOOLONG", "ENOENT", "ENOTDIR", "EPERM", "EROFS"]);
/** The machine has no more of something. */
const RESOURCE_CODES = new Set(["EDQUOT", "EMFILE", "ENFILE", "ENOMEM", "ENOSPC"]);

/** Exit code of anything that a command threw. */
export function exitCodeOf(thrown: unknown): number {
  return thrown instanceof UserError || PATH_CODES.has(systemCodeOf(thrown) ?? "") ? EXIT.user : EXIT.ours;
}

/** Stricli's own codes are negative: a wrong flag, value or command is the user's mistake, the others are ours. */
export function exitCodeOfStricli(code: number): number {
  if (code === ExitCode.InvalidArgument || code === ExitCode.UnknownCommand) return EXIT.user;
  return code < 0 ? EXIT.ours : code;
}

/** `ladm: MESSAGE`, and what to do where the fault is ours. */
export function describeFault(thrown: unknown): string {
  if (process.env.LADM_DEBUG === "1" && thrown instanceof Error) return `ladm: ${thrown.stack ?? thrown.message}`;
  // A message of ours is bounded in its parts; one of the system holds a path.
  const self = selfCommand(process.argv[1] ?? "", process.env, process.cwd());
  const said = messageLine(messageOf(thrown), MAX_MESSAGE);
  const message = `ladm: ${thrown instanceof UserError || thrown instanceof EngineError ? withSelf(said, self) : said}`;
  const code = systemCodeOf(thrown) ?? "";
  const explained = thrown instanceof UserError || thrown instanceof EngineError || thrown instanceof RowError;
  if (explained || PATH_CODES.has(code) || RESOURCE_CODES.has(code)) return message;
  return `${message}\nThis should not happen: please report it with the output of \`${self} --version\` and of the command with LADM_DEBUG=1.`;
}

/** What is said about command lines that cannot be understood, and about faults of commands. */
export const text: ApplicationText = {
  ...text_en,
  briefs: { ...text_en.briefs, helpAll: "Print all flags, those for experts too, and exit" },
  noCommandRegisteredForInput: ({ input, corrections }) => {
    const kind = input.startsWith("-") ? "flag" : "command";
    const nearest = corrections.length === 0 || kind === "flag" ? "" : ` Did you mean ${corrections.join(" or ")}?`;
    return `ladm: There is no ${kind} ${messageLine(input)}.${nearest} See \`ladm --help\`.`;
  },
  exceptionWhileParsingArguments: (thrown) =>
    thrown instanceof ArgumentScannerError
      ? `ladm: ${messageLine(describeScannerError(thrown), MAX_MESSAGE)}`
      : describeFault(thrown),
  exceptionWhileLoadingCommandFunction: describeFault,
  exceptionWhileLoadingCommandContext: describeFault,
  exceptionWhileRunningCommand: describeFault,
  commandErrorResult: describeFault,
  exceptionWhileRunningIntegrationFlag: ({ exception }) => describeFault(exception),
};

function describeScannerError(error: ArgumentScannerError): string {
  return formatMessageForArgumentScannerError(error, {
    FlagNotFoundError: ({ input, corrections }: FlagNotFoundError) => {
      const nearest = corrections.map((name) => `--${inKebabCase(name)}`).join(" or ");
      return `There is no flag --${inKebabCase(input)}.${nearest === "" ? "" : ` Did you mean ${nearest}?`} See --help of the command.`;
    },
    AliasNotFoundError: ({ input }) => `There is no flag -${input}. See --help of the command.`,
    ArgumentParseError: ({ externalFlagNameOrPlaceholder, input, exception }) =>
      exception instanceof UserError
        ? exception.message
        : `The value of --${externalFlagNameOrPlaceholder} cannot be used: got "${input}"; ${messageOf(exception)}. See --help of the command.`,
    EnumValidationError: ({ externalFlagName, input, values }) =>
      `The value of --${externalFlagName} cannot be used: got "${input}"; allowed: ${values.join(", ")}. See --help of the command.`,
    UnsatisfiedFlagError: ({ externalFlagName, nextFlagName }) =>
      `--${externalFlagName} needs a value${nextFlagName === undefined ? "" : `: got --${nextFlagName}`}. See --help of the command.`,
    UnexpectedFlagError: ({ externalFlagName, previousInput, input }) =>
      `--${externalFlagName} is there twice: "${previousInput}" and "${input}". Give it once.`,
    UnsatisfiedPositionalError: ({ placeholder }) =>
      `${placeholder} is missing: it comes before the flags. See --help of the command.`,
    UnexpectedPositionalError: ({ expectedCount, input }) =>
      `"${input}" is one word too many: the command takes ${expectedCount === 0 ? "only flags" : `${expectedCount} beside its flags`}. See --help of the command.`,
  });
}
