import type { DecoderConfig } from "./config.js";

/** The tensors of a Llama decoder, by their names in Hugging Face checkpoints without the prefix `model.`. */
export interface TensorTable {
  /** Name → shape; linear layers are `[out, in]`. */
  readonly needed: ReadonlyMap<string, readonly number[]>;
  /**
   * What a loss needs besides, shapes likewise; a checkpoint may lack them. `lm_head.weight` has no prefix, and is the
   * embedding where the config ties them.
   */
  readonly head: ReadonlyMap<string, readonly number[]>;
}

/**
 * What the graph of a score reads: the embeddings and all layers. The final norm and the LM head come after the last
 * queries and keys: only losses need them. Source: transformers 5.23 modeling_llama.py.
 */
export function llamaTensors(config: DecoderConfig): TensorTable {
  const { hiddenSize, intermediateSize, attentionBias, mlpBias } = config;
  const querySize = config.headCount * config.headDim;
  const keyValueSize = config.keyValueHeadCount * config.headDim;
  const norms = ["input_layernorm", "post_attention_layernorm"];
  const linears = [
    { name: "self_attn.q_proj", outSize: querySize, inSize: hiddenSize, bias: attentionBias },
    { name: "self_attn.k_proj", outSize: keyValueSize, inSize: hiddenSize, bias: attentionBias },
    { name: "self_attn.v_proj", outSize: keyValueSize, inSize: hiddenSize, bias: attentionBias },
    { name: "self_attn.o_proj", outSize: hiddenSize, inSize: querySize, bias: attentionBias },
    { name: "mlp.gate_proj", outSize: intermediateSize, inSize: hiddenSize, bias: mlpBias },
    { name: "mlp.up_proj", outSize: intermediateSize, inSize: hiddenSize, bias: mlpBias },
    { name: "mlp.down_proj", outSize: hiddenSize, inSize: intermediateSize, bias: mlpBias },
  ];
  const needed = new Map<string, readonly number[]>([["embed_tokens.weight", [config.vocabSize, hiddenSize]]]);
  for (let layer = 0; layer < config.layerCount; layer++) {
    for (const norm of norms) needed.set(`layers.${layer}.${norm}.weight`, [hiddenSize]);
    for (const { name, outSize, inSize, bias } of linears) {
      needed.set(`layers.${layer}.${name}.weight`, [outSize, inSize]);
      if (bias) needed.set(`layers.${layer}.${name}.bias`, [outSize]);
    }
  }
  const head = new Map<string, readonly number[]>([["norm.weight", [hiddenSize]]]);
  if (!config.tieWordEmbeddings) head.set("lm_head.weight", [config.vocabSize, hiddenSize]);
  return { needed, head };
}
