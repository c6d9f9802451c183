/** Shapes and parsers of flags that several commands have. A parser throws what is allowed. */

import { FORMULAS, PAIR_KINDS, type PairKind } from "../core/pair-kind.js";
import { PRECISIONS } from "../core/plan.js";

/** A flag that is there or not. */
export function switchFlag(brief: string) {
  return { kind: "boolean", brief, optional: true, withNegated: false } as const;
}

/** A flag with one value, as it is. */
export function textFlag(placeholder: string, brief: string) {
  return { kind: "parsed", parse: String, placeholder, brief, optional: true } as const;
}

export function requiredTextFlag(placeholder: string, brief: string) {
  return { kind: "parsed", parse: String, placeholder, brief } as const;
}

/** A whole number of at least `minimum`. */
export function countFlag(brief: string, { minimum = 1 }: { readonly minimum?: number } = {}) {
  const parse = (text: string): number => {
    const value = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= minimum) return value;
    throw new SyntaxError(`allowed: a whole number from ${minimum}`);
  };
  return { kind: "parsed", parse, placeholder: "N", brief, optional: true } as const;
}

/** Which columns of the data hold what. */
export interface ColumnFlags {
  readonly textColumn?: string;
  readonly idColumn?: string;
  readonly metaColumns?: readonly string[];
}

export const columnFlags = {
  textColumn: textFlag("NAME", "Column with the text; default: text, or one that looks like it"),
  idColumn: textFlag("NAME", "Column of the document's id; default: id"),
  metaColumns: {
    kind: "parsed",
    parse: (text: string): readonly string[] => (text === "none" ? [] : text.split(",").map((name) => name.trim())),
    placeholder: "NAMES",
    brief:
      "Columns kept beside the score where there is no column meta (source,metadata.lang), or none; default: useful ones",
    optional: true,
  },
} as const;

/** Taken off the command line before a command sees it (`config.ts`, `log-file.ts`). */
export interface CommonFlags {
  readonly config?: string;
  readonly log?: string;
}

export const commonFlags = {
  config: textFlag("FILE", "Take flags from a JSON file, named as here; those of the command line win"),
  log: textFlag("FILE", "Also write what is printed to FILE, with the time"),
} as const;

/** What is left for the command. */
export function ownFlags<Flags extends CommonFlags>(flags: Flags): Omit<Flags, keyof CommonFlags> {
  const { config: _config, log: _log, ...own } = flags;
  return own;
}

/** The flags named first, in that order; `--help` leaves the others to `--help-all`. */
export function everydayFirst<const Flags extends object>(
  flags: Flags,
  everyday: readonly (keyof Flags & string)[],
): Flags {
  const shown: ReadonlySet<string> = new Set(everyday);
  const first = everyday.map((name): readonly [string, unknown] => [name, flags[name]]);
  const expert = Object.entries(flags)
    .filter(([name]) => !shown.has(name))
    .map(([name, flag]: readonly [string, object]): readonly [string, unknown] => [name, { ...flag, hidden: true }]);
  return Object.fromEntries([...first, ...expert]) as Flags;
}

/** What `--data` takes. */
export function dataFlag() {
  const brief =
    "Files, folders, patterns, a hub name (org/name) or - (standard input): texts, CSV, JSON, Parquet, Arrow, saved datasets";
  return { ...filesFlag(brief), optional: false } as const;
}

/** Files: several values after one flag, or the flag several times. */
export function filesFlag(brief: string) {
  return { kind: "parsed", parse: String, placeholder: "FILE", brief, variadic: true, optional: true } as const;
}

/** One run, or several that are taken for one. */
export const runsParameter = {
  kind: "array",
  parameter: { parse: String, placeholder: "RUN", brief: "Run folders, or one folder of part*-score.json files" },
  minimum: 1,
} as const;

const TOKEN_UNITS: Readonly<Record<string, number>> = { "": 1, K: 1e3, M: 1e6, G: 1e9, B: 1e9, T: 1e12 };

/** `1073741824`, `500M`, `1.5G`; units are powers of ten. */
export function parseTokens(text: string): number {
  const [, digits = "", unit = ""] = /^(\d+(?:\.\d+)?)([kmgbt]?)$/i.exec(text.replaceAll(/[,_]/g, "")) ?? [];
  const value = Math.round(Number(digits) * (TOKEN_UNITS[unit.toUpperCase()] ?? 1));
  if (digits !== "" && value >= 1 && Number.isSafeInteger(value)) return value;
  throw new SyntaxError("allowed: a number of tokens such as 1073741824, 500M or 1.5G (1G is 1,000,000,000)");
}

/** `10%` or `10`. */
export function parsePercent(text: string): number {
  const [, digits = ""] = /^(\d+(?:\.\d+)?)%?$/.exec(text) ?? [];
  const value = Number(digits);
  if (value > 0 && value <= 100) return value;
  throw new SyntaxError("allowed: a percentage above 0, at most 100, such as 10%");
}

/** `books=2,code=1.5`; a name may hold anything but a comma. */
export function parseWeights(text: string): Readonly<Record<string, number>> {
  const weights = text.split(",").map((one) => {
    const [, name = "", weight = ""] = /^(.+)=([^=]+)$/.exec(one.trim()) ?? [];
    if (name === "" || !(Number(weight) > 0))
      throw new SyntaxError("allowed: GROUP=WEIGHT,…, such as books=2,code=0.5");
    return [name, Number(weight)] as const;
  });
  return Object.fromEntries(weights);
}

export function parseDecimal(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value)) return value;
  throw new SyntaxError("allowed: a number such as 0.25");
}

/** `0.99` or `99%`. */
export function parseAgreement(text: string): number {
  const [, digits = "", unit = ""] = /^(\d*\.?\d+)(%?)$/.exec(text) ?? [];
  const value = unit === "%" ? Number(digits) / 100 : Number(digits);
  if (digits !== "" && value >= 0.5 && value < 1) return value;
  throw new SyntaxError("allowed: a share from 0.5 to below 1, such as 0.99 or 99%");
}

/** `0.4` or `none`. */
export function parseRedundancy(text: string): number | "none" {
  if (text === "none") return text;
  const value = Number(text);
  if (text.trim() !== "" && value >= 0 && value <= 1) return value;
  throw new SyntaxError("allowed: a part from 0 to 1 such as 0.4, or none");
}

/** How a pass is made, where it need not be the published one. */
/** `contribution` is `contribution:head`. */
export function parsePairKind(text: string): PairKind {
  const named = text.trim() === "contribution" ? "contribution:head" : text.trim();
  const kind = PAIR_KINDS.find((one) => one === named);
  if (kind !== undefined) return kind;
  throw new SyntaxError("allowed: attention, contribution, contribution:head or contribution:layer");
}

export function pairsFlag(brief: string) {
  return { kind: "parsed", parse: parsePairKind, placeholder: "KIND", brief, optional: true } as const;
}

export const formulaFlag = {
  kind: "enum",
  values: FORMULAS,
  brief: "How pair scores become a score; default: published for attention, sum for contributions",
  optional: true,
} as const;

export const planFlags = {
  attention: textFlag(
    "SPEC",
    "What layers attend to: full (default), window:2048, window:1024+sink:64, or 0-11=window:1024,12-23=full",
  ),
  precision: {
    kind: "enum",
    values: PRECISIONS,
    brief: "Precision of the linear layers; default: float32. int8 is approximate, and faster where layers are wide",
    optional: true,
  },
} as const;
