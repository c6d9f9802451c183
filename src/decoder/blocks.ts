import type { GraphBuilder } from "../onnx/builder.js";
import { int, type Value } from "../onnx/types.js";

/** One block of rows, inside the loop: all int64 `[1]`. */
export interface Block {
  readonly start: Value;
  /** `start` plus the block's size, which may lie past the last row. */
  readonly end: Value;
  /** Rows of the whole. */
  readonly length: Value;
}

export interface BlockLoop {
  /** Anything with the rows along `axis`. */
  readonly rows: Value;
  readonly axis: number;
  /** Rows of a block. */
  readonly size: number;
  /** Columns of what comes out. */
  readonly width: number;
  /** What the first block is handed; each hands the next one as much. */
  readonly carried?: readonly Value[];
  /** Makes, inside the loop, the block's own rows `[r, width]`, and what it hands on. */
  readonly body: (
    builder: GraphBuilder,
    block: Block,
    carried: readonly Value[],
  ) => { readonly rows: Value; readonly carried?: readonly Value[] };
}

/**
 * Rows made block by block (`Loop`), so that what is needed on the way is of a block's size; the last block may be
 * smaller.
 * @returns float32 `[L, width]`
 */
export function emitBlocks(builder: GraphBuilder, scope: string, loop: BlockLoop): Value {
  const { size, width, carried = [] } = loop;
  const outside = indexEmitter(builder, scope);
  const length = outside.dimension("length", loop.rows, loop.axis);
  const filled = outside.index("filled", "Add", [length, outside.one(size - 1)]);
  const count = outside.index("count", "Div", [filled, outside.one(size)]);

  const body = builder.body(`${scope}/body`);
  const iteration = body.input(`${scope}/iteration`, "int64", []);
  const condition = body.input(`${scope}/condition`, "bool", []);
  const handed = carried.map(({ dtype, shape }, at) => body.input(`${scope}/carried.${at}`, dtype, shape));
  const emit = indexEmitter(body, `${scope}/block`);
  const number = emit.index("number", "Unsqueeze", [iteration, emit.one(0)]);
  const start = emit.index("start", "Mul", [number, emit.one(size)]);
  const end = emit.index("end", "Add", [start, emit.one(size)]);
  const made = loop.body(body, { start, end, length }, handed);
  // What a loop collects is of one size.
  const missing = emit.index("missing", "Sub", [emit.one(size), emit.dimension("rows", made.rows, 0)]);
  const pads = emit.joined("pads", [body.constant("int64", [0, 0]), missing, emit.one(0)], 4);
  const whole = body.node("Pad", `${scope}/block`, [made.rows, pads], { dtype: "float32", shape: [size, width] });
  body.output(body.node("Identity", `${scope}/block/goes_on`, [condition], { dtype: "bool", shape: [] }));
  for (const value of made.carried ?? []) body.output(value);
  body.output(whole);

  const left = Object.fromEntries(carried.map(({ dtype, shape }, at) => [`carried.${at}`, { dtype, shape }]));
  const { blocks } = builder.nodeOutputs(
    "Loop",
    scope,
    [outside.index("count", "Squeeze", [count, outside.one(0)], []), undefined, ...carried],
    { ...left, blocks: { dtype: "float32", shape: ["B", size, width] } },
    { attributes: { body: { kind: "graph", value: body.build() } } },
  );
  if (blocks === undefined) throw new Error("a loop gives its blocks");
  const shape = builder.constant("int64", [-1, width]);
  const joined = builder.node("Reshape", scope, [blocks, shape], { dtype: "float32", shape: ["B*size", width] });
  const bounds = [outside.one(0), length, outside.one(0)];
  return builder.node("Slice", scope, [joined, ...bounds], { dtype: "float32", shape: ["L", width] });
}

/** The block's rows of `value` along an axis. */
export function blockRows(
  builder: GraphBuilder,
  path: string,
  value: Value,
  { start, end }: Block,
  axis: number,
): Value {
  const shape = value.shape.map((size, at) => (at === axis ? "r" : size));
  const inputs = [value, start, end, builder.constant("int64", [axis])];
  return builder.node("Slice", path, inputs, { dtype: value.dtype, shape });
}

/** Short forms for the int64 `[1]` nodes of one scope. */
export function indexEmitter(builder: GraphBuilder, scope: string) {
  const index = (name: string, opType: string, inputs: readonly Value[], shape: Value["shape"] = [1]): Value =>
    builder.node(opType, `${scope}/${name}`, inputs, { dtype: "int64", shape });
  return {
    index,
    one: (value: number): Value => builder.constant("int64", [value]),
    /** The size of `value` along one axis. */
    dimension(name: string, value: Value, axis: number): Value {
      const attributes = { start: int(axis), end: int(axis + 1) };
      return builder.node("Shape", `${scope}/${name}`, [value], { dtype: "int64", shape: [1] }, { attributes });
    },
    joined(name: string, parts: readonly Value[], size: number): Value {
      const output = { dtype: "int64", shape: [size] } as const;
      return builder.node("Concat", `${scope}/${name}`, parts, output, { attributes: { axis: int(0) } });
    },
  };
}
