import { fingerprintCheckpoint } from "#ladm/checkpoint/fingerprint.js";
import { identifyModel } from "#ladm/checkpoint/samples.js";
import { openCheckpoint } from "#ladm/decoder/open-checkpoint.js";
import type { Calibration } from "#ladm/formats/calibration.js";

/** A calibration as `ladm calibrate` would write it, for a checkpoint, with weights made up by hand. */
export async function madeCalibration(model: string, changes: Partial<Calibration> = {}): Promise<Calibration> {
  const checkpoint = await openCheckpoint(model);
  const { family, layerCount, headCount } = checkpoint.config;
  const { configuration, samples } = await identifyModel(checkpoint);
  return {
    format: 1,
    name: "made by hand",
    model: {
      family,
      fingerprint: await fingerprintCheckpoint(checkpoint),
      configuration,
      layerCount,
      headCount,
      samples: samples.map(({ tensor, dtype, values }) => ({ tensor, dtype, values: [...values] })),
    },
    maxLength: 1024,
    definition: "reference",
    attnChunkSize: 16,
    dAfs: 4,
    dCds: 4,
    aggregation: { over: "median", std: false, distance: false, withoutSink: false },
    by: "layer",
    weights: [
      { layer: 0, head: null, weight: 0.25, scale: 0.5 },
      { layer: 1, head: null, weight: 0.75, scale: 2 },
    ],
    lexical: null,
    measured: {
      documents: 0,
      texts: 0,
      folds: 0,
      near: null,
      glued: null,
      publishedNear: null,
      publishedGlued: null,
      lexicalNear: null,
      lexicalGlued: null,
    },
    data: { part: { index: 1, of: 1 }, seed: 0, segment: 128, files: [], sources: [] },
    versions: {},
    ...changes,
  };
}
