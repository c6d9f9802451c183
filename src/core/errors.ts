import { messageLine } from "./printed.js";

/** Every message says what is wrong, where, what was got against what is allowed, and what to do. */
export interface Problem {
  /** Stable, in kebab-case; for programs, and the key of the list in `docs/formats.md`. */
  readonly code: string;
  readonly what: string;
  /** File, row, tensor, flag: whatever a person needs to find the place. */
  readonly where?: string;
  readonly got?: string;
  readonly allowed?: string;
  readonly fix?: string;
}

/** One line, with nothing that a terminal would obey: `WHAT (WHERE): got GOT; allowed: ALLOWED. FIX`. */
export function describeProblem(problem: Problem): string {
  const what = messageLine(problem.what);
  const [where, got, allowed, fix] = [problem.where, problem.got, problem.allowed, problem.fix].map((part) =>
    part === undefined ? undefined : messageLine(part),
  );
  const against = [got === undefined ? "" : `got ${got}`, allowed === undefined ? "" : `allowed: ${allowed}`];
  const details = against.filter((part) => part !== "").join("; ");
  const place = where === undefined ? "" : ` (${where})`;
  return `${what}${place}${details === "" ? "" : `: ${details}`}.${fix === undefined ? "" : ` ${fix}`}`;
}

abstract class LadmError extends Error {
  readonly code: string;

  constructor(
    readonly problem: Problem,
    options?: ErrorOptions,
  ) {
    super(describeProblem(problem), options);
    this.name = new.target.name;
    this.code = problem.code;
  }
}

/** The user can mend it: a flag, a file, a checkpoint. Nothing was started. Exit code 2. */
export class UserError extends LadmError {}

/** One row is bad; the run goes on and ends with exit code 3. */
export class RowError extends LadmError {}

/** The engine's process failed on one sample (crash, out of memory); the run goes on. */
export class EngineError extends LadmError {}

/** Exit codes of every command. */
export const EXIT = { done: 0, ours: 1, user: 2, badRows: 3, interrupted: 130 } as const;

/** The message of anything thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The Node error code (`ENOENT`, …) of anything thrown, if it has one. */
export function systemCodeOf(thrown: unknown): string | undefined {
  return thrown instanceof Error && "code" in thrown && typeof thrown.code === "string" ? thrown.code : undefined;
}
