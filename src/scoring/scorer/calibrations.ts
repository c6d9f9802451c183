import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Checkpoint } from "../../checkpoint/checkpoint.js";
import { fingerprintCheckpoint } from "../../checkpoint/fingerprint.js";
import { identifyModel, isSameModel, type ModelIdentity } from "../../checkpoint/samples.js";
import { UserError } from "../../core/errors.js";
import { LEXICAL } from "../../core/lexical.js";
import { formatCount } from "../../core/units.js";
import { type Calibration, readCalibration } from "../../formats/calibration.js";
import type { Definition, SpanSettings } from "../../measure/definition.js";

/** Those that come with this package. */
const PACKAGE_FOLDER = fileURLToPath(new URL("../../../calibrations", import.meta.url));

/** What a calibration must fit besides the checkpoint. */
export interface CalibratedSettings extends SpanSettings {
  /** Tokens of the window. */
  readonly maxLength: number;
  readonly definition: Definition["name"];
}

export interface CalibrationTarget extends CalibratedSettings {
  readonly checkpoint: Checkpoint;
}

/** What was found when a calibration was looked for. */
export interface CalibrationChoice {
  /** Null: the published score. */
  readonly calibration: Calibration | null;
  /** Why none is used though one was looked for, in one line; else null. */
  readonly reason: string | null;
  /** There is one for this checkpoint, for other settings. */
  readonly isForOtherSettings: boolean;
}

export const NO_CALIBRATION: CalibrationChoice = { calibration: null, reason: null, isForOtherSettings: false };

export interface CalibrationFlags {
  /** A file, `auto` or `none`. */
  readonly calibration?: string | undefined;
  readonly model?: string | undefined;
  readonly ablation?: string | null | undefined;
  readonly layers?: readonly number[] | undefined;
  readonly definition?: string | undefined;
  readonly attention?: string | undefined;
  readonly precision?: string | undefined;
  readonly pairs?: string | undefined;
  readonly formula?: string | undefined;
}

/**
 * `auto` when nothing is said; `none` where another score is asked for.
 * @throws UserError `calibration-options` when both a calibration and another score are asked for
 */
export function askedCalibration(flags: CalibrationFlags): string {
  const { calibration, model, ablation, layers, definition, attention, precision, pairs, formula } = flags;
  const others = [
    ...(model === LEXICAL ? [`--model ${LEXICAL}`] : []),
    ...(typeof ablation === "string" ? ["--ablation"] : []),
    ...(layers === undefined ? [] : ["--layers"]),
    ...(definition === undefined ? [] : ["--definition"]),
    ...(attention === undefined ? [] : ["--attention"]),
    ...(precision === undefined ? [] : ["--precision"]),
    ...(pairs === undefined ? [] : ["--pairs"]),
    ...(formula === undefined ? [] : ["--formula"]),
  ];
  if (others.length === 0) return calibration ?? "auto";
  if (calibration === undefined || calibration === "none") return "none";
  throw new UserError({
    code: "calibration-options",
    what: "A calibration says itself how the pass is made, which layers it listens to and what it makes of them",
    got: `--calibration ${calibration} and ${others.join(", ")}`,
    allowed: "one or the other",
    fix: "Leave one of them out.",
  });
}

/**
 * Looks for a calibration: the file named, or for `auto` that of the checkpoint's folder, then those of this package.
 * @throws UserError `calibration-missing` or `calibration-mismatch` for a file that is named; `calibration-broken`
 */
export async function findCalibration(asked: string, target: CalibrationTarget): Promise<CalibrationChoice> {
  const { checkpoint } = target;
  if (asked === "none") return NO_CALIBRATION;
  if (asked !== "auto") return { ...NO_CALIBRATION, calibration: await namedCalibration(asked, target) };
  let reason: string | null = null;
  let nearestReason: string | null = null;
  let identity: ModelIdentity | undefined;
  for (const { path, label } of await candidates(checkpoint.directory)) {
    const calibration = await readCalibration(path);
    if (calibration === null) continue;
    identity ??= await identifyModel(checkpoint);
    if (!(await isMadeFor(calibration, checkpoint, identity))) {
      // The others are for other checkpoints as a matter of course.
      if (path === label) reason = `${label} is for another checkpoint`;
      continue;
    }
    const [first] = settingsDifferences(calibration, target);
    if (first === undefined) return { ...NO_CALIBRATION, calibration };
    nearestReason ??= `${label} is for ${first.there}, this run has ${first.here}`;
  }
  return {
    calibration: null,
    reason: nearestReason ?? reason ?? "there is no calibration for this checkpoint",
    isForOtherSettings: nearestReason !== null,
  };
}

