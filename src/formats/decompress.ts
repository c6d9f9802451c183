import type { FileHandle } from "node:fs/promises";
import * as zlib from "node:zlib";
import { readUpTo } from "../core/files.js";
import { isSkippableMagic, openPortableZstd, PORTABLE_WINDOW_BYTES, windowBytesOf } from "./zstd-portable.js";

/** How the bytes of a data file are packed. */
type Compression = "none" | "gzip" | "zstd";

/** Enough of a file's start to tell its compression and the window of its first zstd frame. */
const HEAD_BYTES = 18;

/** `ZSTD_d_windowLogMax` of zstd.h, and the largest value it takes (`zstd --ultra --long=31`). */
const ZSTD_D_WINDOW_LOG_MAX = 100;
const WINDOW_LOG_MAX = 31;

/** What a JSON line can begin with: byte order mark, blanks, brace. */
const TEXT_STARTS: ReadonlySet<number> = new Set([0xef, 0x09, 0x0a, 0x0d, 0x20, 0x7b]);

const READ_BYTES = 256 * 1024;
const LEAST_READ_BYTES = 16 * 1024;
/**
 * Input is decoded in small slices, since what one slice unpacks to is held in memory at once: up to 1032 times as much
 * with gzip, 32,768 times with zstd.
 */
const SLICE_BYTES = { gzip: 16 * 1024, zstd: 4 * 1024 } as const;

/** The first bytes say it; the name decides only where they are neither magic nor text. */
export function detectCompression(head: Uint8Array, name: string): Compression {
  const [first = 0x0a, second, third, fourth] = head;
  if (first === 0x1f && second === 0x8b) return "gzip";
  if (first === 0x28 && second === 0xb5 && third === 0x2f && fourth === 0xfd) return "zstd";
  if (isSkippableFrame(head)) return "zstd";
  if (TEXT_STARTS.has(first)) return "none";
  if (/\.gz(?:ip)?$/i.test(name)) return "gzip";
  return /\.zstd?$/i.test(name) ? "zstd" : "none";
}

/** The window in bytes that the first frame of a zstd file asks for, where this Node cannot read it; else null. */
export function unreadableWindowBytes(head: Uint8Array): number | null {
  if (hasNativeZstd(zlib) || isSkippableFrame(head)) return null;
  const descriptor = head[4] ?? 0;
  const singleSegment = (descriptor & 0x20) !== 0;
  if (singleSegment) return null;
  const windowBytes = windowBytesOf(head[5] ?? 0);
  return windowBytes > PORTABLE_WINDOW_BYTES ? windowBytes : null;
}

/** The first {@link HEAD_BYTES} bytes of a file, or as many as it has. */
export async function readHead(file: FileHandle): Promise<Uint8Array> {
  const head = new Uint8Array(HEAD_BYTES);
  return head.subarray(0, await readUpTo(file, head, 0));
}

/**
 * The unpacked bytes of an open file, in pieces that the caller may keep. `name` helps where the first bytes say
 * nothing.
 * @throws where the file is damaged, after everything before the damage was yielded.
 */
export async function* unpackFile(
  file: FileHandle,
  name: string,
  onBlock: OnBlock = () => undefined,
): AsyncGenerator<Uint8Array> {
  const compression = detectCompression(await readHead(file), name);
  const blocks = () => readBlocks(file, onBlock);
  if (compression === "none") yield* blocks();
  else yield* unpack(blocks, compression, Number.POSITIVE_INFINITY);
}

/**
 * Called when a block was read, before anything of it is yielded, with the bytes of the file so far; what it throws
 * ends the reading.
 */
export type OnBlock = (readBytes: number) => Promise<void> | void;

type ReadBlocks = () => AsyncGenerator<Uint8Array>;

interface Decoder {
  /** Throws where the data are damaged. */
  readonly write: (bytes: Uint8Array) => Promise<void>;
  readonly end: () => Promise<void>;
  readonly close: () => void;
}

/** `emit` gets each piece as it is unpacked. */
type OpenDecoder = (emit: (piece: Uint8Array) => void) => Decoder;

/** `fineFrom`: from this offset on, bytes are decoded one by one. */
async function* unpack(
  blocks: ReadBlocks,
  compression: keyof typeof SLICE_BYTES,
  fineFrom: number,
): AsyncGenerator<Uint8Array> {
  const openDecoder: OpenDecoder = compression === "gzip" ? openGunzip : openZstd;
  let pieces: Uint8Array[] = [];
  let unpackedBytes = 0;
  const decoder = openDecoder((piece) => {
    pieces.push(piece);
    unpackedBytes += piece.length;
  });
  try {
    let offset = 0;
    for await (const slice of readSlices(blocks(), SLICE_BYTES[compression], fineFrom)) {
      const failure = await decoder.write(slice).then(() => null, asError);
      yield* pieces;
      pieces = [];
      if (failure !== null) {
        if (offset >= fineFrom) throw failure;
        // zlib throws away what it unpacked of the slice in which it fails: it is unpacked again, byte by byte.
        yield* skipBytes(unpack(blocks, compression, offset), unpackedBytes);
        throw failure;
      }
      offset += slice.length;
    }
    const failure = await decoder.end().then(() => null, asError);
    yield* pieces;
    if (failure !== null) throw failure;
  } finally {
    decoder.close();
  }
}

