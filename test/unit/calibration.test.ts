import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { fingerprintCheckpoint } from "#ladm/checkpoint/fingerprint.js";
import { identifyModel, isSameModel, type ModelIdentity } from "#ladm/checkpoint/samples.js";
import { formatRanges } from "#ladm/core/units.js";
import { openCheckpoint } from "#ladm/decoder/open-checkpoint.js";
import {
  calibrationFingerprint,
  documentFrequenciesOf,
  encodeDocumentFrequencies,
  readCalibration,
} from "#ladm/formats/calibration.js";
import { calibratedScore } from "#ladm/measure/calibrated.js";
import { askedCalibration, findCalibration } from "#ladm/scoring/scorer/calibrations.js";
import { madeCalibration } from "./made-calibration.js";
import { temporaryFolder } from "./selection-run.js";

const DATA = fileURLToPath(new URL("../golden/data/", import.meta.url));
const EMBEDDED = fileURLToPath(new URL("../../models/lac-tiny/", import.meta.url));
const identify = async (model: string) => identifyModel(await openCheckpoint(join(DATA, model)));

describe("one source in several precisions", () => {
  const names = ["llama-mlp-bias", "llama-mlp-bias-f16", "llama-mlp-bias-bf16"];

  it("has one identity, whichever file comes first", async () => {
    const identities = await Promise.all(names.map(identify));
    expect(identities.map(({ samples }) => samples[0]?.dtype)).toEqual(["F32", "F16", "BF16"]);
    for (const a of identities) for (const b of identities) expect(isSameModel(a, b)).toBe(true);
  });

  it("and so in one file or sharded", async () => {
    expect(isSameModel(await identify("llama-yarn"), await identify("llama-yarn-sharded"))).toBe(true);
  });

  it("has one fingerprint in one file or sharded, another in each precision", async () => {
    const print = async (model: string) => fingerprintCheckpoint(await openCheckpoint(join(DATA, model)));
    expect(await print("llama-yarn-sharded")).toBe(await print("llama-yarn"));
    expect(new Set(await Promise.all(names.map(print))).size).toBe(names.length);
  });

  it("the embedded scorer's calibration is of its weights", async () => {
    const calibration = await readCalibration(join(EMBEDDED, "calibration.json"));
    expect(calibration?.model.fingerprint).toBe(await fingerprintCheckpoint(await openCheckpoint(EMBEDDED)));
  });

  it("samples are the values of the file", async () => {
    const { samples } = await identify("llama-mlp-bias");
    expect(samples).toHaveLength(1 + 2 * 3);
    for (const { values } of samples) expect(new Set(values).size).toBe(8);
  });

  it.each(names)("%s moved by 1% is another model, at every precision", async (name) => {
    const moved = await movedWeights(name, 1.01);
    for (const other of names) expect(isSameModel(await identify(other), moved)).toBe(false);
  });

  it("of one precision, values must be equal", async () => {
    const known = await identify("llama-mlp-bias-bf16");
    expect(
      isSameModel(
        known,
        changed(known, (value) => value * (1 + 2 ** -9)),
      ),
    ).toBe(false);
  });

  it("another configuration, other tensors or none are another model", async () => {
    const known = await identify("llama-mlp-bias");
    expect(isSameModel({ ...known, configuration: "0" }, known)).toBe(false);
    expect(isSameModel({ ...known, samples: [] }, known)).toBe(false);
    expect(isSameModel({ ...known, samples: known.samples.toReversed() }, known)).toBe(false);
    expect(isSameModel(await identify("llama-mha"), await identify("llama-gqa"))).toBe(false);
  });

  it.each([
    // Half of the last place on both sides of a float32 weight, and just beyond.
    { dtype: "BF16", value: 1 + 2 ** -8, same: true },
    { dtype: "BF16", value: 1 + 2 ** -8 + 2 ** -15, same: false },
    { dtype: "F16", value: 1 + 2 ** -11, same: true },
    { dtype: "F16", value: 1 + 2 ** -11 + 2 ** -18, same: false },
  ] as const)("F32 1 against $dtype $value: $same", ({ dtype, value, same }) => {
    const of = (kind: "F32" | "F16" | "BF16", values: readonly number[]): ModelIdentity => ({
      configuration: "",
      samples: [{ tensor: "t", dtype: kind, values }],
    });
    expect(isSameModel(of("F32", [value]), of(dtype, [1]))).toBe(same);
    expect(isSameModel(of(dtype, [1]), of("F32", [value]))).toBe(same);
    // Subnormal as float16: 2^-25 is rounded to 0.
    expect(isSameModel(of("F32", [2 ** -25]), of("F16", [0]))).toBe(true);
    expect(isSameModel(of("F32", [2 ** -25]), of("BF16", [0]))).toBe(false);
  });

  /** The checkpoint with the bytes of every weight moved, as a fine-tune has it. */
  async function movedWeights(name: string, factor: number): Promise<ModelIdentity> {
    const folder = join(await temporaryFolder("ladm-moved-"), name);
    mkdirSync(folder);
    cpSync(join(DATA, name), folder, { recursive: true });
    const checkpoint = await openCheckpoint(folder);
    for (const { file, offset, sizeBytes, dtype } of checkpoint.tensors.values()) {
      const bytes = readFileSync(file);
      const width = dtype === "F32" ? 4 : 2;
      for (let at = offset; at < offset + sizeBytes; at += width) {
        // In the last places that 1% changes: 2.56 units of a bfloat16, 10 to 20 of a float16.
        if (dtype === "F32") bytes.writeFloatLE(bytes.readFloatLE(at) * factor, at);
        else bytes.writeUInt16LE((bytes.readUInt16LE(at) + (dtype === "BF16" ? 2 : 16)) & 0xffff, at);
      }
      writeFileSync(file, bytes);
    }
    return identifyModel(await openCheckpoint(folder));
  }

  const changed = (identity: ModelIdentity, change: (value: number) => number): ModelIdentity => ({
    ...identity,
    samples: identity.samples.map((sample) => ({ ...sample, values: sample.values.map(change) })),
  });
});

