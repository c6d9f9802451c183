import { lstat, readFile, stat } from "node:fs/promises";
import { z } from "zod";
import { systemCodeOf, UserError } from "../core/errors.js";
import { hashJson } from "../core/fingerprint.js";
import { describeInvalid } from "../core/invalid.js";
import { parseRecord } from "../core/json.js";
import { ATTENTION, OVERS, PAIR_KINDS } from "../core/pair-kind.js";
import { isExact, PRECISIONS } from "../core/plan.js";

const count = z.number().int().nonnegative();
const positive = z.number().int().positive();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const finite = z.number();
/** No control characters: names are shown. */
const name = z.string().regex(/^[^\p{C}\p{Zl}\p{Zp}]{1,200}$/u);
/** The largest vocabulary that is read takes 11 MB. */
const MAX_BYTES = 32 * 1024 * 1024;

/** A figure with its interval (95%, bootstrap over whole documents). */
const estimate = z.strictObject({ value: finite, low: finite, high: finite });

/** Ranges of layers with their windows, and the precision (`PassPlan`). */
export const planSchema = z.strictObject({
  attention: z
    .array(
      z
        .strictObject({ first: count, last: count, window: positive, sink: count })
        .refine(({ first, last }) => first <= last, "a range of layers that ends before it begins")
        .refine(({ window, sink }) => sink <= window, "a sink longer than the window"),
    )
    .readonly(),
  precision: z.enum(PRECISIONS),
});

/**
 * `calibration.json`: which layers or heads a score listens to, with what weight, and what was measured when they were
 * chosen.
 */
export const calibrationSchema = z
  .strictObject({
    format: z.literal(1),
    /** As people call it; no path. */
    name,
    model: z.strictObject({
      family: z.string(),
      /** Fingerprint of the checkpoint that it was made with. */
      fingerprint: sha256,
      /** Stands for the meaning of the configuration, which every file of the same weights shares. */
      configuration: sha256,
      layerCount: positive,
      headCount: positive,
      /** Some values of some tensors, so that files of other precision are known again. */
      samples: z.array(
        z.strictObject({ tensor: z.string(), dtype: z.enum(["F32", "F16", "BF16"]), values: z.array(finite) }),
      ),
    }),
    /** Tokens of the window. */
    maxLength: positive,
    /** What its pair scores add up; absent: attention. */
    pairs: z.enum(PAIR_KINDS).optional(),
    /** How the pass is made; absent: full attention in float32. */
    plan: planSchema.optional(),
    definition: z.literal("reference"),
    attnChunkSize: positive,
    dAfs: positive,
    dCds: positive,
    aggregation: z.strictObject({
      over: z.enum(OVERS),
      std: z.boolean(),
      distance: z.boolean(),
      withoutSink: z.boolean(),
    }),
    by: z.enum(["layer", "head"]),
    /**
     * The score is the sum of weight · value / scale; `value` is the layer's or head's focus, `scale` its mean over
     * whole documents, and the weights (with that of `lexical`) add up to 1.
     */
    weights: z
      .array(
        z
          .strictObject({
            layer: count,
            head: count.nullable(),
            weight: z.number().positive(),
            scale: z.number().positive(),
          })
          .refine(
            ({ weight, scale }) => Number.isFinite(weight / scale),
            "a weight and a scale that have a finite ratio",
          ),
      )
      .min(1),
    /** The lexical scorer's part; null where it has none. */
    lexical: z
      .strictObject({
        weight: z.number().positive(),
        scale: z.number().positive(),
        over: z.enum(OVERS),
        /** What tokens weigh, with every span a query span; absent: `tf-idf` on the grid of the pair scores. */
        weighting: z.literal("rare-tokens").optional(),
        documentCount: positive,
        /** Documents that have each token, little-endian uint16 by token id, base64. */
        documentFrequencies: z.base64(),
      })
      .refine(isOfItsDocuments, "documentFrequencies: at most documentCount for each token")
      .nullable(),
    /** Cross-validated: chance that a whole document scores above a control of its group. */
    measured: z.strictObject({
      documents: count,
      texts: count,
      folds: count,
      near: estimate.nullable(),
      glued: estimate.nullable(),
      publishedNear: estimate.nullable(),
      publishedGlued: estimate.nullable(),
      lexicalNear: estimate.nullable(),
      lexicalGlued: estimate.nullable(),
    }),
    /** What it was made from; no path. */
    data: z.strictObject({
      part: z.strictObject({ index: positive, of: positive }),
      seed: count,
      segment: positive,
      files: z.array(z.strictObject({ sizeBytes: count, sampledSha256: sha256 })),
      sources: z.array(
        z.strictObject({ group: z.string(), source: z.string(), licence: z.string().nullable(), documents: count }),
      ),
    }),
    versions: z.record(z.string(), z.string()),
  })
  .refine(
    ({ model, weights }) =>
      weights.every(({ layer, head }) => layer < model.layerCount && (head ?? 0) < model.headCount),
    "weights of layers or heads that the model has not",
  )
  .refine(
    ({ model, plan }) => plan?.attention.every(({ last }) => last < model.layerCount) ?? true,
    "windows of layers that the model has not",
  )
  .refine(
    ({ by, weights }) => weights.every(({ head }) => (head === null) === (by === "layer")),
    "weights have heads where heads are weighted, and only there",
  );
