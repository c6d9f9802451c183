import type { FrequencyTable } from "../../formats/lexical.js";
import type { SpanSettings } from "../../measure/definition.js";

/** What is asked of a worker of the lexical scorer. */
export type WorkerRequest =
  | { readonly kind: "learn"; readonly table: FrequencyTable }
  | { readonly kind: "tokens"; readonly text: string; readonly atMost: number }
  | { readonly kind: "score"; readonly tokenIds: Int32Array; readonly settings: SpanSettings };

export type WorkerAnswer =
  | { readonly kind: "learn" }
  | { readonly kind: "tokens"; readonly ids: Int32Array }
  /** `score` is null when no token of the sample tells documents apart. */
  | { readonly kind: "score"; readonly score: number | null; readonly values: Float32Array };

export interface Asked {
  readonly id: number;
  readonly request: WorkerRequest;
}

export type Answered =
  | { readonly id: number; readonly answer: WorkerAnswer }
  | { readonly id: number; readonly error: string };