/**
 * The samples tell most checkpoints apart; in the precision of the calibration's own, every byte of the weights does.
 * Of another precision the samples must do, and a fine-tune that leaves them within rounding is not told from its base.
 */
async function isMadeFor({ model }: Calibration, checkpoint: Checkpoint, identity: ModelIdentity): Promise<boolean> {
  if (!isSameModel(model, identity)) return false;
  const isSamePrecision = model.samples.every(({ dtype }, at) => dtype === identity.samples[at]?.dtype);
  return !isSamePrecision || (await fingerprintCheckpoint(checkpoint)) === model.fingerprint;
}

/** A calibration that is named must be there. @throws UserError `calibration-missing`, `calibration-broken` */
export async function readNamedCalibration(path: string): Promise<Calibration> {
  const calibration = await readCalibration(path);
  if (calibration !== null) return calibration;
  throw new UserError({
    code: "calibration-missing",
    what: "There is no such calibration",
    where: path,
    got: "nothing there",
    allowed: "a file that `ladm calibrate` wrote, auto or none",
    fix: "Check the path.",
  });
}

/** @throws UserError `calibration-mismatch` naming each difference, where there is one */
export function refuseMismatch(path: string, differences: readonly Difference[]): void {
  if (differences.length === 0) return;
  throw new UserError({
    code: "calibration-mismatch",
    what: "The calibration is not for this run",
    where: path,
    got: differences.map(({ here }) => here).join(", "),
    allowed: differences.map(({ there }) => there).join(", "),
    fix: "Give the settings that it was made with, another calibration, or --calibration none.",
  });
}

/** What a calibration is for, against what the run has. */
export interface Difference {
  readonly there: string;
  readonly here: string;
}

export const OTHER_CHECKPOINT: Difference = {
  there: "the checkpoint that it was made with",
  here: "another checkpoint",
};

export function settingsDifferences(
  calibration: Calibration,
  { maxLength, definition, attnChunkSize, dAfs, dCds }: CalibratedSettings,
): readonly Difference[] {
  const pairs: readonly (readonly [number | string, number | string, (value: number | string) => string])[] = [
    [calibration.maxLength, maxLength, (value) => `a window of ${formatCount(Number(value))} tokens`],
    [calibration.attnChunkSize, attnChunkSize, (value) => `spans of ${value} tokens`],
    [calibration.dAfs, dAfs, (value) => `--d-afs ${value}`],
    [calibration.dCds, dCds, (value) => `--d-cds ${value}`],
    [calibration.definition, definition, (value) => `--definition ${value}`],
  ];
  return pairs.flatMap(([there, here, say]) => (there === here ? [] : [{ there: say(there), here: say(here) }]));
}

async function namedCalibration(path: string, target: CalibrationTarget): Promise<Calibration> {
  const calibration = await readNamedCalibration(path);
  const { checkpoint } = target;
  const isSame = await isMadeFor(calibration, checkpoint, await identifyModel(checkpoint));
  refuseMismatch(path, [...(isSame ? [] : [OTHER_CHECKPOINT]), ...settingsDifferences(calibration, target)]);
  return calibration;
}

/** In the order in which they are tried. */
async function candidates(directory: string): Promise<readonly { readonly path: string; readonly label: string }[]> {
  const beside = join(directory, "calibration.json");
  const names = await readdir(PACKAGE_FOLDER).catch(() => []);
  const packaged = names.filter((name) => name.endsWith(".json")).sort();
  return [
    { path: beside, label: beside },
    ...packaged.map((name) => ({ path: join(PACKAGE_FOLDER, name), label: `calibrations/${name}` })),
  ];
}
