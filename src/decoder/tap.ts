import type { PassPlan } from "../core/plan.js";
import type { GraphBuilder } from "../onnx/builder.js";
import type { Value } from "../onnx/types.js";
import type { WeightSource } from "./weights.js";

/** What a decoder shows of one layer. */
export interface TapPoint {
  /** Counted from 0. */
  readonly layer: number;
  /** After rotary embedding, float32 `[L, H, D]`. */
  readonly query: Value;
  /** After rotary embedding, float32 `[L, KV, D]`. */
  readonly key: Value;
  /** What the products of queries and keys are multiplied by. */
  readonly scale: number;
  /** Scaled products x are c · tanh(x / c); null: as they are. */
  readonly softcap: number | null;
  /** Null unless `DecoderOptions.contributions` asks for it. */
  readonly contribution: ContributionPoint | null;
}

/** What attention makes of the keys that it looks at. */
export interface ContributionPoint {
  /** float32 `[L, KV, D]` */
  readonly value: Value;
  /** Each head's output in the causal pass, before the output projection, float32 `[L, H, D]`. */
  readonly heads: Value;
  /** The attention block's output before the residual, of rows of `heads`: `[R, H*D]` -> `[R, E]`. */
  readonly toBlock: (builder: GraphBuilder, path: string, rows: Value) => Value;
  /** Directions in the space of the block's output as each head sees them: `[R, E]` times W_O, `[R, H*D]`. */
  readonly toHeads: (builder: GraphBuilder, path: string, rows: Value) => Value;
}

/** Called once for each tapped layer, while the graph grows. */
export type Tap = (builder: GraphBuilder, point: TapPoint) => void;

export interface DecoderOptions {
  readonly weights: WeightSource;
  /** Layers to tap, ascending. The graph ends at the last one's queries and keys, or its attention, unless
   * losses are asked for. */
  readonly layers: readonly number[];
  readonly tap: Tap;
  /** Show values and outputs of attention too. The last tapped layer then computes its attention. */
  readonly contributions?: boolean;
  /**
   * Runs all layers, the final norm and the LM head at the positions of input `loss_positions`; output `losses`,
   * float32 `[P]`, nats.
   */
  readonly losses?: boolean;
  /** Default: the published pass. */
  readonly plan?: PassPlan;
}
