import { basename } from "node:path";
import { type Problem, UserError } from "../../core/errors.js";
import { formatCount } from "../../core/units.js";

/** No Parquet file, or a torn one. */
export function parquetBroken(path: string, got: string, cause?: unknown): UserError {
  return new UserError(
    {
      code: "parquet-broken",
      what: "The Parquet file cannot be understood",
      where: path,
      got,
      allowed: "a whole Parquet file",
      fix: "Fetch or write the file again.",
    },
    { cause },
  );
}

export function parquetUnsupported(path: string, got: string, allowed: string, cause?: unknown): UserError {
  return new UserError(
    {
      code: "parquet-unsupported",
      what: "This kind of Parquet file is not read or written",
      where: path,
      got,
      allowed,
      fix: "Write it again in another way.",
    },
    { cause },
  );
}

export const FILE_CHANGED: Problem = {
  code: "data-changed",
  what: "The data file was changed while it was read",
  fix: "Start again when nothing writes it.",
};

/** Rows `[start, end)` of the file. */
export function damagedRowGroup(
  path: string,
  place: { readonly rowGroup: number; readonly start: number; readonly end: number },
  got: string,
): Problem {
  const { rowGroup, start, end } = place;
  return {
    code: "damaged-file",
    what: `Rows ${formatCount(start + 1)} to ${formatCount(end)} of the file cannot be read`,
    where: `${basename(path)}, row group ${rowGroup}`,
    got,
    fix: "Fetch or write the file again.",
  };
}
