import { join } from "node:path";
import { z } from "zod";
import { UserError } from "../core/errors.js";
import { parseRecord } from "../core/json.js";
import { isSafePath } from "./cache.js";
import { describeName, type HubName, parseModelName } from "./names.js";
import { type HubOptions, type Snapshot, withSnapshot } from "./snapshot.js";

const CONFIG = "config.json";
const TOKENIZER = "tokenizer.json";
const SINGLE_FILE = "model.safetensors";
const INDEX_FILE = "model.safetensors.index.json";
/** Fetched where they are; nothing fails without them. */
const OTHERS = [
  "generation_config.json",
  TOKENIZER,
  "tokenizer_config.json",
  "special_tokens_map.json",
  "calibration.json",
  // Seen beside the weights, it says that they are not the whole model.
  "adapter_config.json",
];
/** As for reading a checkpoint. */
const MAX_INDEX_BYTES = 16 * 1024 * 1024;

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string().refine(isSafePath)) });

/** Kinds of weights that are not fetched. */
const OTHER_WEIGHTS = /\.(bin|pt|pth|ckpt|gguf|onnx|h5|msgpack|safetensors|tflite)$/;

/**
 * The folder of a model of the hub, `org/name[@revision]`: its configuration, tokenizer, calibration and safetensors.
 * @throws UserError `hub-unsuitable` where it has no such weights, and those of `withSnapshot` and of downloading
 */
export async function resolveModel(name: string, options: HubOptions = {}): Promise<string> {
  const parsed = nameOf(name);
  return await withSnapshot(parsed, options, async (snapshot) => {
    const { names } = snapshot;
    if (!names.includes(CONFIG)) await refuseLack(snapshot, parsed, CONFIG, `no ${CONFIG}`);
    const files = [CONFIG, ...OTHERS.filter((one) => names.includes(one))];
    if (names.includes(SINGLE_FILE)) await snapshot.bring([...files, SINGLE_FILE]);
    else if (names.includes(INDEX_FILE)) await snapshot.bring([...files, ...(await shardsOf(snapshot, parsed))]);
    else await refuseLack(snapshot, parsed, SINGLE_FILE, "no safetensors");
    return snapshot.folder;
  });
}

/**
 * The `tokenizer.json` of a model of the hub.
 * @throws UserError as `resolveModel`
 */
export async function resolveTokenizer(name: string, options: HubOptions = {}): Promise<string> {
  const parsed = nameOf(name);
  return await withSnapshot(parsed, options, async (snapshot) => {
    if (!snapshot.names.includes(TOKENIZER)) await refuseLack(snapshot, parsed, TOKENIZER, `no ${TOKENIZER}`);
    await snapshot.bring([TOKENIZER]);
    return join(snapshot.folder, TOKENIZER);
  });
}

/**
 * Where nobody has the whole list, what a copy lacks may well be on the hub.
 * @throws UserError `hub-incomplete`, `hub-unsuitable`
 */
async function refuseLack(snapshot: Snapshot, name: HubName, file: string, lack: string): Promise<never> {
  const { names, isWholeList } = snapshot;
  if (!isWholeList && !names.some((one) => OTHER_WEIGHTS.test(one))) await snapshot.bring([file]);
  throw unsuitable(name, names, lack);
}

/** The shards that the index names, and itself. */
async function shardsOf(snapshot: Snapshot, name: HubName): Promise<readonly string[]> {
  await snapshot.bring([INDEX_FILE]);
  const bytes = await snapshot.read(INDEX_FILE);
  const shards = bytes.length <= MAX_INDEX_BYTES ? namesInIndex(bytes.toString("utf8")) : null;
  if (shards === null) throw unsuitable(name, snapshot.names, `a ${INDEX_FILE} that cannot be used`);
  const lacking = shards.filter((shard) => snapshot.isWholeList && !snapshot.names.includes(shard));
  if (lacking.length > 0) throw unsuitable(name, snapshot.names, `no ${lacking[0]}, which ${INDEX_FILE} names`);
  return [INDEX_FILE, ...shards];
}

function namesInIndex(text: string): readonly string[] | null {
  try {
    return [...new Set(Object.values(indexSchema.parse(parseRecord(text)).weight_map))].sort();
  } catch {
    return null;
  }
}

function nameOf(text: string): HubName {
  const name = parseModelName(text);
  if (name !== null) return name;
  throw new UserError({
    code: "hub-name",
    what: "This is no name of a model on the hub",
    got: text,
    allowed: "org/name or org/name@revision",
    fix: "Check the spelling.",
  });
}

function unsuitable(name: HubName, names: readonly string[], lack: string): UserError {
  const isAdapter = names.includes("adapter_config.json");
  const other = names.find((one) => OTHER_WEIGHTS.test(one));
  const instead = isAdapter ? ", but an adapter" : other === undefined ? "" : `, but ${other}`;
  return new UserError({
    code: "hub-unsuitable",
    what: `Model ${describeName(name)} of the hub cannot be used`,
    got: `${lack}${instead}`,
    allowed: `${CONFIG}, ${TOKENIZER} and ${SINGLE_FILE} (or its shards with ${INDEX_FILE})`,
    fix: isAdapter
      ? "Merge the adapter into its base model, and give that."
      : "Look for a repository or revision of it in safetensors, or convert it with transformers (save_pretrained).",
  });
}
