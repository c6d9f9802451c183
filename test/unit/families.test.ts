/** Published checkpoints by their configurations, and what else a folder of a known family may look like. */
import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it, test } from "vitest";
import { parseConfig } from "#ladm/checkpoint/config.js";
import { FAMILIES } from "#ladm/checkpoint/families/index.js";
import { identifyModel } from "#ladm/checkpoint/samples.js";
import { farLayers } from "#ladm/checkpoint/spec.js";
import { openCheckpoint } from "#ladm/decoder/open-checkpoint.js";
import { tensorsRead } from "#ladm/decoder/tensors.js";
import { prepareScorer } from "#ladm/scoring/scorer/scorer.js";
import { ladm } from "../cli/command-line.js";
import { temporaryFolder } from "./selection-run.js";

const DATA = fileURLToPath(new URL("../golden/data/", import.meta.url));

/** One file of BF16 weights that fits the configuration: all zeros, of which the disk holds none. */
function writeWeights(folder: string, config: object, prefix: string): void {
  const { needed, head } = tensorsRead(parseConfig(config, "config.json"));
  let end = 0;
  const entries = [...needed, ...head].map(([name, shape]) => {
    const start = end;
    end += 2 * shape.reduce((product, size) => product * size, 1);
    const full = name === "lm_head.weight" ? name : `${prefix}${name}`;
    return [full, { dtype: "BF16", shape, data_offsets: [start, end] }] as const;
  });
  const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const file = openSync(join(folder, "model.safetensors"), "w");
  writeSync(file, Buffer.concat([length, header]));
  ftruncateSync(file, 8 + header.length + end);
  closeSync(file);
}

async function writeCheckpoint(config: object, prefix = "model."): Promise<string> {
  const folder = await temporaryFolder("ladm-family-");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  writeWeights(folder, config, prefix);
  return folder;
}

const sizes = (hidden: number, inner: number, layers: number, heads: number, keyValueHeads: number, vocab: number) => ({
  hidden_size: hidden,
  intermediate_size: inner,
  num_hidden_layers: layers,
  num_attention_heads: heads,
  num_key_value_heads: keyValueHeads,
  vocab_size: vocab,
});
const everyNth = (layers: number, n: number) =>
  Array.from({ length: layers }, (_, layer) => ((layer + 1) % n === 0 ? "full_attention" : "sliding_attention"));
const ascending = (count: number) => Array.from({ length: count }, (_, at) => 1 + at / 4);

interface Published {
  readonly name: string;
  readonly config: object;
  readonly window: number;
  /** Layers that see the whole window. */
  readonly far: number;
  /** Of the decoder without its head, in millions. */
  readonly millions: number;
}

