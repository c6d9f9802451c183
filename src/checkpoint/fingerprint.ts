import { createHash, type Hash } from "node:crypto";
import { open } from "node:fs/promises";
import { readExactly } from "../core/files.js";
import { canonicalJson } from "../core/fingerprint.js";
import { orUnreadable } from "./border.js";
import type { Checkpoint } from "./checkpoint.js";
import type { StoredTensor } from "./safetensors.js";

const CHUNK_BYTES = 1024 * 1024;

/**
 * SHA-256, hexadecimal, of what the config means and of every byte of the weights, tensor by tensor, wherever they lie.
 * Nothing less will do: a checkpoint that differs in one head is another, and samples of its bytes pass it by. Of what
 * the engine is to read anyway, some 1 GB a second.
 * @throws UserError `checkpoint-unreadable`
 */
export function fingerprintCheckpoint(checkpoint: Checkpoint): Promise<string> {
  const known = fingerprints.get(checkpoint);
  if (known !== undefined) return known;
  const fingerprint = hashCheckpoint(checkpoint);
  fingerprints.set(checkpoint, fingerprint);
  return fingerprint;
}

/** All weights are read once, whoever asks. */
const fingerprints = new WeakMap<Checkpoint, Promise<string>>();

async function hashCheckpoint({ config, tensors, headTensors }: Checkpoint): Promise<string> {
  const hash = createHash("sha256").update(canonicalJson(config));
  const chunk = Buffer.alloc(CHUNK_BYTES);
  for (const [name, tensor] of [...tensors, ...(headTensors ?? [])]) {
    hash.update(canonicalJson([name, tensor.dtype, tensor.shape]));
    await orUnreadable(tensor.file, hashTensor(hash, tensor, chunk));
  }
  return hash.digest("hex");
}

async function hashTensor(hash: Hash, { file: path, offset, sizeBytes }: StoredTensor, chunk: Buffer): Promise<void> {
  const file = await open(path, "r");
  try {
    for (let done = 0; done < sizeBytes; ) {
      const bytes = await readExactly(file, chunk.subarray(0, sizeBytes - done), offset + done);
      hash.update(bytes);
      done += bytes.length;
    }
  } finally {
    await file.close();
  }
}
