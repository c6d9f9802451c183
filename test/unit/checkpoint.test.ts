import { mkdirSync, realpathSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { fingerprintCheckpoint } from "#ladm/checkpoint/fingerprint.js";
import { UserError } from "#ladm/core/errors.js";
import { openCheckpoint } from "#ladm/decoder/open-checkpoint.js";
import {
  safetensors,
  safetensorsOf,
  shardedTiny,
  TINY,
  temporaryFolder,
  tinyTensors,
  writeFolder,
} from "./checkpoint-files.js";

const PARAMETERS = 16 * 8 + 2 * (8 + 8 + 12 * 8 + 6 * 8 + 6 * 8 + 8 * 12 + 3 * 12 * 8);
const whole = (dtype?: string, prefix?: string) => ({
  "config.json": TINY,
  "model.safetensors": safetensorsOf(tinyTensors(dtype, prefix)),
});

describe("openCheckpoint", () => {
  it.each([
    ["F32", 4],
    ["F16", 2],
    ["BF16", 2],
  ])("opens one file of %s", async (dtype, width) => {
    const folder = writeFolder(whole(dtype));
    const checkpoint = await openCheckpoint(folder);
    expect(checkpoint).toMatchObject({
      directory: folder,
      weightsDirectory: realpathSync(folder),
      tokenizerFile: null,
      parameterCount: PARAMETERS,
      sizeBytes: PARAMETERS * width,
      dtype,
    });
    expect(checkpoint.tensors.size).toBe(1 + 2 * 9);
    expect(checkpoint.tensors.has("norm.weight")).toBe(false);
    expect(checkpoint.tensors.get("layers.1.self_attn.q_proj.weight")).toMatchObject({
      dtype,
      shape: [12, 8],
      sizeBytes: 12 * 8 * width,
      file: join(realpathSync(folder), "model.safetensors"),
    });
  });

  it("opens a bare LlamaModel, whose names have no prefix", async () => {
    const bare = await openCheckpoint(writeFolder(whole("F32", "")));
    const full = await openCheckpoint(writeFolder(whole("F32")));
    expect([...bare.tensors.keys()]).toEqual([...full.tensors.keys()]);
  });

  it("needs neither LM head nor final norm, and passes over buffers and heads of which no score is made", async () => {
    const tensors = tinyTensors();
    tensors.delete("lm_head.weight");
    tensors.delete("model.norm.weight");
    for (const name of [
      "model.layers.0.self_attn.rotary_emb.inv_freq",
      "model.layers.1.self_attn.rotary_emb.cos_cached",
      "model.layers.1.self_attn.masked_bias",
      "model.rotary_emb.inv_freq",
      "score.weight",
      "v_head.summary.weight",
    ]) {
      tensors.set(name, { dtype: "F64", shape: [3] });
    }
    const folder = writeFolder({ ...whole(), "model.safetensors": safetensorsOf(tensors) });
    expect((await openCheckpoint(folder)).parameterCount).toBe(PARAMETERS);
  });

  it.each([
    ["layers.0.self_attn.q_proj.lora_A.default.weight", "merge_and_unload"],
    ["layers.0.self_attn.q_proj.lora_B.weight", "merge_and_unload"],
    ["layers.1.mlp.up_proj.lora_magnitude_vector.default.weight", "merge_and_unload"],
    ["embed_tokens.lora_embedding_A.default", "merge_and_unload"],
    ["layers.1.mlp.up_proj.base_layer.weight", "merge_and_unload"],
    ["layers.0.self_attn.q_norm.weight", "another kind of model"],
    ["layers.0.self_attn.k_norm.weight", "another kind of model"],
    ["layers.1.mlp.up_proj.boft_R.default", "merge_and_unload"],
    ["layers.0.self_attn.q_proj.bias", "Correct attention_bias or mlp_bias"],
    ["layers.1.self_attn.o_proj.bias", "Correct attention_bias or mlp_bias"],
    ["layers.0.mlp.down_proj.bias", "Correct attention_bias or mlp_bias"],
    ["layers.0.input_layernorm.bias", "another kind of model"],
    ["embed_tokens.bias", "another kind of model"],
    ["layers.1.self_attn.sinks", "another kind of model"],
    ["layers.1.pre_feedforward_layernorm.weight", "another kind of model"],
    ["layers.1.post_feedforward_layernorm.weight", "another kind of model"],
    ["layers.1.mlp.experts.0.up_proj.weight", "another kind of model"],
    ["layers.1.mlp.gate.weight", "another kind of model"],
    ["layers.1.block_sparse_moe.gate.weight", "another kind of model"],
    ["layers.1.layer_scale", "another kind of model"],
    ["layers.0.self_attn.q_proj.weight_scale", "quantised"],
    ["layers.0.self_attn.q_proj.weight_scale_inv", "quantised"],
    ["layers.0.self_attn.q_proj.qweight", "quantised"],
    ["layers.0.self_attn.q_proj.qzeros", "quantised"],
    ["layers.0.self_attn.q_proj.scales", "quantised"],
    ["layers.0.self_attn.q_proj.weight_packed", "quantised"],
    ["layers.0.self_attn.q_proj.weight.absmax", "quantised"],
    ["layers.0.self_attn.q_proj.weight.nested_absmax", "quantised"],
    ["layers.0.self_attn.q_proj.SCB", "quantised"],
    ["layers.2.self_attn.q_proj.weight", "num_hidden_layers"],
    ["layers.2.eh_proj.weight", "num_hidden_layers"],
    ["embed_positions.weight", "another kind of model"],
    ["norm.bias", "another kind of model"],
    ["extra", "another kind of model"],
  ])(
    "refuses %s beside the weights that it reads, in one file and in shards, with and without prefix",
    async (name, advice) => {
      for (const prefix of ["model.", ""]) {
        const one = tinyTensors("F32", prefix).set(prefix + name, { dtype: "F32", shape: [2] });
        const error = await refusal(writeFolder({ ...whole(), "model.safetensors": safetensorsOf(one) }));
        expect(error.code).toBe("tensor-unexpected");
        expect(error.message).toContain(`"${prefix}${name}"`);
        expect(error.message).toContain(advice);
      }
      const sharded = shardedTiny();
      const first = "model-00001-of-00002.safetensors";
      const extended = new Map([...tinyTensors()].filter(([known]) => !known.includes("layers.1.")));
      extended.set(`model.${name}`, { dtype: "F32", shape: [2] });
      const unlisted = await refusal(writeFolder({ ...sharded, [first]: safetensorsOf(extended) }));
      expect(unlisted.code).toBe("tensor-unexpected");
    },
  );

  it("refuses whole second sets of names, and says how many tensors there are", async () => {
    for (const prefix of ["base_model.model.model.", "", "model.model.", "language_model.model."]) {
      const both = new Map([...tinyTensors(), ...tinyTensors("F32", prefix)]);
      const error = await refusal(writeFolder({ ...whole(), "model.safetensors": safetensorsOf(both) }));
      expect(error).toMatchObject({ code: "tensor-unexpected" });
      expect(error.message).toContain("20 tensors have no place");
      expect(error.message).toContain(`"${prefix}embed_tokens.weight"`);
      expect(error.message).toContain("and 17 more");
    }
    const deeper = { ...whole(), "config.json": { ...TINY, num_hidden_layers: 1 } };
    expect((await refusal(writeFolder(deeper))).message).toMatch(
      /9 tensors.*num_hidden_layers of config.json, which is 1/,
    );
  });

  it("says of an unmerged adapter model, all of whose names begin with base_model, that it is one", async () => {
    const error = await refusal(
      writeFolder({ ...whole(), "model.safetensors": safetensorsOf(tinyTensors("F32", "base_model.model.model.")) }),
    );
    expect(error.code).toBe("tensor-unexpected");
    expect(error.message).toContain("merge_and_unload");
  });

  it("refuses an adapter beside the weights, and a tensor that lies in two shards", async () => {
    for (const name of ["adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"]) {
      for (const files of [whole(), shardedTiny()]) {
        const error = await refusal(writeFolder({ ...files, [name]: "{}" }));
        expect(error.code).toBe("checkpoint-adapter");
        expect(error.message).toContain(name);
      }
    }
    const second = "model-00002-of-00002.safetensors";
    const inner = new Map([...tinyTensors()].filter(([name]) => name.includes("layers.1.")));
    inner.set("model.layers.0.mlp.up_proj.weight", { dtype: "F32", shape: [12, 8] });
    const twice = await refusal(writeFolder({ ...shardedTiny(), [second]: safetensorsOf(inner) }));
    expect(twice.code).toBe("checkpoint-index");
    expect(twice.message).toContain("model.layers.0.mlp.up_proj.weight");
  });

  it("demands biases when the config says so", async () => {
    const tensors = tinyTensors();
    const config = { ...TINY, attention_bias: true, mlp_bias: true };
    const biases = { q: 12, k: 6, v: 6, o: 8 };
    for (const layer of [0, 1]) {
      for (const [name, size] of Object.entries(biases)) {
        tensors.set(`model.layers.${layer}.self_attn.${name}_proj.bias`, { dtype: "F32", shape: [size] });
      }
      for (const [name, size] of Object.entries({ gate: 12, up: 12, down: 8 })) {
        tensors.set(`model.layers.${layer}.mlp.${name}_proj.bias`, { dtype: "F32", shape: [size] });
      }
    }
    const files = { "config.json": config, "model.safetensors": safetensorsOf(tensors) };
    expect((await openCheckpoint(writeFolder(files))).tensors.size).toBe(1 + 2 * 16);
    await expect(openCheckpoint(writeFolder({ ...whole(), "config.json": config }))).rejects.toMatchObject({
      code: "tensor-missing",
    });
    await expect(openCheckpoint(writeFolder({ ...files, "config.json": TINY }))).rejects.toMatchObject({
      code: "tensor-unexpected",
    });
  });

  it("opens shards, and prefers one whole file to them", async () => {
    const sharded = await openCheckpoint(writeFolder(shardedTiny()));
    expect(basename(sharded.tensors.get("embed_tokens.weight")?.file ?? "")).toBe("model-00001-of-00002.safetensors");
    expect(basename(sharded.tensors.get("layers.1.mlp.up_proj.weight")?.file ?? "")).toBe(
      "model-00002-of-00002.safetensors",
    );
    expect(sharded.parameterCount).toBe(PARAMETERS);
    const both = await openCheckpoint(writeFolder({ ...shardedTiny(), ...whole("F16") }));
    expect(both.dtype).toBe("F16");
  });

  it("follows the links of a hub snapshot to the one folder of real files", async () => {
    const folder = temporaryFolder();
    const snapshot = join(folder, "snapshots", "abc");
    mkdirSync(snapshot, { recursive: true });
    mkdirSync(join(folder, "blobs"));
    const files = { ...shardedTiny(), "tokenizer.json": "{}" };
    for (const [index, [name, content]] of Object.entries(files).entries()) {
      const bytes = Buffer.isBuffer(content) || typeof content === "string" ? content : JSON.stringify(content);
      writeFileSync(join(folder, "blobs", `hash${index}`), bytes);
      symlinkSync(join("..", "..", "blobs", `hash${index}`), join(snapshot, name));
    }
    const checkpoint = await openCheckpoint(snapshot);
    expect(checkpoint.weightsDirectory).toBe(join(realpathSync(folder), "blobs"));
    expect(checkpoint.tokenizerFile).toBe(join(snapshot, "tokenizer.json"));
    for (const { file } of checkpoint.tensors.values()) expect(dirname(file)).toBe(checkpoint.weightsDirectory);
    expect(basename(checkpoint.tensors.get("embed_tokens.weight")?.file ?? "")).toBe("hash2");
    const elsewhere = await openCheckpoint(writeFolder(shardedTiny()));
    expect(await fingerprintCheckpoint(checkpoint)).toBe(await fingerprintCheckpoint(elsewhere));
  });

  it("refuses shards whose real files lie in different folders, and a link that leads nowhere", async () => {
    const folder = writeFolder(shardedTiny());
    const elsewhere = temporaryFolder();
    const shard = "model-00002-of-00002.safetensors";
    renameSync(join(folder, shard), join(elsewhere, shard));
    symlinkSync(join(elsewhere, shard), join(folder, shard));
    const scattered = await refusal(folder);
    expect(scattered.code).toBe("checkpoint-scattered");
    expect(scattered.message).toContain(realpathSync(elsewhere));
    rmSync(join(elsewhere, shard));
    const dangling = await refusal(folder);
    expect(dangling.code).toBe("checkpoint-shard-missing");
    expect(dangling.message).toContain(shard);
  });

  it("has a fingerprint of config and weights, not of names and places", async () => {
    const print = async (files: Parameters<typeof writeFolder>[0]) =>
      await fingerprintCheckpoint(await openCheckpoint(writeFolder(files)));
    const base = await print(whole());
    expect(base).toMatch(/^[0-9a-f]{64}$/);
    expect(await print(whole())).toBe(base);
    expect(await print({ ...whole(), "config.json": { ...TINY, rope_theta: 10_000, bos_token_id: 7 } })).toBe(base);
    expect(await print({ ...whole(), "config.json": { ...TINY, rope_theta: 10_001 } })).not.toBe(base);
    expect(await print(whole("F16"))).not.toBe(base);
    const changed = Buffer.from(whole()["model.safetensors"]);
    changed[changed.length - 1] = 255;
    expect(await print({ ...whole(), "model.safetensors": changed })).not.toBe(base);
  });

  it("has another fingerprint wherever one byte of a large file differs", async () => {
    const embedding = { dtype: "F32", shape: [100_000, 8] };
    const tensors = tinyTensors().set("model.embed_tokens.weight", embedding).set("lm_head.weight", embedding);
    const weights = safetensorsOf(tensors);
    const print = async (at: number) => {
      const changed = Buffer.from(weights);
      changed[at] = 255;
      const files = { "config.json": { ...TINY, vocab_size: 100_000 }, "model.safetensors": changed };
      return fingerprintCheckpoint(await openCheckpoint(writeFolder(files)));
    };
    // Of the embedding, of a projection, of the head.
    const places = [100_000, 3_203_000, weights.length - 100_000];
    const prints = await Promise.all([...places, weights.length - 1].map(print));
    expect(new Set(prints).size).toBe(places.length + 1);
  });

  it.each([
    ["gone", rmSync],
    ["cut short", (file: string) => truncateSync(file, 2000)],
  ])("has no fingerprint where a file is %s since it was opened", async (_, spoil) => {
    const folder = writeFolder(whole());
    const checkpoint = await openCheckpoint(folder);
    spoil(join(folder, "model.safetensors"));
    await expect(fingerprintCheckpoint(checkpoint)).rejects.toMatchObject({
      problem: { code: "checkpoint-unreadable" },
    });
  });
});

type Files = Parameters<typeof writeFolder>[0];
const edited = (edit: (tensors: ReturnType<typeof tinyTensors>) => void): Files => {
  const tensors = tinyTensors();
  edit(tensors);
  return { ...whole(), "model.safetensors": safetensorsOf(tensors) };
};
const index = (json: object | string): Files => ({ ...shardedTiny(), "model.safetensors.index.json": json });
const placed = (file: string) => index({ weight_map: { "model.embed_tokens.weight": file } });
const config = { "config.json": TINY };
const Q = "model.layers.1.self_attn.q_proj.weight";

describe("refusals", () => {
  it.each<[string, Files, string, string[]]>([
    ["no config", {}, "checkpoint-no-config", ["config.json"]],
    ["adapter", { "adapter_config.json": {} }, "checkpoint-no-config", ["adapter", "Merge"]],
    ["config not JSON", { "config.json": "{" }, "checkpoint-not-json", ["config.json"]],
    ["config is null", { "config.json": "null" }, "config-invalid", ["config.json"]],
    ["config says it twice", { "config.json": '{"a":1,"a":2}' }, "checkpoint-repeated-key", ['"a"']],
    ["config too large", { "config.json": " ".repeat(2 ** 20 + 1) }, "checkpoint-file-too-large", ["1.05 MB"]],
    ["no weights", config, "checkpoint-no-weights", ["model.safetensors", "none"]],
    ["pickled only", { ...config, "pytorch_model.bin": "" }, "checkpoint-no-weights", ["pytorch_model.bin", "Pickled"]],
    ["GGUF only", { ...config, "m.gguf": "" }, "checkpoint-no-weights", ["m.gguf", "GGUF"]],
    ["adapter only", { ...config, "adapter_model.safetensors": "" }, "checkpoint-no-weights", ["adapter"]],
    ["other name", { ...config, "weights.safetensors": "" }, "checkpoint-no-weights", ["weights.safetensors"]],
    ["truncated weights", { ...config, "model.safetensors": "x" }, "safetensors-truncated", ["model.safetensors"]],
    ["no tensors", { ...config, "model.safetensors": safetensors("{}", 0) }, "tensor-missing", ["embed_tokens"]],
    ["tensor missing", edited((all) => all.delete(Q)), "tensor-missing", [Q]],
    [
      "wrong shape",
      edited((all) => all.set(Q, { dtype: "F32", shape: [8, 12] })),
      "tensor-shape",
      [Q, "[8, 12]", "[12, 8]"],
    ],
    ["wrong rank", edited((all) => all.set(Q, { dtype: "F32", shape: [12, 8, 1] })), "tensor-shape", ["[12, 8, 1]"]],
    [
      "8-bit floats",
      edited((all) => all.set(Q, { dtype: "F8_E4M3", shape: [12, 8] })),
      "tensor-dtype",
      [Q, "F8_E4M3", "F32, F16, BF16"],
    ],
    [
      "a bias too many",
      edited((all) => all.set("model.layers.0.self_attn.q_proj.bias", { dtype: "F32", shape: [12] })),
      "tensor-unexpected",
      ["q_proj.bias", "attention_bias"],
    ],
    ["index not JSON", index("{"), "checkpoint-not-json", ["index.json"]],
    ["index without map", index({ metadata: {} }), "checkpoint-index", ["weight_map"]],
    ["index is a list", index([]), "checkpoint-index", ["a list"]],
    ["index names no text", index({ weight_map: { a: 7 } }), "checkpoint-index", ["weight_map.a", "7"]],
    ["index lacks a tensor", index({ weight_map: {} }), "tensor-missing", ["embed_tokens"]],
    [
      "index says it twice",
      index('{"weight_map":{"a":"a.safetensors","a":"b.safetensors"}}'),
      "checkpoint-repeated-key",
      ['"a"'],
    ],
    ...[
      "../m.safetensors",
      "/etc/m.safetensors",
      "a\\m.safetensors",
      "..safetensors",
      "c:m.safetensors",
      "m.bin",
      "",
    ].map((name): [string, Files, string, string[]] => [
      `index names ${JSON.stringify(name)}`,
      placed(name),
      "checkpoint-index",
      [JSON.stringify(name), "plain name"],
    ]),
  ])("%s", async (_name, files, code, words) => {
    const error = await refusal(writeFolder(files));
    expect(error.code).toBe(code);
    for (const word of words) expect(error.message).toContain(word);
  });

  it("a missing shard, and a shard that lacks what the index says it holds", async () => {
    const shard = "model-00002-of-00002.safetensors";
    const missing = writeFolder(shardedTiny());
    rmSync(join(missing, shard));
    const missingShard = await refusal(missing);
    expect(missingShard.code).toBe("checkpoint-shard-missing");
    expect(missingShard.message).toContain(shard);
    const tensors = new Map([...tinyTensors()].filter(([name]) => name.includes("layers.1.") && name !== Q));
    const lacking = await refusal(writeFolder({ ...shardedTiny(), [shard]: safetensorsOf(tensors) }));
    expect(lacking.code).toBe("checkpoint-index");
    expect(lacking.message).toContain(Q);
    expect(lacking.message).toContain(shard);
  });

  it.each([
    "config.json",
    "tokenizer.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "adapter_config.json",
  ])("%s is a link that leads nowhere", async (name) => {
    const sharded = name.endsWith("index.json");
    const folder = writeFolder({ ...(sharded ? shardedTiny() : whole()), "tokenizer.json": "{}" });
    rmSync(join(folder, name === "adapter_config.json" ? "config.json" : name), { force: true });
    symlinkSync("gone", join(folder, name));
    const error = await refusal(folder);
    expect(error.code).toBe(name === "model.safetensors" ? "checkpoint-shard-missing" : "checkpoint-unreadable");
    expect(error.message).toMatch(/link that leads nowhere.*(?:get the file|Fetch)/);
  });

  it("no folder, or a file in its place", async () => {
    const folder = writeFolder(config);
    for (const path of [join(folder, "none"), join(folder, "config.json")]) {
      const error = await refusal(path);
      expect(error.code).toBe("checkpoint-not-found");
      expect(error.message).toContain(path);
    }
  });
});

async function refusal(folder: string): Promise<UserError> {
  const thrown = await openCheckpoint(folder).catch((error: unknown) => error);
  if (thrown instanceof UserError) return thrown;
  throw new Error(`not refused: ${String(thrown)}`);
}