/** Field names and values as published; what says nothing of the decoder is left out. */
const PUBLISHED: readonly Published[] = [
  {
    name: "Llama 3.1 8B",
    config: {
      model_type: "llama",
      ...sizes(4096, 14_336, 32, 32, 8, 128_256),
      max_position_embeddings: 131_072,
      rms_norm_eps: 1e-5,
      rope_theta: 500_000,
      rope_scaling: {
        factor: 8,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 8192,
        rope_type: "llama3",
      },
      hidden_act: "silu",
      mlp_bias: false,
      attention_bias: false,
      tie_word_embeddings: false,
    },
    window: 131_072,
    far: 32,
    millions: 7505,
  },
  {
    name: "Mistral 7B v0.1",
    config: {
      model_type: "mistral",
      ...sizes(4096, 14_336, 32, 32, 8, 32_000),
      max_position_embeddings: 32_768,
      rms_norm_eps: 1e-5,
      rope_theta: 10_000,
      sliding_window: 4096,
      hidden_act: "silu",
    },
    window: 32_768,
    far: 0,
    millions: 7111,
  },
  {
    name: "Mistral 7B v0.3",
    config: {
      model_type: "mistral",
      ...sizes(4096, 14_336, 32, 32, 8, 32_768),
      max_position_embeddings: 32_768,
      rms_norm_eps: 1e-5,
      rope_theta: 1_000_000,
      sliding_window: null,
      hidden_act: "silu",
    },
    window: 32_768,
    far: 32,
    millions: 7114,
  },
  {
    name: "Qwen 2.5 7B",
    config: {
      model_type: "qwen2",
      ...sizes(3584, 18_944, 28, 28, 4, 152_064),
      max_position_embeddings: 131_072,
      max_window_layers: 28,
      rms_norm_eps: 1e-6,
      rope_theta: 1_000_000,
      sliding_window: 131_072,
      use_sliding_window: false,
      use_mrope: false,
      hidden_act: "silu",
      tie_word_embeddings: false,
    },
    window: 131_072,
    far: 28,
    millions: 7071,
  },
  {
    name: "Qwen 3 0.6B",
    config: {
      model_type: "qwen3",
      ...sizes(1024, 3072, 28, 16, 8, 151_936),
      head_dim: 128,
      max_position_embeddings: 40_960,
      max_window_layers: 28,
      rms_norm_eps: 1e-6,
      rope_scaling: null,
      rope_theta: 1_000_000,
      sliding_window: null,
      use_sliding_window: false,
      attention_bias: false,
      hidden_act: "silu",
      tie_word_embeddings: true,
    },
    window: 40_960,
    far: 28,
    millions: 596,
  },
  {
    name: "SmolLM3 3B",
    config: {
      model_type: "smollm3",
      ...sizes(2048, 11_008, 36, 16, 4, 128_256),
      layer_types: Array.from({ length: 36 }, () => "full_attention"),
      max_position_embeddings: 65_536,
      max_window_layers: 28,
      no_rope_layer_interval: 4,
      no_rope_layers: Array.from({ length: 36 }, (_, layer) => ((layer + 1) % 4 === 0 ? 0 : 1)),
      rms_norm_eps: 1e-6,
      rope_scaling: null,
      rope_theta: 5_000_000,
      sliding_window: null,
      use_sliding_window: false,
      hidden_act: "silu",
    },
    window: 65_536,
    far: 36,
    millions: 3075,
  },
  {
    name: "OLMo 2 7B",
    config: {
      model_type: "olmo2",
      ...sizes(4096, 11_008, 32, 32, 32, 100_352),
      max_position_embeddings: 4096,
      rms_norm_eps: 1e-6,
      rope_scaling: null,
      rope_theta: 500_000,
      attention_bias: false,
      hidden_act: "silu",
      tie_word_embeddings: false,
    },
    window: 4096,
    far: 32,
    millions: 6888,
  },
  {
    name: "OLMo 3 7B",
    config: {
      model_type: "olmo3",
      ...sizes(4096, 11_008, 32, 32, 32, 100_278),
      layer_types: everyNth(32, 4),
      max_position_embeddings: 65_536,
      rms_norm_eps: 1e-6,
      rope_scaling: {
        attention_factor: 1.2079441541679836,
        beta_fast: 32,
        beta_slow: 1,
        factor: 8,
        original_max_position_embeddings: 8192,
        rope_type: "yarn",
      },
      rope_theta: 500_000,
      sliding_window: 4096,
      attention_bias: false,
      hidden_act: "silu",
    },
    window: 65_536,
    far: 8,
    millions: 6887,
  },
  {
    name: "Phi 3 mini 128k",
    config: {
      model_type: "phi3",
      ...sizes(3072, 8192, 32, 32, 32, 32_064),
      auto_map: {
        AutoConfig: "configuration_phi3.Phi3Config",
        AutoModelForCausalLM: "modeling_phi3.Phi3ForCausalLM",
      },
      max_position_embeddings: 131_072,
      original_max_position_embeddings: 4096,
      rms_norm_eps: 1e-5,
      rope_scaling: { type: "longrope", long_factor: ascending(48), short_factor: ascending(48) },
      rope_theta: 10_000,
      sliding_window: 262_144,
      attention_bias: false,
      hidden_act: "silu",
    },
    window: 131_072,
    far: 32,
    millions: 3723,
  },
  {
    name: "Phi 4 mini",
    config: {
      model_type: "phi3",
      ...sizes(3072, 8192, 32, 24, 8, 200_064),
      full_attn_mod: 1,
      interpolate_factor: 1,
      max_position_embeddings: 131_072,
      mlp_bias: false,
      original_max_position_embeddings: 4096,
      partial_rotary_factor: 0.75,
      rms_norm_eps: 1e-5,
      rope_scaling: { type: "longrope", long_factor: ascending(48), short_factor: ascending(48) },
      rope_theta: 10_000,
      sliding_window: 262_144,
      attention_bias: false,
      hidden_act: "silu",
      tie_word_embeddings: true,
    },
    window: 131_072,
    far: 32,
    millions: 3836,
  },
  {
    name: "Granite 3.3 8B",
    config: {
      model_type: "granite",
      ...sizes(4096, 12_800, 40, 32, 8, 49_152),
      attention_bias: false,
      attention_multiplier: 0.0078125,
      embedding_multiplier: 12,
      logits_scaling: 16,
      max_position_embeddings: 131_072,
      mlp_bias: false,
      residual_multiplier: 0.22,
      rms_norm_eps: 1e-5,
      rope_scaling: null,
      rope_theta: 10_000_000,
      hidden_act: "silu",
      tie_word_embeddings: true,
    },
    window: 131_072,
    far: 40,
    millions: 8171,
  },
  {
    name: "Gemma 2 2B",
    config: {
      model_type: "gemma2",
      ...sizes(2304, 9216, 26, 8, 4, 256_000),
      attn_logit_softcapping: 50,
      cache_implementation: "hybrid",
      final_logit_softcapping: 30,
      head_dim: 256,
      hidden_act: "gelu_pytorch_tanh",
      hidden_activation: "gelu_pytorch_tanh",
      max_position_embeddings: 8192,
      query_pre_attn_scalar: 256,
      rms_norm_eps: 1e-6,
      rope_theta: 10_000,
      sliding_window: 4096,
      attention_bias: false,
    },
    window: 8192,
    far: 13,
    millions: 2614,
  },
  {
    name: "Gemma 3 270M",
    config: {
      model_type: "gemma3_text",
      ...sizes(640, 2048, 18, 4, 1, 262_144),
      _sliding_window_pattern: 6,
      attn_logit_softcapping: null,
      final_logit_softcapping: null,
      head_dim: 256,
      hidden_activation: "gelu_pytorch_tanh",
      layer_types: everyNth(18, 6),
      max_position_embeddings: 32_768,
      query_pre_attn_scalar: 256,
      rms_norm_eps: 1e-6,
      rope_local_base_freq: 10_000,
      rope_scaling: null,
      rope_theta: 1_000_000,
      sliding_window: 512,
      use_bidirectional_attention: false,
      attention_bias: false,
    },
    window: 32_768,
    far: 3,
    millions: 268,
  },
  {
    name: "Gemma 3 4B, its text part",
    config: {
      model_type: "gemma3",
      architectures: ["Gemma3ForConditionalGeneration"],
      mm_tokens_per_image: 256,
      text_config: {
        model_type: "gemma3_text",
        hidden_size: 2560,
        intermediate_size: 10_240,
        num_hidden_layers: 34,
        rope_scaling: { factor: 8, rope_type: "linear" },
        sliding_window: 1024,
      },
      vision_config: { model_type: "siglip_vision_model", hidden_size: 1152 },
    },
    window: 1_048_576,
    far: 5,
    millions: 3880,
  },
];

