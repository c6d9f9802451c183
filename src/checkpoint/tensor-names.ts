import { ownName } from "./families/family.js";
import { FAMILIES } from "./families/index.js";
import type { DecoderSpec } from "./spec.js";
import type { Placement } from "./weights.js";

/**
 * What names of a decoder's tensors begin with: in a causal language model, in the bare decoder, and where it is the
 * text part of a larger model, by newer and older versions of transformers.
 */
const PREFIXES = [
  { decoder: "model.", head: "" },
  { decoder: "", head: "" },
  { decoder: "model.language_model.", head: "" },
  { decoder: "language_model.model.", head: "language_model." },
] as const;
const EMBEDDING = "embed_tokens.weight";

/** How the tensors of a decoder are called in its files. */
export interface NamesInFiles {
  /** What the names of the decoder's tensors begin with. */
  readonly prefix: string;
  /** Of a tensor's name as the decoder has it. */
  readonly storedName: (name: string) => string;
  /** Tensors of old files that follow from the configuration, without the prefix. */
  readonly buffers: RegExp | undefined;
}

/** The family's names, with the prefix under which the embedding is there. */
export function namesInFiles({ family: type }: DecoderSpec, { files }: Pick<Placement, "files">): NamesInFiles {
  const family = FAMILIES.find(({ modelTypes }) => modelTypes[0] === type);
  if (family === undefined) throw new Error(`no family ${type}`);
  const own = (name: string) => ownName(family, name);
  const known = family.prefix === undefined ? PREFIXES : [{ decoder: family.prefix, head: "" }, ...PREFIXES];
  const { decoder, head } = known.find((one) => files.has(one.decoder + own(EMBEDDING))) ?? known[0] ?? PREFIXES[0];
  // The head lies beside the decoder, not in it.
  const storedName = (name: string) => (name.startsWith("lm_head.") ? head : decoder) + own(name);
  return { prefix: decoder, storedName, buffers: family.buffers };
}
