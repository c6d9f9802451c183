import { describe, expect, it } from "vitest";
import { parseConfig } from "#ladm/checkpoint/config.js";
import { describeSupported, SUPPORTED } from "#ladm/checkpoint/demands.js";
import { UserError } from "#ladm/core/errors.js";
import { TINY } from "./checkpoint-files.js";

const parse = (changes: object) => parseConfig({ ...TINY, ...changes }, "config.json");
const LLAMA3 = { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4 };

describe("parseConfig", () => {
  it("reads what is written", () => {
    expect(parse({ rms_norm_eps: 1e-5, rope_theta: 5e5, tie_word_embeddings: true, attention_bias: true })).toEqual({
      family: "llama",
      layerCount: 2,
      hiddenSize: 8,
      intermediateSize: 12,
      headCount: 2,
      keyValueHeadCount: 1,
      headDim: 6,
      vocabSize: 16,
      rmsNormEps: 1e-5,
      maxPositionEmbeddings: 64,
      windowTokens: 64,
      tieWordEmbeddings: true,
      attentionBias: true,
      mlpBias: false,
      ropeTheta: 5e5,
      ropeScaling: { kind: "default" },
    });
  });

  it("fills in the defaults of LlamaConfig", () => {
    expect(parseConfig({ model_type: "llama" }, "config.json")).toMatchObject({
      layerCount: 32,
      hiddenSize: 4096,
      intermediateSize: 11008,
      headCount: 32,
      keyValueHeadCount: 32,
      headDim: 128,
      vocabSize: 32000,
      rmsNormEps: 1e-6,
      maxPositionEmbeddings: 2048,
      tieWordEmbeddings: false,
      attentionBias: false,
      mlpBias: false,
      ropeTheta: 10000,
    });
    expect(parse({ head_dim: null, num_key_value_heads: null })).toMatchObject({ headDim: 4, keyValueHeadCount: 2 });
  });

  it("lets through fields that say nothing new", () => {
    const harmless = {
      sliding_window: null,
      quantization_config: null,
      partial_rotary_factor: 1,
      layer_types: ["full_attention", "full_attention"],
      pretraining_tp: 1,
      auto_map: { AutoTokenizer: "tokenization.Tokenizer" },
      architectures: ["LlamaForCausalLM"],
      rotary_pct: 1,
      residual_multiplier: 1,
      attention_multiplier: 1 / Math.sqrt(TINY.head_dim),
      num_experts: 0,
      is_causal: true,
      use_qk_norm: false,
      no_rope_layers: [],
      pruned_heads: {},
      attention_dropout: 0.1,
    };
    expect(parse(harmless)).toEqual(parse({}));
  });
});

describe("rotary scaling", () => {
  it.each([
    ["null", { rope_scaling: null }, { kind: "default" }, 64],
    ["default with a stray factor", { rope_scaling: { rope_type: "default", factor: 4 } }, { kind: "default" }, 64],
    ["linear, old style", { rope_scaling: { type: "linear", factor: 4 } }, { kind: "linear", factor: 4 }, 256],
    ["rope_type before type", { rope_scaling: { type: "linear", rope_type: "default" } }, { kind: "default" }, 64],
    [
      "dynamic",
      { rope_scaling: { rope_type: "dynamic", factor: 2.5 } },
      { kind: "dynamic", factor: 2.5, originalMaxPosition: 64 },
      160,
    ],
    [
      "llama3",
      { rope_scaling: { ...LLAMA3, original_max_position_embeddings: 16 } },
      { kind: "llama3", factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPosition: 16 },
      64,
    ],
    ["yarn, window not yet extended", { rope_scaling: { type: "yarn", factor: 4 } }, { originalMaxPosition: 64 }, 256],
    [
      "yarn, window already extended",
      { rope_scaling: { type: "yarn", factor: 4, original_max_position_embeddings: 16 } },
      { originalMaxPosition: 16, betaFast: 32, betaSlow: 1, truncate: true, attentionFactor: 0.1 * Math.log(4) + 1 },
      64,
    ],
    [
      "yarn, mscale",
      { rope_scaling: { rope_type: "yarn", factor: 40, mscale: 1, mscale_all_dim: 0.8 } },
      { attentionFactor: (0.1 * Math.log(40) + 1) / (0.08 * Math.log(40) + 1) },
      2560,
    ],
    [
      "yarn, one mscale alone says nothing",
      { rope_scaling: { rope_type: "yarn", factor: 40, mscale: 0, mscale_all_dim: 0.8 } },
      { attentionFactor: 0.1 * Math.log(40) + 1 },
      2560,
    ],
    [
      "yarn, attention factor given",
      { rope_scaling: { rope_type: "yarn", factor: 4, attention_factor: 1.5, mscale: 1, mscale_all_dim: 2 } },
      { attentionFactor: 1.5 },
      256,
    ],
    [
      "yarn, factor from the lengths",
      { rope_scaling: { rope_type: "yarn", factor: null, original_max_position_embeddings: 16, beta_fast: 0 } },
      { factor: 4, betaFast: 32 },
      64,
    ],
    [
      "original length at the top wins",
      {
        original_max_position_embeddings: 8,
        rope_scaling: { rope_type: "yarn", factor: 8, original_max_position_embeddings: 16, truncate: null },
      },
      { originalMaxPosition: 8, truncate: false },
      64,
    ],
  ])("%s", (_name, changes, scaling, windowTokens) => {
    const config = parse(changes);
    expect(config.ropeScaling).toMatchObject(scaling);
    expect(config.windowTokens).toBe(windowTokens);
  });

  it("reads rope_parameters, whose theta wins over the one outside", () => {
    const parameters = { rope_type: "linear", factor: 2, rope_theta: 1e6 };
    expect(parse({ rope_parameters: parameters, rope_theta: 7 })).toMatchObject({
      ropeTheta: 1e6,
      ropeScaling: { kind: "linear", factor: 2 },
    });
    expect(parse({ rope_parameters: { rope_type: "default" }, rope_theta: 7 }).ropeTheta).toBe(7);
    expect(parse({ rope_parameters: parameters, rope_scaling: {} }).ropeTheta).toBe(1e6);
    expect(parse({ rope_parameters: parameters, rope_scaling: { type: "linear", factor: 5 } })).toMatchObject({
      ropeTheta: 10000,
      ropeScaling: { factor: 5 },
    });
  });
});

