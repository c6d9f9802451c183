import type { RopeScaling } from "./rope-scaling.js";

/** Rotary embedding: which frequencies. */
export interface Rope {
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling;
}

/**
 * A decoder-only model, as far as the scorer needs it; every default filled in. What is optional says how it departs
 * from Llama, and is absent where it does not: two checkpoints that mean the same model have the same spec.
 */
export interface DecoderSpec extends Rope {
  /** `model_type` of the family that it is built as. */
  readonly family: string;
  readonly layerCount: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  /** Query heads. */
  readonly headCount: number;
  /** Divides `headCount`: each key-value head serves `headCount / keyValueHeadCount` query heads. */
  readonly keyValueHeadCount: number;
  /** Even. */
  readonly headDim: number;
  readonly vocabSize: number;
  readonly rmsNormEps: number;
  readonly maxPositionEmbeddings: number;
  /** Tokens that the model is made to read, rotary scaling included. */
  readonly windowTokens: number;
  readonly tieWordEmbeddings: boolean;
  /** Biases on the query, key, value and output projections. */
  readonly attentionBias: boolean;
  /** Biases on the gate, up and down projections. */
  readonly mlpBias: boolean;
  /** Biases on the query, key and value projections alone. */
  readonly queryKeyValueBias?: true;
  /**
   * One matrix for queries, keys and values: all queries first (`joined`, with one for gate and up too), or the three
   * of each head together (`byHead`).
   */
  readonly fusedProjections?: "joined" | "byHead";
  /** Norms take the mean away and have a bias. */
  readonly layerNorm?: true;
  /** Attention and MLP both read the hidden state of before the layer. */
  readonly parallelResidual?: true;
  /** The MLP has no gate. */
  readonly plainMlp?: true;
  /** Norms after attention and MLP instead of before (`post`), or before and after (`both`). */
  readonly normPlacement?: "post" | "both";
  /** A norm multiplies by 1 more than its weight. */
  readonly normOffset?: true;
  /** Norm of queries and keys before rotary embedding: of each head, or of all heads of a token together. */
  readonly queryKeyNorm?: "head" | "projection";
  /** Multiplies the products of queries and keys; default: 1 / sqrt(headDim). */
  readonly attentionScale?: number;
  /** Scaled products x become c · tanh(x / c). */
  readonly attentionSoftcap?: number;
  /** Of each layer the tokens that a query sees, itself included; null: all before. */
  readonly layerWindows?: readonly (number | null)[];
  /** Rotary embedding of the layers with a window, where it is another one. */
  readonly windowRope?: Rope;
  /** Layers without rotary embedding, ascending. */
  readonly unrotatedLayers?: readonly number[];
  /** The first values of a head that are rotated; default: all. Even. */
  readonly rotaryDim?: number;
  /** Default: silu. */
  readonly activation?: "gelu" | "gelu_tanh";
  /** Multiplies the embedding. */
  readonly embeddingMultiplier?: number;
  /** Multiplies what attention and MLP add. */
  readonly residualMultiplier?: number;
  /** Divides the logits. */
  readonly logitsDivisor?: number;
  /** Logits x become c · tanh(x / c). */
  readonly logitsSoftcap?: number;
}

/** Tokens that a layer's queries see, themselves included; null: all before. */
export const layerWindow = ({ layerWindows }: Pick<DecoderSpec, "layerWindows">, layer: number): number | null =>
  layerWindows?.[layer] ?? null;

/** The layers that see a sample of `length` tokens whole, ascending: only those can look far. */
export function farLayers(spec: Pick<DecoderSpec, "layerCount" | "layerWindows">, length: number): readonly number[] {
  const layers = Array.from({ length: spec.layerCount }, (_, layer) => layer);
  return layers.filter((layer) => (layerWindow(spec, layer) ?? length) >= length);
}

/** What the products of queries and keys are multiplied by. */
export const attentionScale = ({ attentionScale: scale, headDim }: DecoderSpec): number =>
  scale ?? 1 / Math.sqrt(headDim);
