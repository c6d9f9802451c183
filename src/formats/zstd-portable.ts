import { Decompress } from "fzstd";
import { Xxh64 } from "./xxh64.js";

/** The decoder moves the whole window at each block of 128 KiB: a larger one would take hours. */
export const PORTABLE_WINDOW_BYTES = 2 ** 27;

const MAGIC = 0xfd2fb528;
const SKIP_BYTES = 64 * 1024;

/**
 * Decodes zstd without native code (RFC 8878): fzstd does the blocks, this the frames: their ends, windows and
 * checksums, which fzstd does not look at. `write` throws where the data are damaged.
 */
export function openPortableZstd(emit: (piece: Uint8Array) => void) {
  const frames = readFrames(emit);
  let wanted = frames.next().value;
  let held = new Uint8Array(0);
  return {
    write: async (bytes: Uint8Array): Promise<void> => {
      const all = Buffer.concat([held, bytes]);
      let start = 0;
      while (all.length - start >= wanted.sizeBytes) {
        const end = start + wanted.sizeBytes;
        wanted = frames.next(all.subarray(start, end)).value;
        start = end;
      }
      held = all.subarray(start);
    },
    end: async (): Promise<void> => {
      if (held.length > 0 || !wanted.betweenFrames) throw new Error("unexpected end of file");
    },
    close: () => undefined,
  };
}

interface Wanted {
  readonly sizeBytes: number;
  /** The file may end here. */
  readonly betweenFrames: boolean;
}

/** Asks for so many bytes and is given them. */
function* take(sizeBytes: number, betweenFrames = false): Generator<Wanted, DataView, Uint8Array> {
  const bytes = yield { sizeBytes, betweenFrames };
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function* readFrames(emit: (piece: Uint8Array) => void): Generator<Wanted, never, Uint8Array> {
  for (;;) {
    const magic = yield* take(4, true);
    if (magic.getUint32(0, true) === MAGIC) yield* readFrame(magic, emit);
    else if (isSkippableMagic(magic.getUint32(0, true))) {
      let left = (yield* take(4)).getUint32(0, true);
      while (left > 0) left -= (yield* take(Math.min(left, SKIP_BYTES))).byteLength;
    } else throw new Error("no zstd frame where one should begin");
  }
}

function* readFrame(magic: DataView, emit: (piece: Uint8Array) => void): Generator<Wanted, void, Uint8Array> {
  const hash = new Xxh64();
  const decoder = new Decompress((piece) => {
    hash.update(piece);
    emit(piece);
  });
  const push = (last: boolean, ...parts: readonly DataView[]): void => {
    const bytes = parts.map((part) => new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
    decoder.push(Buffer.concat(bytes), last);
  };

  const descriptorByte = yield* take(1);
  const descriptor = descriptorByte.getUint8(0);
  const singleSegment = (descriptor & 0x20) !== 0;
  const hasChecksum = (descriptor & 0x04) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const contentSizeBytes = [singleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  if (dictionaryBytes > 0) throw new Error("the zstd data need a dictionary");
  const header = yield* take((singleSegment ? 0 : 1) + contentSizeBytes);
  const windowBytes = singleSegment ? contentSizeOf(header) : windowBytesOf(header.getUint8(0));
  if (windowBytes > PORTABLE_WINDOW_BYTES) throw new Error("this zstd window needs Node 22.15 or newer");
  push(false, magic, descriptorByte, header);

  for (let last = false; !last; ) {
    const block = yield* take(3);
    const word = block.getUint16(0, true) | (block.getUint8(2) << 16);
    last = (word & 1) === 1;
    const runLength = ((word >> 1) & 3) === 1;
    push(false, block, yield* take(runLength ? 1 : word >> 3));
  }
  const checksum = yield* take(hasChecksum ? 4 : 0);
  push(true, checksum);
  if (hasChecksum && BigInt(checksum.getUint32(0, true)) !== BigInt.asUintN(32, hash.digest()))
    throw new Error("checksum of the zstd data does not match");
}

function contentSizeOf(field: DataView): number {
  if (field.byteLength === 1) return field.getUint8(0);
  if (field.byteLength === 2) return field.getUint16(0, true) + 256;
  return field.byteLength === 4 ? field.getUint32(0, true) : Number(field.getBigUint64(0, true));
}

/** What the window descriptor of a frame header says. */
export function windowBytesOf(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

/** Frames that hold no data: 0x184D2A50 to 0x184D2A5F. */
export function isSkippableMagic(magic: number): boolean {
  return magic >>> 4 === 0x184d2a5;
}
