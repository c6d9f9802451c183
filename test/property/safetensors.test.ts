import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, it } from "vitest";
import { parseConfig } from "#ladm/checkpoint/config.js";
import { readSafetensorsHeader } from "#ladm/checkpoint/safetensors.js";
import { UserError } from "#ladm/core/errors.js";
import { openCheckpoint } from "#ladm/decoder/open-checkpoint.js";
import { safetensors, safetensorsOf, TINY, tinyTensors, writeFolder } from "../unit/checkpoint-files.js";

const folder = writeFolder({ "config.json": TINY, "model.safetensors": safetensorsOf(tinyTensors()) });
const path = join(folder, "model.safetensors");
const good = safetensorsOf(tinyTensors());
const headerBytes = Number(good.readBigUInt64LE());

/** Whatever is thrown is the user's problem, with words for it. */
async function orUserError(action: () => unknown): Promise<void> {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    expect(error.problem.where).toBeTruthy();
  }
}

it("random bytes give an error of the user's", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
      writeFileSync(path, bytes);
      await expect(readSafetensorsHeader(path)).rejects.toBeInstanceOf(UserError);
    }),
    { numRuns: 200 },
  );
});

it("any JSON as header gives tensors inside the file, or an error of the user's", async () => {
  const offsets = fc.array(fc.oneof(fc.integer({ min: -8, max: 80 }), fc.double()), { minLength: 2, maxLength: 2 });
  const entry = fc.record({
    dtype: fc.constantFrom("F32", "F16", "I8", ""),
    shape: fc.array(fc.oneof(fc.nat(6), fc.maxSafeInteger()), { maxLength: 3 }),
    data_offsets: offsets,
  });
  const header = fc.oneof(fc.jsonValue(), fc.dictionary(fc.string(), fc.oneof(entry, fc.jsonValue())));
  await fc.assert(
    fc.asyncProperty(header, fc.nat(64), async (json, dataBytes) => {
      const bytes = safetensors(JSON.stringify(json), dataBytes);
      writeFileSync(path, bytes);
      await orUserError(async () => {
        for (const { offset, sizeBytes } of (await readSafetensorsHeader(path)).values()) {
          expect(offset).toBeGreaterThanOrEqual(bytes.length - dataBytes);
          expect(offset + sizeBytes).toBeLessThanOrEqual(bytes.length);
        }
      });
    }),
    { numRuns: 300 },
  );
});

it("a checkpoint with changed or missing bytes opens whole, or gives an error of the user's", async () => {
  const change = fc.record({ at: fc.nat(headerBytes + 7), byte: fc.nat(255) });
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 4 }), fc.option(fc.nat(good.length)), async (changes, cut) => {
      const bytes = Buffer.from(good.subarray(0, cut ?? good.length));
      for (const { at, byte } of changes) if (at < bytes.length) bytes[at] = byte;
      writeFileSync(path, bytes);
      await orUserError(async () => {
        const { tensors } = await openCheckpoint(folder);
        for (const { offset, sizeBytes } of tensors.values()) {
          expect(offset + sizeBytes).toBeLessThanOrEqual(bytes.length);
        }
      });
    }),
    { numRuns: 300 },
  );
});

it("any config gives a decoder with whole sizes, or an error of the user's", async () => {
  const fields = [...Object.keys(TINY), "rope_scaling", "rope_parameters", "rope_theta", "layer_types", "rms_norm_eps"];
  const scaling = fc.record(
    {
      rope_type: fc.constantFrom("linear", "dynamic", "llama3", "yarn", "default"),
      factor: fc.oneof(fc.double(), fc.integer({ min: 1, max: 64 }), fc.constant(null)),
      low_freq_factor: fc.double({ min: 0, max: 4 }),
      high_freq_factor: fc.double({ min: 0, max: 4 }),
      mscale: fc.double(),
      mscale_all_dim: fc.double(),
      original_max_position_embeddings: fc.integer({ min: -1, max: 4096 }),
    },
    { requiredKeys: ["rope_type"] },
  );
  const value = fc.oneof(fc.jsonValue(), fc.integer({ min: -2, max: 200 }), scaling);
  await fc.assert(
    fc.asyncProperty(fc.dictionary(fc.constantFrom(...fields), value), async (changes) => {
      await orUserError(() => {
        const config = parseConfig({ ...TINY, ...changes, model_type: "llama" }, "config.json");
        for (const size of [config.headDim / 2, config.headCount / config.keyValueHeadCount, config.windowTokens]) {
          expect(Number.isSafeInteger(size) && size > 0).toBe(true);
        }
        for (const number of Object.values(config.ropeScaling)) {
          if (typeof number === "number") expect(Number.isFinite(number) && number > 0).toBe(true);
        }
      });
    }),
    { numRuns: 1000 },
  );
});
