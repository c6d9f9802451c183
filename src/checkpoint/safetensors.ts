import { open } from "node:fs/promises";
import { z } from "zod";
import { UserError } from "../core/errors.js";
import { readExactly, readUpTo } from "../core/files.js";
import { formatBytes } from "../core/units.js";
import { decodeUtf8, isRecord, orUnreadable, parseJson, parseWith, shown, sizeOf } from "./border.js";

/** The dtypes that weights may have, as safetensors names them. */
export const TENSOR_DTYPES = ["F32", "F16", "BF16"] as const;
export type TensorDtype = (typeof TENSOR_DTYPES)[number];

const DTYPE_BYTES: Readonly<Record<TensorDtype, number>> = { F32: 4, F16: 2, BF16: 2 };

/** Where the bytes of a tensor lie; row-major, little-endian. */
export interface StoredTensor {
  readonly name: string;
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
  /** Absolute path. */
  readonly file: string;
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly sizeBytes: number;
}

/** A tensor as the header has it, of whatever dtype. */
export interface HeaderTensor extends Omit<StoredTensor, "dtype"> {
  readonly dtype: string;
}

/** Bytes before the header: its length, an unsigned 64-bit integer. */
const LENGTH_BYTES = 8;
/**
 * The largest Llama (126 layers) needs about 0.2 MB, 1,024 layers 2 MB; parsed JSON takes many times its text in
 * memory.
 */
const MAX_HEADER_BYTES = 16 * 1024 * 1024;
/** Weights have one or two axes; no framework writes more than this. */
const MAX_RANK = 8;

const COUNT = `an integer from 0 to ${Number.MAX_SAFE_INTEGER}`;
const count = z.int(COUNT).min(0, COUNT);
const entrySchema = z.strictObject(
  {
    dtype: z.string("the name of a dtype").min(1).max(32),
    shape: z.array(count, "a list of dimensions").max(MAX_RANK, `at most ${MAX_RANK} dimensions`),
    data_offsets: z.tuple([count, count], "two byte positions: start, end"),
  },
  "an object of dtype, shape and data_offsets, and no more",
);

/** Whether a dtype is one that weights may have. */
export function isTensorDtype(dtype: string): dtype is TensorDtype {
  return TENSOR_DTYPES.some((known) => known === dtype);
}

/**
 * The tensors of a safetensors file by name, without reading their data. Every shape and byte range is held against
 * the file's real size. As the format demands, the ranges cover the data without gap or overlap.
 * @throws UserError `safetensors-truncated`, `safetensors-header`, `checkpoint-not-json`, `checkpoint-repeated-key`,
 * `checkpoint-unreadable`.
 */
export async function readSafetensorsHeader(path: string): Promise<ReadonlyMap<string, HeaderTensor>> {
  const { text, dataStart, fileBytes } = await readHeaderText(path);
  const header = parseJson(text, `header of ${path}`);
  if (!isRecord(header)) throw badHeader(path, "the header is not a JSON object", shown(header), "a JSON object");
  const tensors = new Map<string, HeaderTensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") checkMetadata(entry, path);
    else tensors.set(name, parseEntry(name, entry, path, dataStart));
  }
  checkRanges([...tensors.values()], path, dataStart, fileBytes);
  return tensors;
}

