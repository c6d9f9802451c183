/**
 * The engine's process: one ONNX Runtime session for its life, since sessions made and released in turn leak, and `run`
 * blocks the event loop. The only file that imports `onnxruntime-node`.
 */
import { readFileSync } from "node:fs";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { answerParent } from "../core/answer-parent.js";
import type { NamedTensors, Tensor } from "../core/tensor.js";
import type { Reply, Request } from "./protocol.js";

let session: InferenceSession | undefined;

async function answer(request: Request): Promise<Reply> {
  switch (request.kind) {
    case "load":
      session = await load(request);
      return { kind: "loaded" };
    case "run": {
      if (session === undefined) throw new Error("no graph is loaded");
      const feeds = Object.entries(request.inputs).map(([name, tensor]) => [name, toEngine(tensor)] as const);
      return { kind: "outputs", outputs: fromEngine(await session.run(Object.fromEntries(feeds))) };
    }
    case "usage":
      return { kind: "usage", peakBytes: peakBytes() };
  }
}

/**
 * Resident memory at its highest, mapped weights included. Linux counts into `maxRSS` what the process had that this
 * one was forked from, but keeps a mark of its own for each program.
 */
function peakBytes(): number {
  let status = "";
  try {
    status = readFileSync("/proc/self/status", "utf8");
  } catch {
    // Other systems have no such file.
  }
  const [, mark] = /^VmHWM:\s+(\d+) kB$/m.exec(status) ?? [];
  return 1024 * (mark === undefined ? process.resourceUsage().maxRSS : Number(mark));
}

function load({
  model,
  weightsDirectory,
  threads,
  packWeights,
}: Extract<Request, { kind: "load" }>): Promise<InferenceSession> {
  return InferenceSession.create(model, {
    executionProviders: ["cpu"],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    graphOptimizationLevel: "all",
    logSeverityLevel: 3,
    // Its patterns are of one shape each; samples of other lengths would add theirs to what is held.
    enableMemPattern: false,
    extra: {
      session: {
        model_external_initializers_file_folder_path: weightsDirectory,
        // Packing copies every weight; a sample has thousands of rows, over which packing on the way costs nothing.
        disable_prepacking: packWeights ? "0" : "1",
      },
    },
  });
}

function toEngine(tensor: Tensor): OrtTensor {
  return tensor.dtype === "float32"
    ? new OrtTensor("float32", tensor.data, tensor.shape)
    : new OrtTensor("int64", tensor.data, tensor.shape);
}

function fromEngine(outputs: InferenceSession.OnnxValueMapType): NamedTensors {
  const tensors: Record<string, Tensor> = {};
  for (const [name, value] of Object.entries(outputs)) {
    if (!(value instanceof OrtTensor) || !(value.data instanceof Float32Array))
      throw new Error(`output ${name} is not float32`);
    tensors[name] = { dtype: "float32", shape: value.dims, data: value.data };
  }
  return tensors;
}

answerParent(answer);
