/** Names on the hub in the place of paths, as a user types them. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type HubServer, startHub } from "../hub-server.js";
import { temporaryFolder } from "../unit/selection-run.js";
import { ladm, MAIN, parsed } from "./command-line.js";
import { DOCUMENT_COUNT, DOCUMENTS, MODEL, resultsOf, rowsOf } from "./score-data.js";

const SPANS = ["--attn-chunk-size", "16", "--max-length", "1024"];

async function makeHub() {
  const hub = await startHub();
  const folder = await temporaryFolder("ladm-hub-");
  const model = ["config.json", "tokenizer.json", "model.safetensors"].map(
    (name) => [name, readFileSync(join(MODEL, name))] as const,
  );
  const commit = hub.put("org/tiny", Object.fromEntries(model));
  const files = { "data/pool.jsonl": readFileSync(DOCUMENTS), "README.md": "# pool" };
  const cardData = { configs: [{ config_name: "default", data_files: [{ split: "train", path: "data/*" }] }] };
  hub.put("org/corpus", files, { kind: "dataset", cardData });
  const env = { HF_ENDPOINT: hub.endpoint, HF_HOME: join(folder, "hf"), HF_HUB_OFFLINE: "", HF_TOKEN: "" };
  const snapshot = join(folder, "hf/hub/models--org--tiny/snapshots", commit);
  return { hub, folder, env, snapshot };
}

const resolvesOf = ({ asked }: HubServer) => asked.filter(({ path }) => path.includes("/resolve/"));

test("model and data by name: scored as from paths; again without the hub; selected", async () => {
  const { hub, folder, env, snapshot } = await makeHub();
  const [byPath, byName, offline] = ["path", "name", "offline"].map((name) => join(folder, name));
  const score = (out = "") => ["score", "--model", "org/tiny", "--data", "org/corpus", ...SPANS, "--out", out];
  const paths = ["score", "--model", MODEL, "--data", DOCUMENTS, ...SPANS, "--out", byPath ?? ""];
  expect((await ladm(paths)).code).toBe(0);
  const named = await ladm(score(byName), { env });
  expect(named).toMatchObject({ code: 0 });
  expect(named.stderr).toMatch(/^fetching org\/tiny: .* of 191 kB/m);
  expect(rowsOf(byName ?? "")).toHaveLength(DOCUMENT_COUNT);
  expect(rowsOf(byName ?? "").map(({ score: one }) => one)).toEqual(rowsOf(byPath ?? "").map(({ score: one }) => one));
  const run = JSON.parse(readFileSync(join(byName ?? "", "run.json"), "utf8")) as { readonly paths: unknown };
  expect(run.paths).toMatchObject({
    model: snapshot,
    data: [expect.stringMatching(/snapshots\/\w+\/data\/pool\.jsonl$/)],
  });

  await hub.stop();
  const again = await ladm(score(offline), { env: { ...env, HF_HUB_OFFLINE: "1" } });
  expect(again.code).toBe(0);
  expect(again.stderr).not.toContain("fetching");
  expect(resultsOf(offline ?? "")).toEqual(resultsOf(byName ?? ""));
  const away = await ladm(score(join(folder, "away")), { env });
  expect(away.code).toBe(0);
  expect(away.stderr).toMatch(/^note: The hub cannot be reached .*: the copy of org\/tiny on this machine is used$/m);
  const selected = await ladm(
    ["select", byName ?? "", "--data", "org/corpus", "--count", "2", "--out", join(folder, "selected")],
    { env: { ...env, HF_HUB_OFFLINE: "1" } },
  );
  expect(selected.code).toBe(0);
}, 120_000);

test("killed in the middle of a download: the same command asks for the rest only", async () => {
  const { hub, folder, env, snapshot } = await makeHub();
  hub.fault = ({ server }) => (server === "files" ? { pauseMs: 150 } : undefined);
  const child = spawn(process.execPath, [MAIN, "models", "org/tiny"], { env: { ...process.env, ...env } });
  const blobs = join(folder, "hf/hub/models--org--tiny/blobs");
  const isUnderWay = () =>
    existsSync(blobs) &&
    readdirSync(blobs).some((name) => name.length > 80 && statSync(join(blobs, name)).size > 10_000);
  while (!isUnderWay()) await new Promise((done) => setTimeout(done, 20));
  child.kill("SIGKILL");
  await once(child, "close");
  expect(existsSync(join(snapshot, "model.safetensors"))).toBe(false);
  hub.asked.length = 0;
  hub.fault = () => undefined;
  const { code, stdout } = await ladm(["models", "org/tiny"], { env });
  expect(stdout).toContain("supported");
  expect(code).toBe(0);
  const ranges = hub.asked.filter(({ server }) => server === "files").map(({ range }) => range);
  expect(ranges).toContainEqual(expect.stringMatching(/^bytes=[1-9]\d{3,}-$/));
  expect(readFileSync(join(snapshot, "model.safetensors"))).toEqual(readFileSync(join(MODEL, "model.safetensors")));
  expect(existsSync(join(folder, "hf/hub/models--org--tiny/refs/main"))).toBe(true);
}, 60_000);

test("doctor, models, evaluate and calibrate take names; --json and --quiet stay quiet", async () => {
  const { hub, folder, env, snapshot } = await makeHub();
  const doctor = await ladm(["doctor", "--model", "org/tiny", "--json"], { env });
  expect(parsed(doctor)).toMatchObject({ fit: { model: snapshot, fits: true } });
  expect(doctor.stderr).toBe("");
  const models = await ladm(["models", "org/tiny", "--json"], { env });
  expect(parsed(models)).toMatchObject({ verdict: "supported", directory: snapshot });
  const flags = ["--data", "org/corpus", "--quiet", ...SPANS, "--segment", "128", "--cache", join(folder, "cache")];
  const evaluate = ["evaluate", "--model", "lexical", ...flags, "--out", join(folder, "evaluation")];
  const evaluated = await ladm(evaluate, { env });
  // Twelve documents are few, and may be too few; but they are there.
  expect(evaluated.stderr).not.toMatch(/data file|fetching/);
  const calibrated = await ladm(["calibrate", "--model", "org/tiny", ...flags, "--out", join(folder, "c.json")], {
    env,
  });
  expect(calibrated.stderr).not.toMatch(/checkpoint|data file|fetching/);
  expect(resolvesOf(hub).filter(({ path }) => path.includes("pool.jsonl"))).toHaveLength(1);
}, 120_000);

test("what is neither path nor name: the error of a path, with what the hub says", async () => {
  const { hub, folder, env } = await makeHub();
  const score = (model: string, data: string) =>
    ladm(["score", "--model", model, "--data", data, "--out", join(folder, "run")], { env });
  const model = await score("org/other", DOCUMENTS);
  expect(model.code).toBe(2);
  expect(model.stderr).toMatch(
    /^ladm: the checkpoint folder cannot be found \(org\/other\): got nothing there; as a name on the hub: The hub has no model org\/other/,
  );
  expect(model.stderr).toContain("HF_TOKEN");
  const data = await score(MODEL, "org/other");
  expect(data.stderr).toMatch(
    /^ladm: The data file does not exist \(org\/other\): got nothing there; as a name on the hub/,
  );
  hub.asked.length = 0;
  expect((await score(MODEL, "pool/missing.jsonl")).stderr).toMatch(
    /^ladm: The data file does not exist \(pool\/missing/,
  );
  expect((await score("./org/tiny", DOCUMENTS)).stderr).toMatch(/^ladm: the checkpoint folder cannot be found/);
  expect(hub.asked).toEqual([]);
  const offline = { env: { ...env, HF_HUB_OFFLINE: "1" } };
  const json = await ladm(["models", "org/tiny", "--json"], offline);
  expect(json.code).toBe(2);
  expect(parsed(json)).toMatchObject({ verdict: "not supported", problem: { code: "checkpoint-not-found" } });
  expect(json.stdout).toContain("HF_HUB_OFFLINE is set");
  expect(hub.asked).toEqual([]);
}, 60_000);

test("a folder of that name is taken, whatever the hub has", async () => {
  const { hub, folder, env } = await makeHub();
  await mkdir(join(folder, "org", "tiny"), { recursive: true });
  const child = spawn(process.execPath, [MAIN, "models", "org/tiny"], { cwd: folder, env: { ...process.env, ...env } });
  let said = "";
  child.stderr.on("data", (text: Buffer) => {
    said += text.toString();
  });
  await once(child, "close");
  expect(said).toContain("has no config.json");
  expect(hub.asked).toEqual([]);
});
