/**
 * What sets each family apart from Llama: left out, or done in a likely wrong way, the scores miss the golden ones by
 * more than a thousandth. `golden.test.ts` holds the right ones.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { Checkpoint } from "#ladm/checkpoint/checkpoint.js";
import { FAMILIES } from "#ladm/checkpoint/families/index.js";
import type { DecoderSpec } from "#ladm/checkpoint/spec.js";
import { openCheckpoint } from "#ladm/decoder/open-checkpoint.js";
import { aggregate } from "#ladm/measure/aggregate.js";
import { scorerSchema } from "#ladm/scoring/scorer/options.js";
import { Scorer } from "#ladm/scoring/scorer/scorer.js";

const DATA = fileURLToPath(new URL("./data/", import.meta.url));
const TOLERANCE = 1e-5;
const MISSES = 1e-3;
const ID = "random-700";

const read = (file: string): unknown => JSON.parse(readFileSync(join(DATA, file), "utf8"));
const texts = read("ids.json") as readonly { readonly id: string; readonly ids: readonly number[] }[];
const tokens = Int32Array.from(texts.find(({ id }) => id === ID)?.ids ?? []);

/** Scores of the tapped layers, by a checkpoint whose spec is changed. */
async function layersOf(
  model: string,
  change: Partial<Record<keyof DecoderSpec, unknown>>,
): Promise<readonly number[]> {
  const checkpoint = await openCheckpoint(join(DATA, model));
  const config = Object.fromEntries(
    Object.entries({ ...checkpoint.config, ...change }).filter(([, value]) => value !== undefined),
  ) as unknown as DecoderSpec;
  const changed: Checkpoint = { ...checkpoint, config };
  const options = scorerSchema.parse({
    model: join(DATA, model),
    attnChunkSize: 16,
    dAfs: 2,
    dCds: 2,
    pairs: "attention",
    threads: 2,
    maxLength: 1500,
    allowLonger: true,
  });
  const scorer = new Scorer(changed, options, () => Promise.resolve());
  try {
    await scorer.start();
    return aggregate(await scorer.pairScores(tokens)).layers;
  } finally {
    await scorer.close();
  }
}

function goldenLayers(model: string): readonly number[] {
  const { samples } = read(`${model}.chunk16-d_afs2-d_cds2.json`) as {
    readonly samples: readonly { readonly id: string; readonly layers: readonly number[] }[];
  };
  return samples.find(({ id }) => id === ID)?.layers ?? [];
}

/** Largest relative difference; a different number of layers misses too. */
function worst(got: readonly number[], want: readonly number[]): number {
  if (got.length !== want.length) return Number.POSITIVE_INFINITY;
  return Math.max(...want.map((value, at) => Math.abs((got[at] ?? Number.NaN) - value) / Math.abs(value)));
}

/** Of each checkpoint: changes of its spec that are mistakes. */
const MISTAKES: Readonly<Record<string, readonly Partial<Record<keyof DecoderSpec, unknown>>[]>> = {
  mistral: [{ ropeTheta: 10_000 }],
  "mistral-window": [{ layerWindows: [64, 64, 2048] }],
  qwen2: [{ queryKeyValueBias: undefined }],
  "qwen2-window": [{ layerWindows: [null, 96, 96] }, { queryKeyValueBias: undefined }],
  qwen3: [{ queryKeyNorm: undefined }, { ropeTheta: 10_000 }],
  smollm3: [{ unrotatedLayers: undefined }, { unrotatedLayers: [0, 4] }, { ropeTheta: 10_000 }],
  olmo2: [{ queryKeyNorm: undefined }, { rmsNormEps: 0.5 }],
  olmo3: [
    { layerWindows: [97, 97, 97, null] },
    { layerWindows: [94, 94, 94, null] },
    { windowRope: undefined },
    { ropeScaling: { kind: "default" } },
  ],
  phi3: [{ rotaryDim: undefined }],
  "phi3-longrope": [{ ropeScaling: { kind: "default" } }],
  starcoder2: [{ layerNorm: undefined }, { activation: undefined }, { ropeTheta: 10_000 }, { rmsNormEps: 0.3 }],
  "gpt-neox": [
    { parallelResidual: undefined },
    { fusedProjections: "joined" },
    { rotaryDim: undefined },
    { ropeTheta: 10_000 },
    { layerNorm: undefined },
    { activation: undefined },
  ],
  "gpt-neox-serial": [{ parallelResidual: true }, { rotaryDim: undefined }],
  granite: [{ attentionScale: undefined }, { embeddingMultiplier: undefined }, { residualMultiplier: undefined }],
  gemma2: [
    { attentionSoftcap: undefined },
    { attentionScale: undefined },
    { normOffset: undefined },
    { activation: undefined },
    { embeddingMultiplier: undefined },
    { layerWindows: [97, null, 97, null] },
    { layerWindows: [94, null, 94, null] },
  ],
  gemma3: [
    { queryKeyNorm: undefined },
    { windowRope: undefined },
    { ropeScaling: { kind: "default" } },
    { attentionScale: undefined },
    { normOffset: undefined },
    { activation: undefined },
    { layerWindows: [97, null, 97, null] },
  ],
};

it("every family has golden numbers and mistakes to tell apart", () => {
  const models = Object.keys(MISTAKES).map(
    (model) => (read(`${model}/config.json`) as { readonly model_type: string }).model_type,
  );
  for (const { name, modelTypes } of FAMILIES) {
    if (name === "Llama") continue;
    expect(
      modelTypes.some((type) => models.includes(type)),
      name,
    ).toBe(true);
  }
});

describe.each(Object.keys(MISTAKES))("%s", (model) => {
  it("its spec gives the golden scores", async () => {
    expect(worst(await layersOf(model, {}), goldenLayers(model))).toBeLessThan(TOLERANCE);
  });

  it.each(MISTAKES[model] ?? [])("%j misses", async (mistake) => {
    expect(worst(await layersOf(model, mistake), goldenLayers(model))).toBeGreaterThan(MISSES);
  });
});
