import { buildCommand } from "@stricli/core";
import type { Checkpoint } from "../../checkpoint/checkpoint.js";
import { farLayers } from "../../checkpoint/spec.js";
import { EXIT, UserError } from "../../core/errors.js";
import { jsonLine } from "../../core/printed.js";
import { formatBytes, formatCount } from "../../core/units.js";
import { endable } from "../abort.js";
import type { LadmContext } from "../context.js";
import type { Fact } from "../facts.js";
import { switchFlag } from "../flags.js";
import { localModel } from "../model.js";

interface ModelsFlags {
  readonly json?: boolean;
}

const DESCRIBED_LEXICAL =
  "the text alone (rare tokens that spans share), no checkpoint and no engine; milliseconds a document";

export const modelsCommand = buildCommand<ModelsFlags, [directory: string | undefined], LadmContext>({
  docs: {
    customUsage: ["[DIR|NAME]"],
    brief: "List which checkpoints are supported, or check one",
    fullDescription: `Lists which checkpoints are supported. Given one, says whether it is, and describes it. No weight is read.
Exit code 0: supported; 2: not supported, damaged or not there.

EXAMPLE
  ladm models ./checkpoint`,
  },
  parameters: {
    positional: {
      kind: "tuple",
      parameters: [
        {
          parse: String,
          placeholder: "DIR",
          brief: "Folder or hub name (org/name) of a checkpoint, or lexical",
          optional: true,
        },
      ],
    },
    flags: { json: switchFlag("Print the answer as JSON") },
  },
  async func({ json }, directory) {
    const { describeFacts } = await import("../facts.js");
    if (directory === undefined) {
      const { SUPPORTED } = await import("../../checkpoint/demands.js");
      const text = () => describeFacts(factsOfSupport(SUPPORTED));
      this.stdout.write(json === true ? jsonLine({ supported: SUPPORTED }) : text());
      return;
    }
    const { LEXICAL } = await import("../../core/lexical.js");
    if (directory === LEXICAL) {
      const known = { verdict: "supported", family: LEXICAL };
      this.stdout.write(json === true ? jsonLine(known) : `${LEXICAL}: ${DESCRIBED_LEXICAL}\n`);
      return;
    }
    const { openCheckpoint } = await import("../../decoder/open-checkpoint.js");
    try {
      const folder = await localModel(directory, json === true, this);
      const checkpoint = await endable(this, () => openCheckpoint(folder));
      const { tensors: _tensors, ...known } = checkpoint;
      const verdict = { verdict: "supported", ...known };
      this.stdout.write(json === true ? jsonLine(verdict) : describeFacts(factsOf(checkpoint)));
    } catch (thrown) {
      if (json !== true || !(thrown instanceof UserError)) throw thrown;
      this.stdout.write(jsonLine({ verdict: "not supported", directory, problem: thrown.problem }));
      this.process.exitCode = EXIT.user;
    }
  },
});

function factsOfSupport(supported: {
  readonly families: readonly { readonly name: string; readonly modelTypes: readonly string[] }[];
  readonly hiddenActivations: readonly string[];
  readonly ropeTypes: readonly string[];
  readonly dtypes: readonly string[];
  readonly files: readonly string[];
}): readonly Fact[] {
  return [
    ["families", supported.families.map(({ name, modelTypes }) => `${name} (${modelTypes.join(", ")})`).join(", ")],
    ["activations", supported.hiddenActivations.join(", ")],
    ["rotary scalings", supported.ropeTypes.join(", ")],
    ["weights", `${supported.dtypes.join(", ")} in ${supported.files.join(" or ")}`],
    ["tokenizer", "tokenizer.json; not needed for rows with input_ids"],
    ["embedded", "lac-tiny (4 million parameters, window of 8,192 tokens): --model lac-tiny"],
    ["without a model", `lexical: ${DESCRIBED_LEXICAL}`],
  ];
}

function factsOf(checkpoint: Checkpoint): readonly Fact[] {
  const { config, tokenizerFile } = checkpoint;
  const biases = [
    config.attentionBias ? "attention" : config.queryKeyValueBias === true ? "queries, keys, values" : "",
    config.mlpBias ? "MLP" : "",
  ].filter((name) => name !== "");
  return [
    ["verdict", "supported"],
    ["checkpoint", checkpoint.directory],
    ["family", config.family],
    ["layers", `${config.layerCount}, hidden size ${config.hiddenSize}, intermediate size ${config.intermediateSize}`],
    ["heads", `${config.headCount} of ${config.headDim}, key-value heads ${config.keyValueHeadCount}`],
    ["biases", biases.length === 0 ? "none" : biases.join(", ")],
    ["rotary", `theta ${config.ropeTheta}, scaling ${config.ropeScaling.kind}`],
    ["window", `${formatCount(config.windowTokens)} tokens`],
    ["look far", describeFarLayers(config)],
    ["vocabulary", `${formatCount(config.vocabSize)} tokens`],
    [
      "weights",
      `${checkpoint.dtype}, ${formatCount(checkpoint.parameterCount)} parameters, ${formatBytes(checkpoint.sizeBytes)} (without the LM head)`,
    ],
    ["tokenizer", tokenizerFile === null ? "no tokenizer.json: rows must bring input_ids" : "tokenizer.json"],
  ];
}

/** Which layers can be listened to. */
function describeFarLayers(config: Checkpoint["config"]): string {
  const { layerCount, layerWindows, windowTokens } = config;
  if (layerWindows === undefined) return `all ${layerCount} layers`;
  const windows = [...new Set(layerWindows.filter((window) => window !== null))].map(formatCount).join(", ");
  const far = farLayers(config, windowTokens).length;
  if (far > 0) return `${far} of ${layerCount} layers; the others see ${windows} tokens`;
  return `no layer at the whole window: all see ${windows} tokens, so --max-length may be that`;
}
