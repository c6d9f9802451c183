import type { GraphBuilder, NodeOptions } from "../onnx/builder.js";
import { ints, type Shape, type Value } from "../onnx/types.js";

interface Layout {
  /** Shape before the axes are reordered; the value's own when left out. */
  readonly split?: readonly number[];
  readonly order: readonly number[];
  readonly join: readonly number[];
  /** Shape after, where `join` leaves one axis open. */
  readonly shape?: Shape;
}

/** Short forms for the nodes of one scope. */
export function emitter(builder: GraphBuilder, scope: string) {
  const float = (
    name: string,
    opType: string,
    inputs: readonly (Value | undefined)[],
    shape: Shape,
    options?: NodeOptions,
  ): Value => builder.node(opType, `${scope}/${name}`, inputs, { dtype: "float32", shape }, options);
  const reshape = (name: string, value: Value, target: readonly number[], shape: Shape): Value =>
    float(`${name}/reshape_${target.length}`, "Reshape", [value, builder.constant("int64", target)], shape);
  return {
    float,
    reshape,
    one: (value: number): Value => builder.constant("int64", [value]),
    index: (name: string, opType: string, inputs: readonly Value[], shape: Shape = [1]): Value =>
      builder.node(opType, `${scope}/${name}`, inputs, { dtype: "int64", shape }),
    layout(name: string, value: Value, { split, order, join, shape }: Layout): Value {
      const parts = split === undefined ? value : reshape(`${name}/split`, value, split, split);
      const ordered = order.map((axis) => parts.shape[axis] ?? 1);
      const turned = float(name, "Transpose", [parts], ordered, { attributes: { perm: ints(order) } });
      return reshape(`${name}/join`, turned, join, shape ?? join);
    },
  };
}

export type Emitter = ReturnType<typeof emitter>;