it("a calibration is for the weights that it was made with, in every byte, or for another precision of them", async () => {
  const folder = await temporaryFolder("ladm-calibrated-");
  cpSync(join(DATA, "llama-mlp-bias"), folder, { recursive: true });
  const calibration = await madeCalibration(folder);
  const path = join(folder, "calibration.json");
  writeFileSync(path, JSON.stringify(calibration));
  const find = async (asked: string, model: string) => {
    const checkpoint = await openCheckpoint(model);
    const { maxLength, definition, attnChunkSize, dAfs, dCds } = calibration;
    return findCalibration(asked, { checkpoint, maxLength, definition, attnChunkSize, dAfs, dCds });
  };
  expect((await find("auto", folder)).calibration).toEqual(calibration);
  for (const other of ["llama-mlp-bias-f16", "llama-mlp-bias-bf16"]) {
    expect((await find(path, join(DATA, other))).calibration).toEqual(calibration);
  }
  const tensor = (await openCheckpoint(folder)).tensors.get("layers.1.mlp.up_proj.weight");
  if (tensor === undefined) throw new Error("no such tensor");
  const bytes = readFileSync(tensor.file);
  bytes.writeFloatLE(3, tensor.offset);
  writeFileSync(tensor.file, bytes);
  // No sample sees it.
  expect(isSameModel(calibration.model, await identifyModel(await openCheckpoint(folder)))).toBe(true);
  expect(await find("auto", folder)).toEqual({
    calibration: null,
    reason: `${path} is for another checkpoint`,
    isForOtherSettings: false,
  });
  await expect(find(path, folder)).rejects.toMatchObject({ code: "calibration-mismatch" });
});

it("a calibration that is a link to nowhere is no lack of one", async () => {
  const path = join(await temporaryFolder("ladm-dangling-"), "calibration.json");
  expect(await readCalibration(path)).toBeNull();
  symlinkSync("gone", path);
  await expect(readCalibration(path)).rejects.toMatchObject({ code: "calibration-broken" });
});

describe("document frequencies", () => {
  it("come back, large ones as 65,535", () => {
    const counts = new Map([
      [0, 3],
      [7, 65_535],
      [300, 70_000],
    ]);
    const text = encodeDocumentFrequencies(counts);
    expect(Buffer.from(text, "base64")).toHaveLength(602);
    const back = documentFrequenciesOf({ documentCount: 80_000, documentFrequencies: text });
    expect(back).toEqual({ documentCount: 80_000, counts: new Map(counts).set(300, 65_535) });
  });
});