const yarn = (changes: object) => ({ rope_scaling: { rope_type: "yarn", factor: 4, ...changes } });

describe("refusals", () => {
  it.each<[string, object, string, string[]]>([
    ["model type", { model_type: "mamba" }, "config-unsupported", ['"mamba"', "model_type", "llama"]],
    ["no model type", { model_type: undefined }, "config-unsupported", ["model_type", "got nothing"]],
    ["activation", { hidden_act: "gelu" }, "config-unsupported", ["hidden_act", '"gelu"', "silu"]],
    [
      "quantised",
      { quantization_config: { quant_method: "gptq", bits: 4 } },
      "config-unsupported",
      ["quantised", '"gptq"', "F32, F16, BF16"],
    ],
    ["sliding window", { sliding_window: 4096 }, "config-unsupported", ["sliding_window", "4096"]],
    ["layer types", { layer_types: ["sliding_attention"] }, "config-unsupported", ["layer_types", "full_attention"]],
    ["partial rotary", { partial_rotary_factor: 0.5 }, "config-unsupported", ["partial_rotary_factor", "0.5"]],
    [
      "partial rotary inside",
      { rope_parameters: { rope_type: "default", partial_rotary_factor: 0.5 } },
      "config-unsupported",
      ["rope_parameters.partial_rotary_factor"],
    ],
    [
      "mrope",
      { rope_scaling: { type: "mrope", factor: 2 } },
      "config-unsupported",
      ['"mrope"', "default, linear, dynamic, llama3, yarn"],
    ],
    ["rope type null", { rope_scaling: { rope_type: null } }, "config-unsupported", ["rope_scaling.rope_type", "null"]],
    ...(
      [
        ["sliding_window", 512],
        ["attention_window", 512],
        ["rotary_pct", 0.25],
        ["no_rope_layers", [1, 0]],
        ["no_rope_layer_interval", 4],
        ["rope_interleaved", true],
        ["alibi", true],
        ["is_causal", false],
        ["use_bidirectional_attention", true],
        ["qk_norm", true],
        ["use_qk_norm", true],
        ["clip_qkv", 8],
        ["attn_logit_softcapping", 50],
        ["query_pre_attn_scalar", 256],
        ["attention_multiplier", 0.0078125],
        ["residual_multiplier", 0.22],
        ["embedding_multiplier", 12],
        ["logits_scaling", 8],
        ["logit_scale", 0.0625],
        ["final_logit_softcapping", 30],
        ["scale_emb", 12],
        ["scale_depth", 1.4],
        ["num_experts", 8],
        ["num_local_experts", 8],
        ["hidden_activation", "gelu_pytorch_tanh"],
        ["block_configs", [{}]],
        ["pruned_heads", { "0": [1] }],
        ["compression_config", { quant_method: "x" }],
      ] as const
    ).map(([field, value]): [string, object, string, string[]] => [
      field,
      { [field]: value },
      "config-unsupported",
      [`config.json, ${field}`],
    ]),
    [
      "a model of its own code",
      { auto_map: { AutoConfig: "configuration.Config", AutoModelForCausalLM: "modeling.Model" } },
      "config-unsupported",
      ["auto_map", "own code"],
    ],
    [
      "rotary parameters for each kind of layer",
      { rope_parameters: { full_attention: { rope_type: "default", rope_theta: 1e6 } } },
      "config-unsupported",
      ["rope_parameters", '"full_attention"'],
    ],
    [
      "original length at the top",
      { original_max_position_embeddings: 0.5, rope_scaling: { rope_type: "yarn", factor: 4 } },
      "config-invalid",
      ["field original_max_position_embeddings cannot"],
    ],
    ["theta null at the top", { rope_theta: null }, "config-invalid", ["field rope_theta cannot be used", "got null"]],
    [
      "theta null inside",
      { rope_theta: 1e6, rope_parameters: { rope_type: "default", rope_theta: null } },
      "config-invalid",
      ["field rope_parameters.rope_theta cannot be used", "got null"],
    ],
    ["odd head_dim", { head_dim: 5 }, "config-invalid", ["head_dim", "5", "even"]],
    ["heads do not divide hidden", { head_dim: null, hidden_size: 9 }, "config-invalid", ["4.5", "even"]],
    ["key-value heads", { num_attention_heads: 3, num_key_value_heads: 2 }, "config-invalid", ["divisor", "3"]],
    ["no layers", { num_hidden_layers: 0 }, "config-invalid", ["num_hidden_layers", "got 0", "1 to 1,024"]],
    ["a billion layers", { num_hidden_layers: 1e9 }, "config-invalid", ["num_hidden_layers", "1 to 1,024"]],
    ["negative", { hidden_size: -8 }, "config-invalid", ["hidden_size", "-8"]],
    ["fraction", { vocab_size: 1.5 }, "config-invalid", ["vocab_size", "1.5", "an integer"]],
    ["text", { intermediate_size: "12" }, "config-invalid", ["intermediate_size", '"12"']],
    ["eps", { rms_norm_eps: 0 }, "config-invalid", ["rms_norm_eps"]],
    ["flag", { attention_bias: "yes" }, "config-invalid", ["attention_bias", "true or false"]],
    ["positions", { max_position_embeddings: 1e9 }, "config-invalid", ["max_position_embeddings", "16,777,216"]],
    ["theta", { rope_theta: -1 }, "config-invalid", ["rope_theta", "-1"]],
    ["theta null", { rope_theta: null }, "config-invalid", ["rope_theta", "null"]],
    ["scaling is a list", { rope_scaling: [1] }, "config-invalid", ["rope_scaling", "a list of 1"]],
    ["no factor", { rope_scaling: { type: "linear" } }, "config-invalid", ["rope_scaling.factor", "nothing"]],
    ["factor below 1", { rope_scaling: { type: "dynamic", factor: 0.5 } }, "config-invalid", ["factor", "0.5"]],
    [
      "dynamic on two dimensions",
      { head_dim: 2, rope_scaling: { type: "dynamic", factor: 2 } },
      "config-invalid",
      ["head_dim"],
    ],
    ["llama3 order", { rope_scaling: { ...LLAMA3, high_freq_factor: 1 } }, "config-invalid", ["high_freq_factor"]],
    ["llama3 without", { rope_scaling: { rope_type: "llama3", factor: 8 } }, "config-invalid", ["low_freq_factor"]],
    ["yarn betas", yarn({ beta_fast: 1, beta_slow: 2 }), "config-invalid", ["beta_fast"]],
    ["yarn attention", yarn({ attention_factor: -1 }), "config-invalid", ["attention_factor"]],
    ["yarn mscale", yarn({ mscale: 1, mscale_all_dim: -100 }), "config-invalid", ["mscale_all_dim"]],
    ["yarn original", yarn({ original_max_position_embeddings: 0.5 }), "config-invalid", ["original_max_position"]],
    ["yarn without factor", { rope_scaling: { rope_type: "yarn" } }, "config-invalid", ["rope_scaling.factor"]],
    ["yarn shrinks", yarn({ factor: null, original_max_position_embeddings: 128 }), "config-invalid", ["factor"]],
  ])("%s", (_name, changes, code, words) => {
    const error = thrownBy(() => parse(changes));
    expect(error).toBeInstanceOf(UserError);
    expect(error).toMatchObject({ code });
    for (const word of [...words, "config.json"]) expect(String(error)).toContain(word);
  });

  it.each([[null], [[]], ["text"], [7]])("a file that holds %j", (json) => {
    expect(thrownBy(() => parseConfig(json, "config.json"))).toMatchObject({ code: "config-invalid" });
  });

  it("says what is supported, and hides what a terminal would obey", () => {
    const message = String(thrownBy(() => parse({ model_type: "x\u001b[31m\u009b2J" })));
    expect(message).toContain(describeSupported());
    expect(message).toContain("\\u001b");
    expect(message).toContain("\\u009b");
    for (const list of [SUPPORTED.modelTypes, SUPPORTED.ropeTypes, SUPPORTED.dtypes]) {
      for (const entry of list) expect(describeSupported()).toContain(entry);
    }
  });
});

function thrownBy(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}
