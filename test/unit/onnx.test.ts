import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { fromBinary } from "@bufbuild/protobuf";
import { type ModelProto, ModelProtoSchema, TensorProto_DataLocation, TensorProto_DataType } from "onnx-buf";
import { describe, expect, test } from "vitest";
import type { Checkpoint } from "#ladm/checkpoint/checkpoint.js";
import { buildDecoder } from "#ladm/decoder/build.js";
import { openCheckpoint } from "#ladm/decoder/open-checkpoint.js";
import { weightsOf } from "#ladm/decoder/weights.js";
import { GraphBuilder, MICROSOFT } from "#ladm/onnx/builder.js";
import { encodeModel } from "#ladm/onnx/encode.js";
import { float, int, ints } from "#ladm/onnx/types.js";

const MODEL = fileURLToPath(new URL("../../examples/tiny-llama", import.meta.url));

function decode(builder: GraphBuilder): ModelProto {
  return fromBinary(ModelProtoSchema, encodeModel(builder.build(), "1.2.3"));
}

describe("builder", () => {
  test("a constant asked for twice is one initializer; another type or shape is another", () => {
    const builder = new GraphBuilder("g");
    expect(builder.constant("int64", [1, 2])).toBe(builder.constant("int64", [1, 2]));
    const others = [
      builder.constant("int64", [1, 2]),
      builder.constant("int32", [1, 2]),
      builder.constant("int64", [2, 1]),
      builder.constant("int64", 1),
      builder.constant("int64", [1]),
      builder.constant("float32", 1),
      builder.constant("float32", -1),
    ];
    expect(new Set(others.map(({ name }) => name)).size).toBe(others.length);
    expect(builder.build().initializers).toHaveLength(others.length);
  });

  test("a body shares the constants of the graph around it, and sees its names", () => {
    const builder = new GraphBuilder("g");
    const body = builder.body("b");
    expect(body.constant("int64", 3)).toBe(builder.constant("int64", 3));
    expect(body.build().initializers).toEqual([]);
    const x = builder.input("x", "float32", ["L"]);
    builder.node("Relu", "/a", [x], x);
    expect(() => body.node("Relu", "/a", [x], x)).toThrow("two nodes are named /a/Relu");
  });

  test("two nodes of one name are refused, two operators at one path are not", () => {
    const builder = new GraphBuilder("g");
    const x = builder.input("x", "float32", ["L"]);
    const relu = builder.node("Relu", "/a", [x], x);
    expect(relu.name).toBe("/a/Relu/output");
    builder.node("Exp", "/a", [x], x);
    expect(() => builder.node("Relu", "/a", [x], x)).toThrow("two nodes are named /a/Relu");
    expect(() => builder.nodeOutputs("Relu", "/a", [x], { y: x })).toThrow("two nodes are named /a/Relu");
  });
});

describe("encoding", () => {
  test("a graph comes back as it was built", () => {
    const builder = new GraphBuilder("g");
    const x = builder.input("x", "float32", ["L", 4]);
    const bias = builder.constant("float32", [0.5, -2]);
    const weight = builder.weight("w", "bfloat16", [4, 2], {
      location: "model.safetensors",
      offset: 8_589_934_600,
      sizeBytes: 16,
    });
    const cast = builder.node(
      "Cast",
      "/w",
      [weight],
      { dtype: "float32", shape: [4, 2] },
      { attributes: { to: int(1) } },
    );
    const { y, z } = builder.nodeOutputs(
      "Made",
      "/m",
      [x, undefined, cast, bias],
      { y: { dtype: "float32", shape: ["L", 2] }, z: { dtype: "bool", shape: [] } },
      { domain: MICROSOFT, attributes: { axes: ints([0, -1]), epsilon: float(0.25) } },
    );
    builder.output(y, "named");
    builder.output(z);
    const { graph, opsetImport, producerName, producerVersion } = decode(builder);
    expect({ producerName, producerVersion }).toEqual({ producerName: "ladm", producerVersion: "1.2.3" });
    expect(opsetImport.map(({ domain }) => domain).sort()).toEqual(["", MICROSOFT]);

    const [input] = graph?.input ?? [];
    expect(input?.name).toBe("x");
    const type = input?.type?.value;
    expect(type?.case === "tensorType" && type.value.elemType).toBe(TensorProto_DataType.FLOAT);
    const dims = type?.case === "tensorType" ? type.value.shape?.dim.map(({ value }) => value.value) : [];
    expect(dims).toEqual(["L", 4n]);
    expect(graph?.output.map(({ name }) => name)).toEqual(["named", "/m/Made/z"]);

    const made = graph?.node.find(({ name }) => name === "/m/Made");
    expect(made).toMatchObject({ opType: "Made", domain: MICROSOFT, output: ["/m/Made/y", "/m/Made/z"] });
    expect(made?.input).toEqual(["x", "", "/w/Cast/output", bias.name]);
    expect(made?.attribute.map(({ name, ints: values, f }) => ({ name, values, f }))).toEqual([
      { name: "axes", values: [0n, -1n], f: 0 },
      { name: "epsilon", values: [], f: 0.25 },
    ]);

    const [constant, external] = graph?.initializer ?? [];
    expect(constant).toMatchObject({ name: bias.name, dims: [2n], dataType: TensorProto_DataType.FLOAT });
    expect(Buffer.from(constant?.rawData ?? []).toString("hex")).toBe("0000003f000000c0");
    expect(external).toMatchObject({ name: "w", dims: [4n, 2n], dataType: TensorProto_DataType.BFLOAT16 });
    expect(external?.dataLocation).toBe(TensorProto_DataLocation.EXTERNAL);
    expect(external?.rawData).toHaveLength(0);
    expect(Object.fromEntries(external?.externalData.map(({ key, value }) => [key, value]) ?? [])).toEqual({
      location: "model.safetensors",
      offset: "8589934600",
      length: "16",
    });
  });

  test("a weight of an open dimension is refused", () => {
    const builder = new GraphBuilder("g");
    builder.weight("w", "float32", ["L"], { location: "f", offset: 0, sizeBytes: 4 });
    expect(() => encodeModel(builder.build(), "1")).toThrow("initializer w has the open dimension L");
  });
});