describe("calibration.json", () => {
  const write = async (change: (made: Awaited<ReturnType<typeof madeCalibration>>) => object) => {
    const path = join(await temporaryFolder("ladm-calibration-"), "calibration.json");
    writeFileSync(path, JSON.stringify(change(await madeCalibration(join(DATA, "llama-mha")))));
    return path;
  };

  it("is read as it was written; none is null", async () => {
    const path = await write((made) => made);
    expect(await readCalibration(path)).toEqual(await madeCalibration(join(DATA, "llama-mha")));
    expect(await readCalibration(`${path}.not`)).toBeNull();
  });

  it("has a fingerprint of what makes the score, and of nothing else", async () => {
    const made = await madeCalibration(join(DATA, "llama-mha"));
    const print = calibrationFingerprint(made);
    expect(calibrationFingerprint({ ...made, name: "other", versions: { ladm: "9" } })).toBe(print);
    expect(calibrationFingerprint({ ...made, maxLength: 2048 })).not.toBe(print);
    const weights = made.weights.map((weight) => ({ ...weight, scale: 9 }));
    expect(calibrationFingerprint({ ...made, weights })).not.toBe(print);
  });

  it.each<[string, Parameters<typeof write>[0], RegExp]>([
    ["a layer that the model has not", (m) => ({ ...m, weights: [{ ...m.weights[0], layer: 3 }] }), /has not/],
    ["heads among layers", (m) => ({ ...m, weights: [{ ...m.weights[0], head: 0 }] }), /heads/],
    ["a weight of 0", (m) => ({ ...m, weights: [{ ...m.weights[0], weight: 0 }] }), /weights/],
    ["a name that a terminal obeys", (m) => ({ ...m, name: "a\u001b[2J" }), /name/],
    ["a field that there is not", (m) => ({ ...m, extra: 1 }), /extra/],
  ])("refused: %s", async (_name, change, message) => {
    const thrown: unknown = await readCalibration(await write(change)).catch((error: unknown) => error);
    expect(thrown).toMatchObject({ code: "calibration-broken" });
    expect(String(thrown)).toMatch(message);
  });
});

describe("calibratedScore", () => {
  const grid = { length: 10, spanLength: 1, queries: [{ start: 9, keys: [5, 3, 1] }] };
  const pairs = { grid, layers: [2, 4], headCount: null, values: Float32Array.of(1, 2, 6, 3, 4, 8) };
  const heads = { ...pairs, layers: [2], headCount: 2 };
  const plain = { over: "median", std: false, distance: false, withoutSink: false } as const;
  const layer = (at: number) => ({ layer: at, head: null, weight: 1, scale: 2 });

  it("sums weight · focus / scale", () => {
    const of = { aggregation: plain, by: "layer", lexical: null, weights: [layer(2), layer(4)] } as const;
    expect(calibratedScore(pairs, of, null)).toBe(1 + 2);
    const one = { ...of, by: "head", weights: [{ layer: 2, head: 1, weight: 3, scale: 2 }] } as const;
    expect(calibratedScore(heads, one, null)).toBe(6);
  });

  it("what is missing is null", () => {
    const of = { aggregation: plain, by: "layer", lexical: null, weights: [layer(2)] } as const;
    expect(calibratedScore(pairs, { ...of, weights: [layer(3)] }, null)).toBeNull();
    expect(calibratedScore(pairs, { ...of, by: "head", weights: [{ ...layer(2), head: 0 }] }, null)).toBeNull();
    expect(calibratedScore(heads, { ...of, by: "head", weights: [{ ...layer(2), head: 2 }] }, null)).toBeNull();
    expect(calibratedScore(pairs, { ...of, lexical: { weight: 1, scale: 1, over: "best" } }, null)).toBeNull();
    const none = { ...pairs, grid: { ...grid, queries: [] }, values: new Float32Array() };
    expect(calibratedScore(none, of, null)).toBeNull();
  });
});

describe("which calibration is asked for", () => {
  it.each([
    [{}, "auto"],
    [{ calibration: "c.json" }, "c.json"],
    [{ ablation: "no_std" }, "none"],
    [{ layers: [1] }, "none"],
    [{ definition: "reference" }, "none"],
    [{ model: "lexical" }, "none"],
    [{ calibration: "none", definition: "paper" }, "none"],
    [{ ablation: null }, "auto"],
  ])("%o: %s", (flags, asked) => {
    expect(askedCalibration(flags)).toBe(asked);
  });

  it.each([{ ablation: "no_std" }, { layers: [1] }, { definition: "reference" }, { model: "lexical" }])(
    "a calibration and %o: a mistake",
    (flags) => {
      for (const calibration of ["auto", "c.json"]) {
        expect(() => askedCalibration({ ...flags, calibration })).toThrow("one or the other");
      }
    },
  );
});

it("ranges", () => {
  expect(formatRanges([0, 1, 2, 5, 7, 8])).toBe("0-2,5,7-8");
  expect(formatRanges([])).toBe("");
});
