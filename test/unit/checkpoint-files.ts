import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Smallest Llama with grouped heads and a `head_dim` other than hidden / heads. */
export const TINY = {
  model_type: "llama",
  num_hidden_layers: 2,
  hidden_size: 8,
  intermediate_size: 12,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  head_dim: 6,
  vocab_size: 16,
  max_position_embeddings: 64,
};

export interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
}
export type Entries = ReadonlyMap<string, Entry>;

/** The tensors of `TINY`, written out by hand, with the final norm and LM head that are not needed. */
export function tinyTensors(dtype = "F32", prefix = "model."): Map<string, Entry> {
  const entries = new Map<string, Entry>([[`${prefix}embed_tokens.weight`, { dtype, shape: [16, 8] }]]);
  for (const layer of [0, 1]) {
    const shapes: Record<string, number[]> = {
      input_layernorm: [8],
      post_attention_layernorm: [8],
      "self_attn.q_proj": [12, 8],
      "self_attn.k_proj": [6, 8],
      "self_attn.v_proj": [6, 8],
      "self_attn.o_proj": [8, 12],
      "mlp.gate_proj": [12, 8],
      "mlp.up_proj": [12, 8],
      "mlp.down_proj": [8, 12],
    };
    for (const [name, shape] of Object.entries(shapes)) {
      entries.set(`${prefix}layers.${layer}.${name}.weight`, { dtype, shape });
    }
  }
  entries.set(`${prefix}norm.weight`, { dtype, shape: [8] });
  entries.set("lm_head.weight", { dtype, shape: [16, 8] });
  return entries;
}

const WIDTHS: Readonly<Record<string, number>> = { F64: 8, F32: 4, F16: 2, BF16: 2, F8_E4M3: 1, I8: 1 };

/** The header of a whole, valid file. */
function headerOf(entries: Entries): Record<string, unknown> {
  let end = 0;
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  for (const [name, { dtype, shape }] of entries) {
    const start = end;
    end += shape.reduce((product, size) => product * size, WIDTHS[dtype] ?? 1);
    header[name] = { dtype, shape, data_offsets: [start, end] };
  }
  return header;
}

/** A file of any header text and any count of data bytes, which count up. */
export function safetensors(header: string | Buffer, dataBytes: number, headerBytes?: bigint): Buffer {
  const text = Buffer.from(header);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(headerBytes ?? BigInt(text.length));
  return Buffer.concat([length, text, Buffer.from(Array.from({ length: dataBytes }, (_, byte) => byte % 251))]);
}

/** A whole, valid file. */
export function safetensorsOf(entries: Entries): Buffer {
  const bytes = [...entries.values()].reduce(
    (sum, { dtype, shape }) => sum + shape.reduce((product, size) => product * size, WIDTHS[dtype] ?? 1),
    0,
  );
  return safetensors(JSON.stringify(headerOf(entries)), bytes);
}

export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), "ladm-checkpoint-"));
}

/** Writes files into a new folder; objects as JSON. */
export function writeFolder(files: Readonly<Record<string, string | Buffer | object>>): string {
  const folder = temporaryFolder();
  for (const [name, content] of Object.entries(files)) {
    const isRaw = typeof content === "string" || Buffer.isBuffer(content);
    writeFileSync(join(folder, name), isRaw ? content : JSON.stringify(content));
  }
  return folder;
}

/** Two shards: all tensors of layer 1 lie in the second. */
export function shardedTiny(): Record<string, string | Buffer | object> {
  const all = [...tinyTensors()];
  const isSecond = (name: string) => name.includes("layers.1.");
  const [first, second] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
  return {
    "config.json": TINY,
    "model.safetensors.index.json": {
      metadata: { total_size: 1 },
      weight_map: Object.fromEntries(all.map(([name]) => [name, isSecond(name) ? second : first])),
    },
    [first]: safetensorsOf(new Map(all.filter(([name]) => !isSecond(name)))),
    [second]: safetensorsOf(new Map(all.filter(([name]) => isSecond(name)))),
  };
}
