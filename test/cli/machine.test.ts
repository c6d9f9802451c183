import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { estimateMemory } from "#ladm/scoring/scorer/memory.js";
import { CHECKPOINT, ladm, makeInstallation, parsed } from "./command-line.js";

test("models: what is supported", async () => {
  const { code, stdout } = await ladm(["models"]);
  expect(code).toBe(0);
  for (const part of ["llama", "yarn", "BF16", "tokenizer.json"]) expect(stdout).toContain(part);
  const json = await ladm(["models", "--json"]);
  expect(parsed(json)).toMatchObject({
    supported: { modelTypes: expect.arrayContaining(["llama", "gpt_neox"]) as unknown },
  });
});

test("models: the verdict on a checkpoint", async () => {
  const { code, stdout } = await ladm(["models", CHECKPOINT]);
  expect(code).toBe(0);
  for (const part of ["supported", "4,096 tokens", "F32, 158,080 parameters", "no tokenizer.json"]) {
    expect(stdout).toContain(part);
  }
  expect(parsed(await ladm(["models", CHECKPOINT, "--json"]))).toMatchObject({
    verdict: "supported",
    config: { layerCount: 3 },
    parameterCount: 158_080,
    sizeBytes: 632_320,
    tokenizerFile: null,
  });
});

test("models: a folder that is no checkpoint", async () => {
  const { folder } = await makeInstallation([]);
  const { code, stdout, stderr } = await ladm(["models", folder]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toMatch(/^ladm: .*no config\.json/);
  const json = await ladm(["models", folder, "--json"]);
  expect(json).toMatchObject({ code: 2, stderr: "" });
  expect(parsed(json)).toMatchObject({ verdict: "not supported", problem: { code: "checkpoint-no-config" } });
});

test("doctor: this machine, and whether the embedded scorer fits it", async () => {
  const { code, stdout, stderr } = await ladm(["doctor"]);
  expect(code).toBe(0);
  expect(stderr).toMatch(/^model: lac-tiny, [^\n]*\n$/);
  expect(stdout).toMatch(/verdict +fits/);
  for (const part of [process.versions.node, "cores", "memory", "WebGPU (not used yet)", "onnxruntime-node", "loads"]) {
    expect(stdout).toContain(part);
  }
});

test("doctor: a checkpoint that fits, and a window for which it does not", async () => {
  const fits = await ladm(["doctor", "--model", CHECKPOINT, "--json"]);
  expect(fits).toMatchObject({ code: 0, stderr: "" });
  expect(parsed(fits)).toMatchObject({
    machine: { node: process.versions.node },
    fit: { fits: true, maxLength: 4096, weightsBytes: 632_320, longestLength: 4096 },
  });
  const large = await ladm(["doctor", "--model", CHECKPOINT, "--max-length", "1000000000"]);
  expect(large.code).toBe(2);
  expect(large.stdout).toMatch(/verdict +does not fit\nlongest window +4,096 tokens \(--max-length 4096\)/);
  expect(large.stdout).toContain("--allow-longer");
});

test("doctor: the machine is told before a checkpoint that cannot be used", async () => {
  const { code, stdout, stderr } = await ladm(["doctor", "--model", "no-such-folder"]);
  expect(code).toBe(2);
  expect(stdout).toContain("cores");
  expect(stderr).toMatch(/^ladm: .*no-such-folder/);
});

test("doctor: libraries that are missing or broken, and what installs them", async () => {
  const { folder, main } = await makeInstallation(["@stricli/core", "zod", "@duckdb/node-api"]);
  const engine = join(folder, "node_modules", "onnxruntime-node");
  const missing = await ladm(["doctor"], { main });
  expect(missing.code).toBe(2);
  expect(missing.stdout).toMatch(
    /onnxruntime-node +not installed .*ONNXRUNTIME_NODE_INSTALL=skip npm install onnxruntime-node@\d+\.\d+\.\d+/,
  );
  expect(missing.stdout).toMatch(/tokenizers +not installed .* npm install tokenizers@\d/);
  await mkdir(engine);
  await writeFile(join(engine, "package.json"), '{"name":"onnxruntime-node","version":"9.9.9","main":"index.js"}');
  await writeFile(join(engine, "index.js"), "process.kill(process.pid, 'SIGSEGV'); while (true);");
  const broken = await ladm(["doctor", "--json"], { main });
  expect(broken.code).toBe(2);
  expect(parsed(broken).libraries).toMatchObject([
    { name: "onnxruntime-node", version: "9.9.9", loads: false, reason: "the process that loaded it died (SIGSEGV)" },
    { name: "tokenizers", version: null, loads: false },
    { name: "@duckdb/node-api", loads: true },
  ]);
});

test("memory: layers that are not run take nothing, 8-bit layers a fraction", () => {
  const config = { hiddenSize: 576, intermediateSize: 1536, headCount: 9, headDim: 64 };
  const tensors = new Map([
    ["model.embed_tokens.weight", { dtype: "F32", sizeBytes: 1000 }],
    ...[0, 1, 2].flatMap((layer): [string, { dtype: string; sizeBytes: number }][] => [
      [`model.layers.${layer}.self_attn.q_proj.weight`, { dtype: layer === 0 ? "F32" : "BF16", sizeBytes: 4000 }],
      [`model.layers.${layer}.input_layernorm.weight`, { dtype: "F32", sizeBytes: 10 }],
    ]),
  ]);
  const bytes = (layerCount: number, precision: "float32" | "int8") =>
    estimateMemory({ config, tensors }, 0, { layerCount, precision }).weightsBytes;
  expect(estimateMemory({ config, tensors }, 0).weightsBytes).toBe(1000 + 4000 + 2 * 12_000 + 30);
  expect(bytes(3, "float32")).toBe(1000 + 4000 + 2 * 12_000 + 30);
  expect(bytes(1, "float32")).toBe(1000 + 4000 + 10);
  expect(bytes(2, "int8")).toBe(1000 + 1.125 * 1000 + 1.125 * 2000 + 20);
});

test("memory: float32 weights are mapped, others are cast beside their file", () => {
  const config = { hiddenSize: 576, intermediateSize: 1536, headCount: 9, headDim: 64 };
  const of = (dtype: string, sizeBytes: number, length: number) =>
    estimateMemory({ config, tensors: new Map([["weight", { dtype, sizeBytes }]]) }, length);
  expect(of("F32", 4_000_000, 0).weightsBytes).toBe(4_000_000);
  expect(of("BF16", 2_000_000, 0).weightsBytes).toBe(6_000_000);
  expect(of("F16", 2_000_000, 0).weightsBytes).toBe(6_000_000);
  const { activationsBytes, totalBytes, weightsBytes } = of("F32", 538_000_000, 4096);
  // Short samples are held by the feed-forward part, long ones by attention.
  expect(activationsBytes).toBe(4 * (3 * 576 * 4096 + 5 * 1536 * 2048));
  expect(of("F32", 538_000_000, 32_768).activationsBytes).toBe(4 * 7 * 576 * 32_768);
  expect(totalBytes - weightsBytes - activationsBytes).toBe(150_000_000);
});
