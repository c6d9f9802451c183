import type { PairKind } from "../../core/pair-kind.js";
import type { PairScores, SpanGrid } from "../../core/records.js";
import { int64Tensor, type NamedTensors } from "../../core/tensor.js";

/** Pair scores by kind, all over the same grid. */
export type PairReadings = ReadonlyMap<PairKind, PairScores>;

/** @throws Error where that kind was not read */
export function pairsOf(readings: PairReadings, kind: PairKind): PairScores {
  const pairs = readings.get(kind);
  if (pairs === undefined) throw new Error(`pair scores of ${kind} were not read`);
  return pairs;
}

export interface ReadOptions {
  /** Default: the definition's. */
  readonly grid?: SpanGrid;
  /** Tokens to be predicted, 1 to L-1; only with `losses`. */
  readonly lossPositions?: readonly number[];
}

export interface Reading {
  readonly pairs: PairScores;
  /** Pair scores of every kind that the scorer was asked for. */
  readonly pairsByKind: PairReadings;
  /** Nats, in the order of `lossPositions`. */
  readonly losses: Float32Array;
}

/** The row before a token predicts it. */
export function lossInputs(tokenIds: Int32Array, positions: readonly number[]): NamedTensors {
  const shape = [positions.length];
  return {
    loss_positions: int64Tensor(
      positions.map((position) => position - 1),
      shape,
    ),
    loss_targets: int64Tensor(
      positions.map((position) => tokenIds[position] ?? 0),
      shape,
    ),
  };
}
