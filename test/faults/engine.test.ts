import { existsSync } from "node:fs";
/** Engines that cannot be had, or do not live. */
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { ladm, makeInstallation } from "../cli/command-line.js";
import { DOCUMENT_COUNT, DOCUMENTS, FLAGS, rowsOf } from "../cli/score-data.js";
import { temporaryFolder } from "../unit/selection-run.js";

const PACKAGES = ["@stricli/core", "zod", "fzstd", "tokenizers", "onnx-buf", "@bufbuild/protobuf"];

async function scoreWith(main: string) {
  const run = join(await temporaryFolder("ladm-engine-"), "run");
  const ended = await ladm(["score", ...FLAGS, "--data", DOCUMENTS, "--out", run], { main });
  return { ...ended, run };
}

test("onnxruntime-node is not installed: exit 2, with the variable that mends it", async () => {
  const { main } = await makeInstallation(PACKAGES);
  const { code, stdout, stderr, run } = await scoreWith(main);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toMatch(
    /^ladm: onnxruntime-node, which runs models, is not installed\. .*: ONNXRUNTIME_NODE_INSTALL=skip npm install onnxruntime-node@\d/m,
  );
  expect(existsSync(run)).toBe(false);
});

test("onnxruntime-node without its binary: the same", async () => {
  const { folder, main } = await makeInstallation(PACKAGES);
  const place = join(folder, "node_modules", "onnxruntime-node");
  await mkdir(join(place, "dist"), { recursive: true });
  const packages = fileURLToPath(new URL("../../node_modules/", import.meta.url));
  const real = join(packages, "onnxruntime-node");
  await writeFile(join(place, "package.json"), await readFile(join(real, "package.json")));
  // Its own files, and no `bin` beside them.
  for (const name of ["index.js", "backend.js", "binding.js", "version.js"]) {
    await writeFile(join(place, "dist", name), await readFile(join(real, "dist", name)));
  }
  await symlink(join(packages, "onnxruntime-common"), join(folder, "node_modules", "onnxruntime-common"));
  const { code, stderr } = await scoreWith(main);
  expect(code).toBe(2);
  expect(stderr).toContain("ONNXRUNTIME_NODE_INSTALL=skip");
});

test("an engine that dies while it loads ends the run: no row is called bad for it", async () => {
  const { folder, main } = await makeInstallation([...PACKAGES, "onnxruntime-node"]);
  await writeFile(join(folder, "dist", "engine", "child.js"), "process.on('message', () => process.exit(7));");
  const { code, stderr, run } = await scoreWith(main);
  expect(code).toBe(1);
  expect(stderr).toMatch(/ladm: the engine's process died: got it ended with code 7\. .*main.js doctor/);
  expect(stderr).not.toContain("This should not happen");
  expect([...rowsOf(run), ...rowsOf(run, "unscored")]).toEqual([]);
});

test("an engine that dies of every sample: each row has the reason, exit 3", async () => {
  const { folder, main } = await makeInstallation([...PACKAGES, "onnxruntime-node"]);
  const child = `process.on("message", ({ kind }) => {
    if (kind === "load") process.send({ kind: "loaded" });
    else { console.error("terminate called after throwing an instance of 'std::bad_alloc'"); process.exit(134); }
  });`;
  await writeFile(join(folder, "dist", "engine", "child.js"), child);
  const { code, run } = await scoreWith(main);
  expect(code).toBe(3);
  expect(rowsOf(run)).toEqual([]);
  const rows = rowsOf(run, "unscored");
  expect(rows).toHaveLength(DOCUMENT_COUNT);
  for (const { bad, reason } of rows) {
    expect(bad).toBe(true);
    expect(reason).toMatchObject({ code: "engine-died" });
    expect(JSON.stringify(reason)).toContain("its last words: terminate");
  }
});

test("an engine that can no longer be started ends the run: the rows so far are kept, the same command goes on", async () => {
  const { folder, main } = await makeInstallation([...PACKAGES, "onnxruntime-node"]);
  const path = join(folder, "dist", "engine", "child.js");
  const real = await readFile(path, "utf8");
  // Dies of its third sample, and of every start after.
  const mark = JSON.stringify(join(folder, "died"));
  await writeFile(
    path,
    `import { existsSync, writeFileSync } from "node:fs";
    if (existsSync(${mark})) process.exit(9);
    let runs = 0;
    process.on("message", ({ kind }) => {
      if (kind === "run" && ++runs === 3) { writeFileSync(${mark}, ""); process.exit(9); }
    });
    ${real}`,
  );
  const run = join(await temporaryFolder("ladm-engine-"), "run");
  const args = ["score", ...FLAGS, "--data", DOCUMENTS, "--out", run];
  const { code, stderr } = await ladm(args, { main });
  expect(code).toBe(1);
  expect(stderr).toContain("ended with code 9");
  expect(rowsOf(run)).toHaveLength(2);
  expect(rowsOf(run, "unscored")).toMatchObject([{ row: 2, reason: { code: "engine-died" } }]);
  expect((await ladm(args)).code).toBe(3);
  expect(rowsOf(run)).toHaveLength(DOCUMENT_COUNT - 1);
});
