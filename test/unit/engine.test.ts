import { tmpdir } from "node:os";
import { expect, onTestFinished, test } from "vitest";
import { EngineError, UserError } from "#ladm/core/errors.js";
import { float32Tensor, int64Tensor } from "#ladm/core/tensor.js";
import { Engine } from "#ladm/engine/engine.js";
import { GraphBuilder } from "#ladm/onnx/builder.js";
import { encodeModel } from "#ladm/onnx/encode.js";

function open(build: (builder: GraphBuilder) => void): Engine {
  const builder = new GraphBuilder("test");
  build(builder);
  const engine = new Engine({ model: encodeModel(builder.build(), "1"), weightsDirectory: tmpdir(), threads: 1 });
  onTestFinished(() => engine.close());
  return engine;
}

/** x [L] as [2, L/2]: fails where L is odd. */
const halves = () =>
  open((builder) => {
    const x = builder.input("x", "float32", ["L"]);
    const shape = builder.constant("int64", [2, -1]);
    builder.output(builder.node("Reshape", "/halves", [x, shape], { dtype: "float32", shape: [2, "L/2"] }), "y");
  });

/** x [N, N] to its 2^`squarings`-th power. */
const power = (squarings: number) =>
  open((builder) => {
    const square = { dtype: "float32", shape: ["N", "N"] } as const;
    let value = builder.input("x", square.dtype, square.shape);
    for (let at = 0; at < squarings; at++) value = builder.node("MatMul", `/squarings.${at}`, [value, value], square);
    builder.output(value, "y");
  });

const vector = (length: number) => ({ x: float32Tensor(new Float32Array(length).fill(0.5), [length]) });
const matrix = (size: number) => ({ x: float32Tensor(new Float32Array(size * size), [size, size]) });

const failure = async (action: Promise<unknown>): Promise<EngineError> => {
  const thrown: unknown = await action.then(
    () => "nothing",
    (error: unknown) => error,
  );
  if (thrown instanceof EngineError) return thrown;
  throw new Error(`expected an EngineError, got ${String(thrown)}`);
};

test("runs", async () => {
  const engine = halves();
  const { y } = await engine.run(vector(6));
  expect(y).toEqual(float32Tensor(new Float32Array(6).fill(0.5), [2, 3]));
});

test("a graph that fails is an EngineError, and the next run works in the same process", async () => {
  const engine = halves();
  await engine.start();
  const pid = await engine.pid();
  for (let round = 0; round < 3; round++) {
    expect(await failure(engine.run(vector(7)))).toMatchObject({ code: "engine-failed" });
    expect((await engine.run(vector(4))).y?.shape).toEqual([2, 2]);
  }
  expect(await failure(engine.run({ z: vector(4).x }))).toMatchObject({ code: "engine-failed" });
  expect(await engine.pid()).toBe(pid);
});

test("a graph that cannot be loaded is an EngineError, each time", async () => {
  const engine = open((builder) => {
    const x = builder.input("x", "float32", ["L"]);
    builder.output(builder.node("NoSuchOperator", "/a", [x], x));
  });
  for (const attempt of [engine.start(), engine.run(vector(2))]) {
    const { code, message } = await failure(attempt);
    expect(code).toBe("engine-failed");
    expect(message).toContain("NoSuchOperator");
  }
  expect(await engine.pid()).toBeUndefined();
});

test("weights that are not there are an EngineError that names the file", async () => {
  const engine = open((builder) => {
    const x = builder.input("x", "float32", [4]);
    const external = { location: "no-such-file.safetensors", offset: 0, sizeBytes: 16 };
    const weight = builder.weight("w", "float32", [4], external);
    builder.output(builder.node("Add", "/a", [x, weight], x), "y");
  });
  expect((await failure(engine.start())).message).toContain("no-such-file.safetensors");
});

test("more memory than there is: an EngineError that says what to do, and the next run works", async () => {
  const engine = open((builder) => {
    const x = builder.input("x", "float32", [1]);
    const shape = builder.input("shape", "int64", ["R"]);
    builder.output(builder.node("Expand", "/a", [x, shape], { dtype: "float32", shape: ["A", "B"] }), "y");
  });
  const inputs = (shape: readonly number[]) => ({ ...vector(1), shape: int64Tensor(shape, [2]) });
  const { code, problem } = await failure(engine.run(inputs([2 ** 24, 2 ** 24])));
  expect(code).toBe("out-of-memory");
  expect(problem.fix).toContain("--max-length");
  expect((await engine.run(inputs([2, 3]))).y?.shape).toEqual([2, 3]);
});

test("the process killed while it runs: an EngineError that says what to do, and the next run works in a new one", async () => {
  const engine = power(200);
  await engine.start();
  const pid = (await engine.pid()) ?? 0;
  const running = failure(engine.run(matrix(512)));
  await new Promise((resolve) => setTimeout(resolve, 50));
  process.kill(pid, "SIGKILL");
  const { code, problem } = await running;
  expect(code).toBe("engine-died");
  expect(problem.got).toContain("SIGKILL");
  expect(problem.fix).toMatch(/--max-length.*ladm doctor/);
  expect((await engine.run(matrix(4))).y?.shape).toEqual([4, 4]);
  expect(await engine.pid()).not.toBe(pid);
});

test("the process killed between two runs: the next one works in a new one", async () => {
  const engine = halves();
  await engine.start();
  const pid = (await engine.pid()) ?? 0;
  process.kill(pid, "SIGKILL");
  while (isRunning(pid)) await new Promise((resolve) => setTimeout(resolve, 5));
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect((await engine.run(vector(2))).y?.shape).toEqual([2, 1]);
  expect(await engine.pid()).not.toBe(pid);
});

test("closed while it loads or runs: at once, and it stays closed", async () => {
  const loading = power(2);
  const started = failure(loading.start());
  await loading.close();
  expect((await started).code).toBe("engine-died");
  await expect(loading.start()).rejects.toThrow("the engine is closed");

  const busy = power(1000);
  await busy.start();
  const pid = (await busy.pid()) ?? 0;
  const run = failure(busy.run(matrix(512)));
  await busy.close();
  expect((await run).code).toBe("engine-died");
  expect(isRunning(pid)).toBe(false);
});

test("one request at a time", async () => {
  const engine = power(50);
  await engine.start();
  const first = engine.run(matrix(256));
  await expect(engine.run(matrix(4))).rejects.toThrow("one thing at a time");
  expect((await first).y?.shape).toEqual([256, 256]);
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test.each([
  ["tells so at once", "\0"],
  ["tells so afterwards", "/nowhere/node"],
])("a system that starts no process and %s: no sample's fault, and the next run works", async (_, execPath) => {
  const engine = halves();
  const before = process.execPath;
  process.execPath = execPath;
  try {
    for (let round = 0; round < 2; round++) {
      const thrown: unknown = await engine.run(vector(4)).catch((error: unknown) => error);
      expect(thrown).toBeInstanceOf(UserError);
      expect(thrown).toMatchObject({ code: "process-not-started" });
    }
  } finally {
    process.execPath = before;
  }
  expect((await engine.run(vector(4))).y?.shape).toEqual([2, 2]);
});
