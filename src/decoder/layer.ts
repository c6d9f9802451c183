import { attentionScale, type DecoderSpec, layerWindow } from "../checkpoint/spec.js";
import type { AttentionWindow, Precision } from "../core/plan.js";
import { type GraphBuilder, MICROSOFT } from "../onnx/builder.js";
import { float, int, type Value } from "../onnx/types.js";
import { type AttentionForm, emitAttention, type Lengths } from "./attention.js";
import { emitNorm } from "./norm.js";
import type { ContributionPoint } from "./tap.js";
import {
  type NamedTensor,
  type QuantizedWeight,
  quantizedWeight,
  unquantizedWeight,
  type WeightSource,
  weight,
} from "./weights.js";

/** `MatMulNBits` rounds its input to 8 bits too, and multiplies integers. */
const INT8_ACTIVATIONS = 4;

/** float32 `[L, rotaryDim / 2]` each */
export interface RotaryTables {
  readonly cos: Value;
  readonly sin: Value;
}

/** Rotary tables of layers that see all tokens before, and of those with a window. */
export interface RopeInputs {
  readonly far: RotaryTables;
  readonly near: RotaryTables;
}

interface Product {
  /** Of the linear layer, within this one. */
  readonly name: string;
  readonly input: Value;
  readonly outSize: number;
  readonly inSize: number;
}

export interface AttentionStep {
  /** float32 `[1, L, KV*D]` */
  readonly value: Value;
  /** float32 `[L, H*D]` */
  readonly rows: Value;
  readonly lengths: Lengths;
}

/** What attention reads: queries and keys after rotary embedding, and the rows that they were made of. */
export interface AttentionRows {
  /** float32 `[1, L, H*D]` */
  readonly query: Value;
  /** float32 `[1, L, KV*D]` */
  readonly key: Value;
  readonly projected: Projected;
}

/** Rows of queries, keys and values `[L, N*D]`, each made when it is asked for. */
interface Projected {
  readonly query: () => Value;
  readonly key: () => Value;
  readonly value: () => Value;
}

/** The steps of one layer; hidden states are float32 `[L, E]`. */
export class DecoderLayer {
  readonly scope: string;
  private readonly weights = new Map<string, Value>();
  private readonly roundedWeights = new Map<string, QuantizedWeight | null>();

  constructor(
    private readonly builder: GraphBuilder,
    private readonly source: WeightSource,
    private readonly index: number,
    private readonly precision: Precision,
  ) {
    this.scope = `/layers.${index}`;
  }

  private get spec(): DecoderSpec {
    return this.source.spec;
  }

  norm(name: string, hidden: Value): Value {
    return this.normOf(name, name, hidden, this.spec.hiddenSize);
  }

  private normOf(path: string, name: string, rows: Value, size: number): Value {
    const named = { path: this.path(path), name: this.weightName(name) };
    return emitNorm(this.builder, this.source, named, rows, size);
  }

  /** Queries and keys of the rows that go into attention, `[L, E]`. */
  attentionRows(normed: Value, ropes: RopeInputs): AttentionRows {
    const { headCount, keyValueHeadCount } = this.spec;
    const projected = this.project(normed);
    const rope = this.ropeOf(ropes);
    const query = this.rotate("q_proj", this.normHeads("q_norm", projected.query(), headCount), headCount, rope);
    const key = this.rotate(
      "k_proj",
      this.normHeads("k_norm", projected.key(), keyValueHeadCount),
      keyValueHeadCount,
      rope,
    );
    return { query, key, projected };
  }

  private project(normed: Value): Projected {
    const { headCount, keyValueHeadCount, headDim, hiddenSize, fusedProjections } = this.spec;
    const [querySize, keyValueSize] = [headCount * headDim, keyValueHeadCount * headDim];
    if (fusedProjections === undefined) {
      const linear = (name: string, outSize: number) => this.linear(`self_attn.${name}`, normed, outSize, hiddenSize);
      return {
        query: () => linear("q_proj", querySize),
        key: () => linear("k_proj", keyValueSize),
        value: () => linear("v_proj", keyValueSize),
      };
    }
    const all = this.linear("self_attn.qkv_proj", normed, querySize + 2 * keyValueSize, hiddenSize);
    const parts =
      fusedProjections === "joined"
        ? this.split("self_attn/qkv", all, [querySize, keyValueSize, keyValueSize])
        : this.splitByHead(all);
    const part = (at: number) => () => parts[at] ?? all;
    return { query: part(0), key: part(1), value: part(2) };
  }

  /** `[L, H*3*D]`, the three of each head together -> three times `[L, H*D]`. */
  private splitByHead(all: Value): readonly Value[] {
    const { headCount, headDim } = this.spec;
    const constant = (values: readonly number[]) => this.builder.constant("int64", values);
    const shape = ["L", headCount, 3 * headDim];
    const heads = this.emit("Reshape", "self_attn/qkv/heads", [all, constant([-1, headCount, 3 * headDim])], shape);
    return this.split("self_attn/qkv", heads, [headDim, headDim, headDim]).map((part, at) =>
      this.emit(
        "Reshape",
        `self_attn/qkv/part${at}`,
        [part, constant([-1, headCount * headDim])],
        ["L", headCount * headDim],
      ),
    );
  }