describe.each(PUBLISHED)("$name", ({ config, window, far, millions }) => {
  it("is what is said of it", async () => {
    const { config: spec, parameterCount, headTensors } = await openCheckpoint(await writeCheckpoint(config));
    expect(spec.windowTokens).toBe(window);
    expect(farLayers(spec, window)).toHaveLength(far);
    expect(Math.round(parameterCount / 1e6)).toBe(millions);
    expect(headTensors).not.toBeNull();
  });
});

test("models says which layers look far", async () => {
  const config = PUBLISHED.find(({ name }) => name === "OLMo 3 7B")?.config ?? {};
  const said = await ladm(["models", await writeCheckpoint(config)]);
  expect(said).toMatchObject({ code: 0, stderr: "" });
  expect(said.stdout).toContain("8 of 32 layers; the others see 4,096 tokens");
  const short = PUBLISHED.find(({ name }) => name === "Mistral 7B v0.1")?.config ?? {};
  expect((await ladm(["models", await writeCheckpoint(short)])).stdout).toContain("no layer at the whole window");
});

test("the guide's table of families is that of the code", () => {
  const guide = readFileSync(new URL("../../docs/guide.md", import.meta.url), "utf8");
  const rows = FAMILIES.map(
    ({ name, modelTypes }) => `| ${name} | ${modelTypes.map((type) => `\`${type}\``).join(", ")} |`,
  );
  expect(guide).toContain(`| family | \`model_type\` |\n|---|---|\n${rows.join("\n")}\n\n`);
});

