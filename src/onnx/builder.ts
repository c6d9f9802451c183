import type { Attribute, DType, ExternalData, Graph, Initializer, Node, Shape, Value } from "./types.js";

/** The domain of ONNX Runtime's own operators. */
export const MICROSOFT = "com.microsoft";

/** What a node gives: stated by who makes it, so that the graph is typed as it grows. */
export interface OutputType {
  readonly dtype: DType;
  readonly shape: Shape;
}

export interface NodeOptions {
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, Attribute>>;
  /** Instead of the name made of the node's. */
  readonly outputName?: string;
}

/**
 * Grows one graph, node by node. It knows operators and tensors, and no model.
 * A node's name is its path in the model (`/layers.0/self_attn/q_proj/Gemm`); its outputs are named after it.
 */
export class GraphBuilder {
  private readonly nodes: Node[] = [];
  private readonly names = new Set<string>();
  private readonly inputs: Value[] = [];
  private readonly outputs: Value[] = [];
  private readonly initializers = new Map<string, Initializer>();

  /** @param parent a loop body sees the values of the graph around it, and shares its constants. */
  constructor(
    readonly name: string,
    private readonly parent?: GraphBuilder,
  ) {}

  /** The graph that all loop bodies lie in. */
  get root(): GraphBuilder {
    return this.parent?.root ?? this;
  }

  input(name: string, dtype: DType, shape: Shape): Value {
    const value = { name, dtype, shape };
    this.inputs.push(value);
    return value;
  }

  /** Makes `value` an output of the graph, under `name` when given. */
  output(value: Value, name?: string): Value {
    const output =
      name === undefined ? value : this.node("Identity", `/outputs/${name}`, [value], value, { outputName: name });
    this.outputs.push(output);
    return output;
  }

  /** A small constant; asking twice gives the same one. `[]` is the shape of a single number. */
  constant(dtype: DType, data: number | readonly number[]): Value {
    if (this.parent !== undefined) return this.parent.constant(dtype, data);
    const values = typeof data === "number" ? [data] : data;
    const shape = typeof data === "number" ? [] : [data.length];
    const name = `/constants/${dtype}/${typeof data === "number" ? data : `[${data.join(",")}]`}`;
    return this.keep({ name, dtype, shape, data: values });
  }

  /** A weight that stays in its file. */
  weight(name: string, dtype: DType, shape: Shape, external: ExternalData): Value {
    return this.root.keep({ name, dtype, shape, external });
  }

  /** A node with one output. An `undefined` input is an optional one that is left out. */
  node(
    opType: string,
    path: string,
    inputs: readonly (Value | undefined)[],
    output: OutputType,
    options: NodeOptions = {},
  ): Value {
    const name = `${path}/${opType}`;
    const value = { name: options.outputName ?? `${name}/output`, dtype: output.dtype, shape: output.shape };
    this.add(opType, name, inputs, [value.name], options);
    return value;
  }

  /** A node with several outputs, in the operator's order, by names of our own. */
  nodeOutputs<Name extends string>(
    opType: string,
    path: string,
    inputs: readonly (Value | undefined)[],
    outputs: Readonly<Record<Name, OutputType>>,
    options: NodeOptions = {},
  ): Readonly<Record<Name, Value>> {
    const name = `${path}/${opType}`;
    const values = Object.entries<OutputType>(outputs).map(([key, { dtype, shape }]): [string, Value] => [
      key,
      { name: `${name}/${key}`, dtype, shape },
    ]);
    const names = values.map(([, value]) => value.name);
    this.add(opType, name, inputs, names, options);
    return Object.fromEntries(values) as Record<Name, Value>;
  }

  /** A builder for a loop body inside this graph. */
  body(name: string): GraphBuilder {
    return new GraphBuilder(name, this);
  }

  build(): Graph {
    return {
      name: this.name,
      inputs: [...this.inputs],
      outputs: [...this.outputs],
      initializers: [...this.initializers.values()],
      nodes: [...this.nodes],
    };
  }

  private add(
    opType: string,
    name: string,
    inputs: readonly (Value | undefined)[],
    outputs: readonly string[],
    options: NodeOptions,
  ): void {
    if (this.isTaken(name)) throw new Error(`two nodes are named ${name}`);
    this.names.add(name);
    this.nodes.push({
      name,
      opType,
      domain: options.domain ?? "",
      inputs: inputs.map((value) => value?.name ?? ""),
      outputs,
      attributes: options.attributes ?? {},
    });
  }

  private isTaken(name: string): boolean {
    return this.names.has(name) || (this.parent?.isTaken(name) ?? false);
  }

  private keep(initializer: Initializer): Value {
    const known = this.initializers.get(initializer.name);
    if (known === undefined) this.initializers.set(initializer.name, initializer);
    return known ?? initializer;
  }
}
