/** Element types used in our graphs, by the names ONNX gives them. */
export type DType = "float32" | "float16" | "bfloat16" | "uint8" | "int32" | "int64" | "bool";

/** A number where the size is fixed, a name where it is known only when the graph runs. */
export type Dim = number | string;
export type Shape = readonly Dim[];

/** One tensor of a graph: an input, a constant, a weight or the output of a node. */
export interface Value {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
}

/** Weights that stay in the file where they lie. */
export interface ExternalData {
  /** Base name: the engine is told the folder. */
  readonly location: string;
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly sizeBytes: number;
}

/** JavaScript has one kind of number where ONNX has two, so the kind is said. */
export type Attribute =
  | { readonly kind: "int"; readonly value: number }
  | { readonly kind: "ints"; readonly value: readonly number[] }
  | { readonly kind: "float"; readonly value: number }
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "graph"; readonly value: Graph };

export interface Node {
  readonly name: string;
  readonly opType: string;
  /** Empty for the standard operators. */
  readonly domain: string;
  /** Empty for an optional input that is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/** Either `data`, in the graph itself, or `external`. */
export interface Initializer extends Value {
  readonly data?: readonly number[];
  readonly external?: ExternalData;
}

export interface Graph {
  readonly name: string;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly initializers: readonly Initializer[];
  readonly nodes: readonly Node[];
}

export const int = (value: number): Attribute => ({ kind: "int", value });
export const ints = (value: readonly number[]): Attribute => ({ kind: "ints", value });
export const float = (value: number): Attribute => ({ kind: "float", value });