describe("a decoder's graph", () => {
  const build = (checkpoint: Checkpoint, layers: readonly number[]) => {
    const builder = new GraphBuilder("decoder");
    const tapped: number[] = [];
    const tap = (_builder: GraphBuilder, { layer, query, key }: { layer: number; query: object; key: object }) => {
      tapped.push(layer);
      expect(query).toMatchObject({ dtype: "float32", shape: ["L", 4, 8] });
      expect(key).toMatchObject({ dtype: "float32", shape: ["L", 2, 8] });
    };
    buildDecoder(builder, { weights: weightsOf(checkpoint), layers, tap });
    const { nodes, initializers } = builder.build();
    const weights = initializers.filter(({ external }) => external !== undefined);
    return { tapped: tapped.sort((a, b) => a - b), names: nodes.map(({ name }) => name), weights, builder };
  };

  test("tapping the first layer only ends the graph at its queries and keys", async () => {
    const { tapped, names, weights } = build(await openCheckpoint(MODEL), [0]);
    expect(tapped).toEqual([0]);
    const all = [...names, ...weights.map(({ name }) => name)].join("\n");
    expect(all).toMatch(/layers\.0.*q_proj/);
    expect(all).toMatch(/layers\.0.*k_proj/);
    expect(all).not.toMatch(/layers\.1/);
    expect(all).not.toMatch(/o_proj|v_proj|mlp|post_attention_layernorm|lm_head|Attention/);
    expect(weights.map(({ name }) => name).sort()).toEqual([
      "/embed_tokens.weight",
      "/layers.0.input_layernorm.weight",
      "/layers.0.self_attn.k_proj.weight",
      "/layers.0.self_attn.q_proj.weight",
    ]);
  });

  test("tapping some layers runs through those before the last, and taps no others", async () => {
    const { tapped, names, weights } = build(await openCheckpoint(MODEL), [0, 2]);
    expect(tapped).toEqual([0, 2]);
    const all = [...names, ...weights.map(({ name }) => name)].join("\n");
    expect(all).toMatch(/layers\.1.*down_proj/);
    expect(all).toMatch(/layers\.2.*q_proj/);
    expect(all).not.toMatch(/layers\.2.*(v_proj|o_proj|mlp)|layers\.3|lm_head/);
    expect(names.some((name) => /(^|\/)norm/.test(name))).toBe(false);
  });

  test("every weight names the bytes of its tensor in the file itself", async () => {
    const checkpoint = await openCheckpoint(MODEL);
    const { builder } = build(checkpoint, [0, 1, 2, 3]);
    const stored = readFileSync(`${MODEL}/model.safetensors`);
    const headerBytes = Number(stored.readBigUInt64LE());
    const header = JSON.parse(stored.subarray(8, 8 + headerBytes).toString()) as Record<
      string,
      { data_offsets: [number, number]; shape: number[] }
    >;
    const external = decode(builder).graph?.initializer.filter(({ externalData }) => externalData.length > 0) ?? [];
    expect(external.length).toBeGreaterThan(20);
    for (const { name, dims, externalData, rawData } of external) {
      const { shape, data_offsets: [start, end] = [0, 0] } = header[`model.${name.slice(1)}`] ?? { shape: [] };
      expect(dims.map(Number), name).toEqual(shape);
      expect(rawData).toHaveLength(0);
      expect(Object.fromEntries(externalData.map(({ key, value }) => [key, value])), name).toEqual({
        location: "model.safetensors",
        offset: String(8 + headerBytes + start),
        length: String(end - start),
      });
    }
  });
});
