/**
 * Scores samples of ids with our scorer; prints one JSON line each: {id, tokenCount, seconds, cds}.
 *
 *     node bench/ours.mjs MODEL IDS --length N --threads N [--layers 1,14-23] [--attention SPEC]
 *                        [--precision int8] [--pairs contribution:head] [--bare]
 *
 * --layers: those listened to, where the pass ends at the last; default: all. --bare: the forward pass up to the last
 * layer's queries and keys, without taps.
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { PAIR_KINDS } from "../dist/core/pair-kind.js";
import { parseAttention } from "../dist/core/plan.js";
import { buildDecoder } from "../dist/decoder/build.js";
import { decoderInputs } from "../dist/decoder/inputs.js";
import { openCheckpoint } from "../dist/decoder/open-checkpoint.js";
import { weightsOf } from "../dist/decoder/weights.js";
import { Engine } from "../dist/engine/engine.js";
import { openScorer } from "../dist/index.js";
import { GraphBuilder } from "../dist/onnx/builder.js";
import { encodeModel } from "../dist/onnx/encode.js";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    length: { type: "string", default: "4096" },
    threads: { type: "string", default: "2" },
    layers: { type: "string" },
    attention: { type: "string", default: "full" },
    precision: { type: "string", default: "float32" },
    pairs: { type: "string", default: "attention" },
    bare: { type: "boolean", default: false },
  },
});
const [model = "", ids = ""] = positionals;
const length = Number(values.length);
const threads = Number(values.threads);
const documents = /** @type {{ id: string, ids: number[] }[]} */ (JSON.parse(readFileSync(ids, "utf8")));

const layers = values.layers?.split(",").flatMap((range) => {
  const [first = 0, last = first] = range.split("-").map(Number);
  return Array.from({ length: last - first + 1 }, (_, at) => first + at);
});
const { attention } = values;
const pairs = PAIR_KINDS.find((kind) => kind === values.pairs);
const precision = values.precision === "int8" ? "int8" : "float32";

/** @returns {Promise<{ run: (tokenIds: Int32Array) => Promise<number | null>, close: () => Promise<void> }>} */
async function openContender() {
  if (!values.bare) {
    const scorer = await openScorer({
      pairs,
      formula: "published",
      model,
      threads,
      maxLength: length,
      allowLonger: true,
      layers,
      attention,
      precision,
    });
    return {
      run: async (tokenIds) => (await scorer.scoreTokens(null, tokenIds)).score,
      close: () => scorer.close(),
    };
  }
  const checkpoint = await openCheckpoint(model);
  const builder = new GraphBuilder("bare");
  buildDecoder(builder, {
    weights: weightsOf(checkpoint),
    layers: [layers?.at(-1) ?? checkpoint.config.layerCount - 1],
    plan: {
      attention: parseAttention(attention, { layerCount: checkpoint.config.layerCount, maxLength: length }),
      precision,
    },
    tap: (graph, { query, key }) => {
      for (const [name, value] of Object.entries({ query, key })) {
        const bounds = [graph.constant("int64", [0]), graph.constant("int64", [1])];
        graph.output(graph.node("Slice", `/bare/${name}`, [value, ...bounds], value));
      }
    },
  });
  const engine = new Engine({
    model: encodeModel(builder.build(), "bench"),
    weightsDirectory: checkpoint.weightsDirectory,
    packWeights: precision === "int8",
    threads,
  });
  await engine.start();
  return {
    run: async (tokenIds) => {
      await engine.run(decoderInputs(checkpoint.config, tokenIds));
      return null;
    },
    close: () => engine.close(),
  };
}

const contender = await openContender();
for (const { id, ids: tokens } of documents) {
  if (tokens.length < length) continue;
  const start = performance.now();
  const cds = await contender.run(Int32Array.from(tokens.slice(0, length)));
  const seconds = (performance.now() - start) / 1000;
  process.stdout.write(`${JSON.stringify({ id, tokenCount: length, seconds, cds })}\n`);
}
await contender.close();
