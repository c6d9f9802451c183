import { UserError } from "../core/errors.js";
import { formatCount } from "../core/units.js";
import { shown } from "./border.js";
import type { DecoderSpec } from "./spec.js";

/** Buffers that follow from the configuration; loaders make them again. Names without the prefix `model.`. */
const BUFFERS = [
  /^(?:layers\.\d+\.self_attn\.)?rotary_emb\.(?:inv_freq|original_inv_freq|cos_cached|sin_cached)$/,
  /^layers\.\d+\.self_attn\.masked_bias$/,
];
/** They read the last hidden states, after the last queries and keys. Names as in the file. */
const HEADS = [/^(?:score|classifier|qa_outputs)\.(?:weight|bias)$/, /^v_head\.summary\.(?:weight|bias)$/];
const LM_HEAD = /^(?:language_model\.)?lm_head\.weight$/;
/** What makes pictures and sounds into tokens. A text has none. */
const OTHER_SENSES = /^(?:model\.)?(?:vision_tower|vision_model|multi_modal_projector|audio_tower)\./;

const SHOWN = 3;

export interface ReadTensors {
  /** Names as in the files, of all tensors that the weight files and their index hold. */
  readonly names: Iterable<string>;
  /** The decoder's names in the files. */
  readonly prefix: string;
  /** What the graph of a score or a loss takes, by its name in the files. */
  readonly known: ReadonlySet<string>;
  readonly config: DecoderSpec;
  /** Of the family. */
  readonly buffers: RegExp | undefined;
  readonly directory: string;
}

/**
 * That the weights hold nothing that the graph has no place for: a score without it would be another model's. Only
 * buffers and heads of which no score is made may be there besides.
 * @throws UserError `tensor-unexpected`
 */
export function refuseUnexpected({ names, prefix, known, config, buffers, directory }: ReadTensors): void {
  const isKnown = (name: string) => {
    if (known.has(name) || LM_HEAD.test(name) || HEADS.some((pattern) => pattern.test(name))) return true;
    if (prefix.includes("language_model.") && OTHER_SENSES.test(name)) return true;
    if (!name.startsWith(prefix)) return false;
    const inner = name.slice(prefix.length);
    return BUFFERS.some((pattern) => pattern.test(inner)) || buffers?.test(inner) === true;
  };
  const unexpected = [...new Set(names)].filter((name) => !isKnown(name));
  const [first] = unexpected;
  if (first === undefined) return;
  const more = unexpected.length - SHOWN;
  const { family, layerCount } = config;
  throw new UserError({
    code: "tensor-unexpected",
    what:
      unexpected.length === 1
        ? `tensor ${shown(first)} has no place in the model that config.json describes`
        : `${formatCount(unexpected.length)} tensors have no place in the model that config.json describes`,
    where: directory,
    got: unexpected.slice(0, SHOWN).map(shown).join(", ") + (more > 0 ? ` and ${formatCount(more)} more` : ""),
    allowed: `the tensors of a ${family} decoder of ${layerCount} layer${layerCount === 1 ? "" : "s"}, with biases only where the config says so`,
    fix: `Without ${unexpected.length === 1 ? "it" : "them"} the scores would be another model's. ${adviceFor(first, prefix, config)}`,
  });
}

const ADVICE: readonly { readonly pattern: RegExp; readonly fix: string }[] = [
  {
    pattern: /(?:^|[._])(?:lora|loha|lokr|hada|ia3|b?oft|vera|dora)_|base_layer|base_model|modules_to_save/i,
    fix: "This is an adapter: merge it into its base model (merge_and_unload in peft) and save that.",
  },
  {
    pattern:
      /\.(?:(?:weight|input|output|k|v)_scale\w*|scales|q?zeros|\w*zero_point|qweight|weight_packed|weight_shape|g_idx|(?:nested_)?(?:absmax|quant_map)|quant_state\S*|SCB|weight_format)$/,
    fix: "The weights are quantised: use the checkpoint's unquantised form.",
  },
  {
    pattern: /\.(?:self_attn|mlp)\.\w+_proj\.bias$/,
    fix: "Correct attention_bias or mlp_bias of config.json, or the weights.",
  },
];

function adviceFor(name: string, prefix: string, { layerCount }: DecoderSpec): string {
  const known = ADVICE.find(({ pattern }) => pattern.test(name));
  if (known !== undefined) return known.fix;
  const layer = name.startsWith(prefix) ? /^layers\.(\d+)\./.exec(name.slice(prefix.length))?.[1] : undefined;
  return layer !== undefined && Number(layer) >= layerCount
    ? `Correct num_hidden_layers of config.json, which is ${layerCount}, or save the checkpoint without the layers beyond it.`
    : "The weights are of another kind of model than config.json says: get both again, or save the checkpoint without these tensors if they are of no use.";
}