test("models lists every family", async () => {
  const { stdout } = await ladm(["models"]);
  for (const { name } of FAMILIES) expect(stdout).toContain(name);
});

describe("the text part of a model that also sees", () => {
  const read = (file: string) => readFileSync(join(DATA, "gemma3", file));
  const text = JSON.parse(read("config.json").toString()) as object;

  /** The same weights under other names, beside some of a picture's. */
  async function writeSeeing(prefix: string, projector: string): Promise<string> {
    const folder = await temporaryFolder("ladm-seeing-");
    const bytes = read("model.safetensors");
    const headerBytes = Number(bytes.readBigUInt64LE(0));
    const body = bytes.subarray(8 + headerBytes);
    const header = JSON.parse(bytes.subarray(8, 8 + headerBytes).toString()) as Record<string, object>;
    const renamed = Object.entries(header).flatMap(([name, entry]) =>
      name === "__metadata__" ? [] : [[name.replace(/^model\./, prefix), entry] as const],
    );
    const picture = { dtype: "F32", shape: [2], data_offsets: [body.length, body.length + 8] };
    const text8 = Buffer.from(JSON.stringify({ ...Object.fromEntries(renamed), [projector]: picture }));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(text8.length));
    writeFileSync(join(folder, "model.safetensors"), Buffer.concat([length, text8, body, Buffer.alloc(8)]));
    writeFileSync(join(folder, "config.json"), JSON.stringify({ model_type: "gemma3", text_config: text }));
    return folder;
  }

  it.each([
    ["model.language_model.", "model.vision_tower.embedding.weight"],
    ["language_model.model.", "multi_modal_projector.weight"],
  ])("under %s", async (prefix, projector) => {
    const seeing = await openCheckpoint(await writeSeeing(prefix, projector));
    const own = await openCheckpoint(join(DATA, "gemma3"));
    expect([...seeing.tensors.keys()]).toEqual([...own.tensors.keys()]);
    expect(await identifyModel(seeing)).toEqual(await identifyModel(own));
  });

  it("another tensor beside it is refused", async () => {
    const folder = await writeSeeing("model.language_model.", "model.language_model.adapter.weight");
    await expect(openCheckpoint(folder)).rejects.toMatchObject({ code: "tensor-unexpected" });
  });
});

