import type { NamedTensors } from "../core/tensor.js";

/** What the parent tells the engine's process; one request at a time. */
export type Request =
  | {
      readonly kind: "load";
      /** Bytes of an ONNX `ModelProto`. */
      readonly model: Uint8Array;
      /** Where the files of its external weights lie. */
      readonly weightsDirectory: string;
      readonly threads: number;
      readonly packWeights: boolean;
    }
  | { readonly kind: "run"; readonly inputs: NamedTensors }
  | { readonly kind: "usage" };

export type Reply =
  | { readonly kind: "loaded" }
  | { readonly kind: "outputs"; readonly outputs: NamedTensors }
  | { readonly kind: "usage"; readonly peakBytes: number };