async function* readBlocks(file: FileHandle, onBlock: OnBlock): AsyncGenerator<Uint8Array> {
  // A block for each of many small files would be mostly zeros. Files of the system say 0 bytes whatever they hold.
  const { size } = await file.stat();
  for (let position = 0; ; ) {
    const block = new Uint8Array(Math.min(READ_BYTES, Math.max(LEAST_READ_BYTES, size - position)));
    const bytesRead = await readUpTo(file, block, position);
    position += bytesRead;
    await onBlock(position);
    if (bytesRead === 0) return;
    yield block.subarray(0, bytesRead);
  }
}

async function* readSlices(
  blocks: AsyncIterable<Uint8Array>,
  sliceBytes: number,
  fineFrom: number,
): AsyncGenerator<Uint8Array> {
  let position = 0;
  for await (const block of blocks) {
    for (let start = 0; start < block.length; ) {
      const end = Math.min(block.length, start + (position < fineFrom ? sliceBytes : 1));
      yield block.subarray(start, end);
      position += end - start;
      start = end;
    }
  }
}

async function* skipBytes(pieces: AsyncIterable<Uint8Array>, count: number): AsyncGenerator<Uint8Array> {
  let left = count;
  for await (const piece of pieces) {
    if (left < piece.length) yield piece.subarray(left);
    left = Math.max(0, left - piece.length);
  }
}

/** Members one after another are one file; zeros after the last one are padding. */
function openGunzip(emit: (piece: Uint8Array) => void): Decoder {
  let padding = false;
  const members = openStreams(() => zlib.createGunzip(), emit);
  return {
    ...members,
    write: async (bytes) => {
      const rest = padding ? bytes : await members.writeFrame(bytes);
      padding ||= rest.length > 0;
      if (rest.some((byte) => byte !== 0)) throw new Error("bytes follow the end of the compressed data");
    },
  };
}

function openZstd(emit: (piece: Uint8Array) => void): Decoder {
  const native: object = zlib;
  if (!hasNativeZstd(native)) return openPortableZstd(emit);
  const create = () => native.createZstdDecompress({ params: { [ZSTD_D_WINDOW_LOG_MAX]: WINDOW_LOG_MAX } });
  const frames = openStreams(create, emit);
  return {
    ...frames,
    write: async (bytes) => {
      let rest = bytes;
      while (rest.length > 0) rest = await frames.writeFrame(rest);
    },
  };
}

/** A zlib stream ends with the first frame whose end lies inside a write: each rest needs a stream of its own. */
function openStreams(create: () => zlib.Gunzip, emit: (piece: Uint8Array) => void) {
  let stream: zlib.Gunzip | null = null;
  let failure: Error | null = null;
  let fail: (error: Error) => void = () => undefined;
  const start = (): zlib.Gunzip =>
    create()
      .on("data", emit)
      .on("error", (error: Error) => {
        failure = error;
        fail(error);
      });
  const settle = (act: (done: () => void) => void) =>
    new Promise<void>((resolve, reject) => {
      fail = reject;
      if (failure === null) act(resolve);
      else reject(failure);
    });
  const close = () => {
    stream?.destroy();
    stream = null;
  };
  return {
    /** Gives back the bytes after the frame's end. */
    writeFrame: async (bytes: Uint8Array): Promise<Uint8Array> => {
      stream ??= start();
      const current = stream;
      const before = current.bytesWritten;
      await settle((done) => current.write(bytes, () => done()));
      const used = current.bytesWritten - before;
      if (used < bytes.length) close();
      return bytes.subarray(used);
    },
    end: async (): Promise<void> => {
      const current = stream;
      if (current !== null) await settle((done) => current.on("end", done).end());
    },
    close,
  };
}

interface NativeZstd {
  createZstdDecompress(options: { readonly params: Readonly<Record<number, number>> }): zlib.Gunzip;
}

/** Node 22.15 and newer. */
function hasNativeZstd(module: object): module is NativeZstd {
  return "createZstdDecompress" in module && typeof module.createZstdDecompress === "function";
}

/** Four bytes, little-endian. */
function isSkippableFrame(head: Uint8Array): boolean {
  const [first = 0, second = 0, third = 0, fourth = 0] = head;
  return isSkippableMagic((first | (second << 8) | (third << 16) | (fourth << 24)) >>> 0);
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