  private ropeOf({ far, near }: RopeInputs): RotaryTables | null {
    if (this.spec.unrotatedLayers?.includes(this.index) === true) return null;
    return layerWindow(this.spec, this.index) === null ? far : near;
  }

  /** Norm of queries or keys, `[L, N*D]`, where the model has one. */
  private normHeads(name: string, rows: Value, headCount: number): Value {
    const { headDim, queryKeyNorm } = this.spec;
    const path = `self_attn.${name}`;
    if (queryKeyNorm === undefined) return rows;
    if (queryKeyNorm === "projection") return this.normOf(path, path, rows, headCount * headDim);
    const heads = this.splitHeads(`${name}/split`, rows, headCount);
    const normed = this.normOf(path, path, heads, headDim);
    const target = this.builder.constant("int64", [-1, headCount * headDim]);
    return this.emit("Reshape", `${path}/join`, [normed, target], rows.shape);
  }

  /** `[…, a+b+…]` -> `[…, a]`, `[…, b]`, … */
  private split(path: string, rows: Value, sizes: readonly number[]): readonly Value[] {
    const outputs = Object.fromEntries(
      sizes.map((size, at) => [`part${at}`, { dtype: "float32", shape: [...rows.shape.slice(0, -1), size] } as const]),
    );
    const inputs = [rows, this.builder.constant("int64", sizes)];
    const options = { attributes: { axis: int(-1) } };
    return Object.values(this.builder.nodeOutputs("Split", `${this.scope}/${path}`, inputs, outputs, options));
  }

  /** `[L, in]` -> `[L, out]`, with the bias where the config has one. */
  linear(name: string, input: Value, outSize: number, inSize: number): Value {
    return this.product(this.builder, this.path(name), { name, input, outSize, inSize });
  }

  private hasBias(name: string): boolean {
    const { attentionBias, mlpBias, queryKeyValueBias } = this.spec;
    if (name.startsWith("mlp.")) return mlpBias;
    return attentionBias || (queryKeyValueBias === true && name !== "self_attn.o_proj");
  }

  /** `linear` of some rows, in a graph inside of this one. */
  private product(builder: GraphBuilder, path: string, { name, input, outSize, inSize }: Product): Value {
    const [rows = "L"] = input.shape;
    const shape = [outSize, inSize];
    const bias = this.hasBias(name) ? this.weight(`${name}.bias`, [outSize]) : undefined;
    const rounded = this.precision === "int8" ? this.quantized(`${name}.weight`, shape) : null;
    const matrix = rounded === null ? this.weight(`${name}.weight`, shape) : null;
    const output = { dtype: "float32", shape: [rows, outSize] } as const;
    if (matrix !== null) {
      const inputs = bias === undefined ? [input, matrix] : [input, matrix, bias];
      return builder.node("Gemm", path, inputs, output, { attributes: { transB: int(1) } });
    }
    if (rounded === null) throw new Error("neither stored nor rounded");
    const { blocks, scales, block } = rounded;
    const inputs = [input, blocks, scales, undefined, undefined, bias];
    return builder.node("MatMulNBits", path, inputs, output, {
      domain: MICROSOFT,
      attributes: {
        K: int(inSize),
        N: int(outSize),
        bits: int(8),
        block_size: int(block),
        accuracy_level: int(INT8_ACTIVATIONS),
      },
    });
  }

  /** Rotary embedding, where the layer has one: `[L, N*D]` -> `[1, L, N*D]`. */
  private rotate(name: string, value: Value, headCount: number, tables: RotaryTables | null): Value {
    const batch = this.batch(`self_attn/${name}`, value);
    if (tables === null) return batch;
    const { rotaryDim } = this.spec;
    const start = this.builder.constant("int64", [0]);
    return this.emit("RotaryEmbedding", `self_attn/${name}`, [batch, start, tables.cos, tables.sin], batch.shape, {
      domain: MICROSOFT,
      attributes: {
        num_heads: int(headCount),
        ...(rotaryDim === undefined ? {} : { rotary_embedding_dim: int(rotaryDim) }),
      },
    });
  }

  /** `[1, L, N*D]` -> `[L, N, D]`. */
  splitHeads(name: string, value: Value, headCount: number): Value {
    const { headDim } = this.spec;
    const target = this.builder.constant("int64", [-1, headCount, headDim]);
    return this.emit("Reshape", `self_attn/${name}`, [value, target], ["L", headCount, headDim]);
  }

  /** Causal attention, without its output projection. */
  attention({ query, key, projected }: AttentionRows, lengths: Lengths, window: AttentionWindow | null): AttentionStep {
    const value = this.batch("self_attn/v_proj", projected.value());
    const inputs = { query, key, value, lengths, window };
    const form = { ...this.spec, ...this.attentionForm() };
    return { value, ...emitAttention(this.builder, `${this.scope}/self_attn`, form, inputs) };
  }