async function readHeaderText(path: string): Promise<{ text: string; dataStart: number; fileBytes: number }> {
  const fileBytes = await sizeOf(path);
  if (fileBytes === null) throw badHeader(path, "there is no such file", "nothing", "a safetensors file");
  if (fileBytes < LENGTH_BYTES) throw truncated(path, fileBytes, `at least ${LENGTH_BYTES} bytes`);
  const file = await orUnreadable(path, open(path, "r"));
  try {
    const start = await orUnreadable(path, readExactly(file, Buffer.alloc(LENGTH_BYTES), 0));
    // A clone without Git LFS leaves a text file in the place of each large one.
    if (start.toString("latin1") === "version ") {
      throw new UserError({
        code: "safetensors-header",
        what: "this is a Git LFS pointer, not the weights",
        where: path,
        got: "a small text file",
        allowed: "a safetensors file",
        fix: "Run `git lfs pull` in the checkpoint's folder.",
      });
    }
    const headerBytes = start.readBigUInt64LE();
    if (headerBytes > BigInt(MAX_HEADER_BYTES)) {
      const allowed = `at most ${formatBytes(MAX_HEADER_BYTES)}`;
      throw badHeader(path, "the header is too long", `${headerBytes} bytes`, allowed);
    }
    const length = Number(headerBytes);
    const dataStart = LENGTH_BYTES + length;
    if (dataStart > fileBytes) throw truncated(path, fileBytes, `a header of ${length} bytes`);
    const bytes = Buffer.alloc(length);
    const bytesRead = await orUnreadable(path, readUpTo(file, bytes, LENGTH_BYTES));
    if (bytesRead < length) throw truncated(path, LENGTH_BYTES + bytesRead, `a header of ${length} bytes`);
    return { text: decodeUtf8(bytes, `header of ${path}`), dataStart, fileBytes };
  } finally {
    await file.close();
  }
}

function checkMetadata(metadata: unknown, path: string): void {
  if (isRecord(metadata) && Object.values(metadata).every((value) => typeof value === "string")) return;
  throw badHeader(path, "__metadata__ cannot be read", shown(metadata), "an object of strings");
}

function parseEntry(name: string, entry: unknown, file: string, dataStart: number): HeaderTensor {
  const given = parseWith(entrySchema, entry, (complaint) => {
    const field = complaint.path === "" ? "entry" : complaint.path;
    return badHeader(file, `${field} of tensor ${shown(name)} cannot be used`, complaint.got, complaint.allowed);
  });
  const { dtype, shape } = given;
  const [start, end] = given.data_offsets;
  const sizeBytes = end - start;
  if (sizeBytes < 0) {
    throw badHeader(file, `tensor ${shown(name)} ends before it starts`, `[${start}, ${end}]`, "start up to end");
  }
  // A product too large for a double's 53 bits still exceeds every byte range, so no overflow passes.
  const demanded = isTensorDtype(dtype)
    ? shape.reduce((product, size) => product * size, DTYPE_BYTES[dtype])
    : sizeBytes;
  if (demanded !== sizeBytes) {
    const what = `the bytes of tensor ${shown(name)} are not what its shape takes`;
    throw badHeader(file, what, `${sizeBytes} bytes`, `${demanded} for ${dtype} [${shape.join(", ")}]`);
  }
  return { name, dtype, shape, file, offset: dataStart + start, sizeBytes };
}

function checkRanges(tensors: HeaderTensor[], path: string, dataStart: number, fileBytes: number): void {
  tensors.sort((a, b) => a.offset - b.offset || a.sizeBytes - b.sizeBytes);
  let end = dataStart;
  for (const { name, offset, sizeBytes } of tensors) {
    if (offset + sizeBytes > fileBytes)
      throw truncated(path, fileBytes, `tensor ${shown(name)} to ${offset + sizeBytes}`);
    if (offset !== end) {
      const what = `tensor ${shown(name)} ${offset < end ? "overlaps the one before it" : "leaves a gap before it"}`;
      throw badHeader(path, what, `byte ${offset - dataStart} of the data`, `byte ${end - dataStart}`);
    }
    end = offset + sizeBytes;
  }
  if (end !== fileBytes) {
    const what = "the file goes on after its last tensor";
    throw badHeader(path, what, `${fileBytes} bytes`, `${end} bytes`);
  }
}

function truncated(path: string, fileBytes: number, allowed: string): UserError {
  return new UserError({
    code: "safetensors-truncated",
    what: "the file is shorter than it says",
    where: path,
    got: `${fileBytes} bytes`,
    allowed,
    fix: "The download is not complete: get the file again.",
  });
}

function badHeader(where: string, what: string, got: string, allowed: string): UserError {
  const fix = "The file is damaged or not safetensors: get it again.";
  return new UserError({ code: "safetensors-header", what, where, got, allowed, fix });
}