export type Calibration = z.infer<typeof calibrationSchema>;

/** What a run's configuration keeps of a calibration. */
export function calibrationFingerprint(calibration: Calibration): string {
  const { model, maxLength, definition, attnChunkSize, dAfs, dCds, aggregation, by, weights, lexical } = calibration;
  const { configuration } = model;
  const { plan, pairs } = calibration;
  return hashJson({
    configuration,
    maxLength,
    definition,
    attnChunkSize,
    dAfs,
    dCds,
    aggregation,
    by,
    weights,
    lexical,
    // Fingerprints of calibrations without them are older than plans and contributions.
    ...(plan === undefined || isExact(plan) ? {} : { plan }),
    ...(pairs === undefined || pairs === ATTENTION ? {} : { pairs }),
  });
}

const MOST_DOCUMENTS = 65_535;

/**
 * Documents that have each token, as `calibration.json` holds them: little-endian uint16 by token id, base64. More than
 * 65,535 documents count as so many.
 * @param counts by token id, from 0
 */
export function encodeDocumentFrequencies(counts: ReadonlyMap<number, number>): string {
  const size = [...counts.keys()].reduce((most, id) => Math.max(most, id + 1), 0);
  const bytes = Buffer.alloc(2 * size);
  for (const [id, count] of counts) bytes.writeUInt16LE(Math.min(count, MOST_DOCUMENTS), 2 * id);
  return bytes.toString("base64");
}

function isOfItsDocuments(table: { readonly documentCount: number; readonly documentFrequencies: string }): boolean {
  const { documentCount, counts } = documentFrequenciesOf(table);
  return [...counts.values()].every((count) => count <= documentCount);
}

/** In how many documents each token occurs, by token id; ids without a document are left out. */
export function documentFrequenciesOf({
  documentCount,
  documentFrequencies,
}: Pick<NonNullable<Calibration["lexical"]>, "documentCount" | "documentFrequencies">): {
  readonly documentCount: number;
  readonly counts: ReadonlyMap<number, number>;
} {
  const bytes = Buffer.from(documentFrequencies, "base64");
  const counts = new Map<number, number>();
  for (let at = 0; at + 2 <= bytes.length; at += 2) {
    const count = bytes.readUInt16LE(at);
    if (count > 0) counts.set(at / 2, count);
  }
  return { documentCount, counts };
}

/** What `run.json` says of a calibration. */
export function describeCalibration(calibration: Calibration): { readonly name: string; readonly fingerprint: string } {
  return { name: calibration.name, fingerprint: calibrationFingerprint(calibration) };
}

/**
 * Reads a calibration.
 * @returns null when there is no such file
 * @throws UserError `calibration-broken`
 */
export async function readCalibration(path: string): Promise<Calibration | null> {
  try {
    const { size } = await stat(path);
    if (size > MAX_BYTES) throw new Error(`${size} bytes, more than ${MAX_BYTES}`);
    return calibrationSchema.parse(parseRecord(await readFile(path, "utf8")));
  } catch (error) {
    const isGone = systemCodeOf(error) === "ENOENT";
    // A link that leads nowhere is a calibration that was lost: without it the scores would be others.
    if (isGone && (await lstat(path).catch(() => null)) === null) return null;
    throw new UserError({
      code: "calibration-broken",
      what: "The calibration cannot be read",
      where: path,
      got: isGone ? "a symbolic link that leads nowhere" : describeInvalid(error),
      allowed: "a file that `ladm calibrate` wrote",
      fix: "Make it again, or give --calibration none.",
    });
  }
}