describe("what a configuration may not say", () => {
  const refusal = (config: object) => {
    try {
      parseConfig(config, "config.json");
      return null;
    } catch (error) {
      return error;
    }
  };

  it("a kind of model that is not built: the nearest one is named", () => {
    expect(refusal({ model_type: "qwen4" })).toMatchObject({
      code: "config-unsupported",
      problem: { fix: expect.stringContaining("nearest that is supported is qwen") as string },
    });
    expect(refusal({ model_type: "mamba" })).toMatchObject({ code: "config-unsupported" });
  });

  it.each([
    { model_type: "gemma2", num_hidden_layers: 2, layer_types: ["chunked_attention", "full_attention"] },
    { model_type: "gemma3_text", hidden_activation: "relu" },
    { model_type: "olmo2", sliding_window: 64 },
    { model_type: "phi3", auto_map: { AutoModelForCausalLM: "modeling_mine.Mine" } },
    { model_type: "llama", attn_logit_softcapping: 50 },
    { model_type: "gemma3_text", use_bidirectional_attention: true },
  ])("%j", (config) => {
    expect(refusal(config)).toMatchObject({ code: "config-unsupported" });
  });

  it.each([
    { model_type: "qwen2", use_sliding_window: true, sliding_window: null, max_window_layers: 2 },
    { model_type: "smollm3", num_hidden_layers: 4, no_rope_layers: [1, 0] },
    { model_type: "smollm3", num_hidden_layers: 2, no_rope_layers: [1, 2] },
    { model_type: "granite", residual_multiplier: -1 },
    { model_type: "gemma2", attn_logit_softcapping: "50" },
    { model_type: "gemma2", sliding_window: 1.5 },
    { model_type: "phi3", partial_rotary_factor: 0.33 },
    { model_type: "phi3", rope_scaling: { type: "longrope", long_factor: [1], short_factor: [1] } },
    { model_type: "gemma3_text", num_hidden_layers: 3, layer_types: ["full_attention"] },
  ])("%j", (config) => {
    expect(refusal(config)).toMatchObject({ code: "config-invalid" });
  });
});

describe("weights in other forms", () => {
  it.each([
    ["consolidated.safetensors", "own form"],
    ["pytorch_model.bin", "save_pretrained"],
    ["adapter_model.safetensors", "merge it"],
  ])("%s", async (file, advice) => {
    const folder = await temporaryFolder("ladm-forms-");
    writeFileSync(join(folder, file), "");
    writeFileSync(join(folder, "config.json"), JSON.stringify({ model_type: "mistral" }));
    await expect(openCheckpoint(folder)).rejects.toMatchObject({
      code: "checkpoint-no-weights",
      problem: { fix: expect.stringContaining(advice) as string },
    });
  });

  it.each([
    [{ quantization_config: { quant_method: "awq", bits: 4 } }, "These are AWQ weights"],
    [{ quantization_config: { quant_method: "fp8" } }, "These are FP8 weights"],
    [{ quantization: { group_size: 64, bits: 4 } }, "mlx_lm.convert"],
  ])("%j", (config, advice) => {
    let thrown: unknown;
    try {
      parseConfig({ model_type: "qwen3", ...config }, "config.json");
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({
      code: "config-unsupported",
      problem: { fix: expect.stringContaining(advice) as string },
    });
  });
});

describe("a tokenizer of another model", () => {
  const vocabularyOf = (size: number) => Object.fromEntries(Array.from({ length: size }, (_, at) => [`t${at}`, at]));

  it.each([
    [256, false],
    [240, false],
    [100, true],
    [300, true],
  ])("%i tokens, where the model has 256", async (size, isWarned) => {
    const folder = await temporaryFolder("ladm-tokenizer-");
    for (const file of ["config.json", "model.safetensors"])
      writeFileSync(join(folder, file), readFileSync(join(DATA, "qwen3", file)));
    const tokenizer = {
      version: "1.0",
      pre_tokenizer: { type: "Whitespace" },
      model: { type: "WordLevel", vocab: vocabularyOf(size), unk_token: "t0" },
    };
    writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(tokenizer));
    const scorer = await prepareScorer({ model: folder, attnChunkSize: 16, maxLength: 1024 });
    const notes = (await scorer.openTokenizer())?.notes ?? [];
    await scorer.close();
    const said = `WARNING: tokenizer.json has ${size} tokens, the model 256`;
    expect(notes.some((note) => note.startsWith(said))).toBe(isWarned);
  });
});
