import { create, toBinary } from "@bufbuild/protobuf";
import {
  type AttributeProto,
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  type GraphProto,
  GraphProtoSchema,
  ModelProtoSchema,
  type TensorProto,
  TensorProto_DataLocation,
  TensorProto_DataType,
  TensorProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "onnx-buf";
import type { Attribute, DType, Graph, Initializer, Value } from "./types.js";

/** The operators our graphs use are those of these versions; ONNX Runtime 1.30 knows both. */
const OPSETS = { "": 21, "com.microsoft": 1 } as const;
const IR_VERSION = 10;

const DATA_TYPES: Readonly<Record<DType, TensorProto_DataType>> = {
  float32: TensorProto_DataType.FLOAT,
  float16: TensorProto_DataType.FLOAT16,
  bfloat16: TensorProto_DataType.BFLOAT16,
  uint8: TensorProto_DataType.UINT8,
  int32: TensorProto_DataType.INT32,
  int64: TensorProto_DataType.INT64,
  bool: TensorProto_DataType.BOOL,
};

/** The graph as the bytes of an ONNX `ModelProto`; weights stay in their files. */
export function encodeModel(graph: Graph, producerVersion: string): Uint8Array {
  const model = create(ModelProtoSchema, {
    irVersion: BigInt(IR_VERSION),
    producerName: "ladm",
    producerVersion,
    opsetImport: Object.entries(OPSETS).map(([domain, version]) => ({ domain, version: BigInt(version) })),
    graph: graphProto(graph),
  });
  return toBinary(ModelProtoSchema, model);
}

function graphProto(graph: Graph): GraphProto {
  return create(GraphProtoSchema, {
    name: graph.name,
    input: graph.inputs.map(valueInfo),
    output: graph.outputs.map(valueInfo),
    initializer: graph.initializers.map(tensorProto),
    node: graph.nodes.map((node) => ({
      name: node.name,
      opType: node.opType,
      domain: node.domain,
      input: [...node.inputs],
      output: [...node.outputs],
      attribute: Object.entries(node.attributes).map(([name, value]) => attributeProto(name, value)),
    })),
  });
}

function valueInfo(value: Value): ValueInfoProto {
  const dim = value.shape.map((size) => ({
    value:
      typeof size === "number"
        ? { case: "dimValue" as const, value: BigInt(size) }
        : { case: "dimParam" as const, value: size },
  }));
  const tensorType = { elemType: DATA_TYPES[value.dtype], shape: { dim } };
  return create(ValueInfoProtoSchema, {
    name: value.name,
    type: { value: { case: "tensorType", value: tensorType } },
  });
}

function tensorProto(initializer: Initializer): TensorProto {
  const { name, dtype, shape, data, external } = initializer;
  const dims = shape.map((size) => {
    if (typeof size !== "number") throw new Error(`initializer ${name} has the open dimension ${size}`);
    return BigInt(size);
  });
  const common = { name, dims, dataType: DATA_TYPES[dtype] };
  if (external !== undefined) {
    const entries = { location: external.location, offset: external.offset, length: external.sizeBytes };
    return create(TensorProtoSchema, {
      ...common,
      dataLocation: TensorProto_DataLocation.EXTERNAL,
      externalData: Object.entries(entries).map(([key, value]) => ({ key, value: String(value) })),
    });
  }
  if (data === undefined) throw new Error(`initializer ${name} has no data`);
  return create(TensorProtoSchema, { ...common, rawData: rawData(dtype, data) });
}

function rawData(dtype: DType, data: readonly number[]): Uint8Array<ArrayBuffer> {
  switch (dtype) {
    case "float32":
      return new Uint8Array(Float32Array.from(data).buffer);
    case "int64":
      return new Uint8Array(BigInt64Array.from(data, BigInt).buffer);
    case "int32":
      return new Uint8Array(Int32Array.from(data).buffer);
    case "bool":
    case "uint8":
      return Uint8Array.from(data);
    case "float16":
    case "bfloat16":
      throw new Error(`constants of type ${dtype} are not needed and not encoded`);
  }
}

function attributeProto(name: string, attribute: Attribute): AttributeProto {
  switch (attribute.kind) {
    case "int":
      return create(AttributeProtoSchema, { name, type: AttributeProto_AttributeType.INT, i: BigInt(attribute.value) });
    case "ints":
      return create(AttributeProtoSchema, {
        name,
        type: AttributeProto_AttributeType.INTS,
        ints: attribute.value.map(BigInt),
      });
    case "float":
      return create(AttributeProtoSchema, { name, type: AttributeProto_AttributeType.FLOAT, f: attribute.value });
    case "string":
      return create(AttributeProtoSchema, {
        name,
        type: AttributeProto_AttributeType.STRING,
        s: new TextEncoder().encode(attribute.value),
      });
    case "graph":
      return create(AttributeProtoSchema, {
        name,
        type: AttributeProto_AttributeType.GRAPH,
        g: graphProto(attribute.value),
      });
  }
}