  attentionForm(): AttentionForm {
    const { spec } = this;
    return {
      scale: attentionScale(spec),
      softcap: spec.attentionSoftcap ?? null,
      seen: layerWindow(spec, this.index),
    };
  }

  /** What attention adds to the hidden state, of its rows. */
  attended({ rows }: Pick<AttentionStep, "rows">): Value {
    const { headCount, headDim, hiddenSize } = this.spec;
    return this.linear("self_attn.o_proj", rows, hiddenSize, headCount * headDim);
  }

  contribution({ value, rows }: AttentionStep): ContributionPoint {
    const { headCount, keyValueHeadCount, headDim, hiddenSize } = this.spec;
    const sizes = { name: "self_attn.o_proj", outSize: hiddenSize, inSize: headCount * headDim };
    return {
      value: this.splitHeads("v_heads", value, keyValueHeadCount),
      heads: this.splitHeads("o_heads", rows, headCount),
      toBlock: (builder, path, part) => this.product(builder, path, { ...sizes, input: part }),
      toHeads: (builder, path, directions) => {
        const matrix = this.outputMatrix();
        const [count = "R"] = directions.shape;
        return builder.node("MatMul", path, [directions, matrix], {
          dtype: "float32",
          shape: [count, matrix.shape[1] ?? 0],
        });
      },
    };
  }

  mlp(normed: Value): Value {
    const { hiddenSize, intermediateSize, fusedProjections, plainMlp } = this.spec;
    const linear = (name: string, outSize: number) => this.linear(`mlp.${name}`, normed, outSize, hiddenSize);
    if (plainMlp === true) {
      const active = this.activate(linear("up_proj", intermediateSize));
      return this.linear("mlp.down_proj", active, hiddenSize, intermediateSize);
    }
    const halves = [intermediateSize, intermediateSize];
    const fused =
      fusedProjections === "joined"
        ? this.split("mlp/gate_up", linear("gate_up_proj", 2 * intermediateSize), halves)
        : [];
    const [gate = linear("gate_proj", intermediateSize), up] = fused;
    const active = this.activate(gate);
    const gated = this.emit("Mul", "mlp/gated", [active, up ?? linear("up_proj", intermediateSize)], gate.shape);
    return this.linear("mlp.down_proj", gated, hiddenSize, intermediateSize);
  }

  private activate(gate: Value): Value {
    const { activation } = this.spec;
    if (activation !== undefined) {
      const operator = activation === "gelu_tanh" ? "FastGelu" : "Gelu";
      return this.emit(operator, "mlp/gelu", [gate], gate.shape, { domain: MICROSOFT });
    }
    // QuickGelu with alpha 1 is silu, in one pass.
    const attributes = { alpha: float(1) };
    return this.emit("QuickGelu", "mlp/silu", [gate], gate.shape, { domain: MICROSOFT, attributes });
  }

  /** What attention or MLP adds, after the norm that follows it where there is one. */
  add(name: string, hidden: Value, change: Value, normName: string): Value {
    const { normPlacement, residualMultiplier } = this.spec;
    const normed = normPlacement === undefined ? change : this.norm(normName, change);
    const factor = residualMultiplier === undefined ? null : this.builder.constant("float32", residualMultiplier);
    const scaled = factor === null ? normed : this.emit("Mul", `${name}.scaled`, [normed, factor], hidden.shape);
    return this.emit("Add", name, [hidden, scaled], hidden.shape);
  }

  private batch(name: string, value: Value): Value {
    return this.emit("Unsqueeze", name, [value, this.builder.constant("int64", [0])], [1, ...value.shape]);
  }

  private quantized(name: string, shape: readonly number[]): QuantizedWeight | null {
    const known = this.roundedWeights.get(name);
    if (known !== undefined) return known;
    const made = quantizedWeight(this.builder, this.tensor(name, shape));
    this.roundedWeights.set(name, made);
    return made;
  }

  /** W_O in float32, `[E, H*D]`, whatever the precision of the pass. */
  private outputMatrix(): Value {
    const { headCount, headDim, hiddenSize } = this.spec;
    const name = "self_attn.o_proj.weight";
    const shape = [hiddenSize, headCount * headDim];
    if (this.precision === "float32") return this.weight(name, shape);
    return unquantizedWeight(this.builder, this.tensor(name, shape));
  }

  private path(name: string): string {
    return `${this.scope}/${name.replaceAll(".", "/")}`;
  }

  private weightName(name: string): string {
    return `${this.scope.slice(1)}.${name}`;
  }

  private tensor(name: string, shape: readonly number[]): NamedTensor {
    const full = this.weightName(name);
    return { name: full, stored: this.source.find(full, shape) };
  }

  private weight(name: string, shape: readonly number[]): Value {
    const known = this.weights.get(name) ?? weight(this.builder, this.tensor(name, shape));
    this.weights.set(name, known);
    return known;
  }

  private emit(
    opType: string,
    name: string,
    inputs: readonly (Value | undefined)[],
    shape: Value["shape"],
    options: Parameters<GraphBuilder["node"]>[4] = {},
  ): Value {
    return this.builder.node(opType, this.path(name), inputs, { dtype: "float32", shape }, options);
  }
}
