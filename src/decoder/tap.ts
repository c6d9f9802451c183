import type { Checkpoint } from "../checkpoint/checkpoint.js";
import type { PassPlan } from "../core/plan.js";
import type { GraphBuilder } from "../onnx/builder.js";
import type { Value } from "../onnx/types.js";

/** What a decoder shows of one layer. */
export interface TapPoint {
  /** Counted from 0. */
  readonly layer: number;
  /** After rotary embedding, float32 `[L, H, D]`. */
  readonly query: Value;
  /** After rotary embedding, float32 `[L, KV, D]`. */
  readonly key: Value;
}

/** Called once for each tapped layer, while the graph grows. */
export type Tap = (builder: GraphBuilder, point: TapPoint) => void;

export interface DecoderOptions {
  readonly checkpoint: Checkpoint;
  /** Layers to tap, ascending. The graph ends at the queries and keys of the last one, unless losses are asked for. */
  readonly layers: readonly number[];
  readonly tap: Tap;
  /**
   * Runs all layers, the final norm and the LM head at the positions of input `loss_positions`; output `losses`,
   * float32 `[P]`, nats.
   */
  readonly losses?: boolean;
  /** Default: the published pass. */
  readonly plan?: PassPlan;
}
