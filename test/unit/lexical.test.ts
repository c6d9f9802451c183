import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { EngineError, UserError } from "#ladm/core/errors.js";
import { inOrder } from "#ladm/core/in-order.js";
import { openSubwords, subwordIds } from "#ladm/corpus/subwords.js";
import { decodeLexical, encodeLexical } from "#ladm/formats/lexical.js";
import { countDocumentFrequencies } from "#ladm/measure/lexical.js";
import { countFrequencies } from "#ladm/scoring/lexical/frequencies.js";
import { WorkerPool } from "#ladm/scoring/lexical/worker-pool.js";
import { scoreRun } from "#ladm/scoring/score-run.js";
import { openScorer } from "#ladm/scoring/scorer/scorer.js";
import { rowsOf } from "../cli/score-data.js";
import { temporaryFolder } from "./selection-run.js";

async function dataOf(documents: readonly (string | readonly number[])[]): Promise<string> {
  const path = join(await temporaryFolder("ladm-lexical-"), "data.jsonl");
  const rows = documents.map((one) => (typeof one === "string" ? { text: one } : { input_ids: one }));
  await writeFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return path;
}

const COLUMNS = { textColumn: "text", idColumn: "id", metaColumns: [], begunWith: null, signal: undefined };

describe("document frequencies", () => {
  const texts = Array.from({ length: 300 }, (_, at) => `${String.fromCodePoint(0x4e00 + at)} common past the window`);

  test("of all documents where they are few, of the tokens that the window shows", async () => {
    const source = { data: [await dataOf(texts)], rows: texts.length, ...COLUMNS };
    const table = await countFrequencies(source, { tokenizer: openSubwords(), maxLength: 3 });
    const plain = countDocumentFrequencies(texts.map((text) => subwordIds(text).slice(0, 3)));
    expect(table.documentCount).toBe(300);
    expect(new Map([...table.ids].map((id, at) => [id, table.counts[at]]))).toEqual(plain.counts);
    expect([...table.ids]).toEqual([...table.ids].sort((a, b) => a - b));
  });

  test("of a sample from the whole of the data, the same again", async () => {
    const documents = Array.from({ length: 300 }, (_, at) => [1000 + at, 1, 2, 3]);
    const source = { data: [await dataOf(documents)], rows: documents.length, ...COLUMNS };
    const options = { tokenizer: openSubwords(), maxLength: 3, sampledDocuments: 60 };
    const table = await countFrequencies(source, options);
    expect(table.documentCount).toBe(60);
    const drawn = documents.flatMap(([own = -1], at) => (table.ids.includes(own) ? [at] : []));
    expect(drawn).toHaveLength(60);
    for (const start of [0, 100, 200]) expect(drawn.some((at) => at >= start && at < start + 100)).toBe(true);
    expect(await countFrequencies(source, options)).toEqual(table);
  });

  test("stops when it is told to", async () => {
    const source = { data: [await dataOf(texts)], rows: texts.length, ...COLUMNS, signal: AbortSignal.abort() };
    await expect(countFrequencies(source, { tokenizer: openSubwords(), maxLength: 3 })).rejects.toThrow("aborted");
  });
});

describe("lexical.json", () => {
  const table = {
    documentCount: 2000,
    ids: Int32Array.of(0, 258, 2 ** 31 - 1),
    counts: Uint16Array.of(1, 2000, 515),
  };
  const text = encodeLexical(table, "0".repeat(64));

  test("comes back as it was", () => {
    expect(decodeLexical(text, "lexical.json")).toEqual(table);
    expect(JSON.parse(text)).toMatchObject({ ids: "AAAAAAIBAAD///9/", counts: "AQDQBwMC" });
  });

  test.each([
    ["torn", text.slice(0, -20)],
    ["without a count", text.replace("AQDQBwMC", "AQDQBw==")],
    ["of another form", text.replace('"format":1', '"format":2')],
  ])("%s: refused", (_, broken) => {
    expect(broken).not.toBe(text);
    expect(() => decodeLexical(broken, "RUN/lexical.json")).toThrow(UserError);
    expect(() => decodeLexical(broken, "RUN/lexical.json")).toThrow(/RUN\/lexical\.json.*Remove it/);
  });
});

describe("inOrder", () => {
  async function* count(to: number) {
    for (let at = 0; at < to; at++) yield at;
  }

  test.each([1, 3, 50])("results in the order of the items, up to %i at once", async (atOnce) => {
    let running = 0;
    let most = 0;
    const work = async (item: number) => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setTimeout(resolve, (item * 7) % 5));
      running -= 1;
      return item * 2;
    };
    const results = [];
    for await (const result of inOrder(count(20), atOnce, work)) results.push(result);
    expect(results).toEqual(Array.from({ length: 20 }, (_, at) => at * 2));
    expect(most).toBe(Math.min(20, atOnce));
  });

  test("a failure comes in its turn", async () => {
    const work = async (item: number) => {
      if (item === 2) throw new Error("third");
      return item;
    };
    const results: number[] = [];
    const all = async () => {
      for await (const result of inOrder(count(9), 4, work)) results.push(result);
    };
    await expect(all()).rejects.toThrow("third");
    expect(results).toEqual([0, 1]);
  });
});

describe("WorkerPool", () => {
  async function poolOf(script: string, size: number) {
    const path = join(await temporaryFolder("ladm-pool-"), "worker.mjs");
    await writeFile(path, `import { parentPort } from "node:worker_threads";\n${script}`);
    const pool = new WorkerPool(pathToFileURL(path), size);
    onTestFinished(() => pool.close());
    return pool;
  }
  const words = (text: string) => ({ kind: "tokens", text, atMost: 1 }) as const;
  const dies =
    'let taught = 0; parentPort.on("message", ({ id, request }) => { if (request.text === "die") throw new Error("boom"); if (request.kind === "learn") taught += 1; parentPort.postMessage({ id, answer: { kind: "tokens", ids: Int32Array.of(taught) } }); });';

  test("a thread that dies fails its request; the next one is answered, by a thread that was taught too", async () => {
    const pool = await poolOf(dies, 1);
    await pool.teach({ kind: "learn", table: { documentCount: 0, ids: new Int32Array(), counts: new Uint16Array() } });
    await expect(pool.ask(words("die"))).rejects.toMatchObject({ code: "engine-died", problem: { got: "boom" } });
    expect(await pool.ask(words("live"))).toEqual({ kind: "tokens", ids: Int32Array.of(1) });
  });

  test("a thread that cannot begin is told at once", async () => {
    const pool = await poolOf("throw new Error('no start');", 2);
    const table = { documentCount: 0, ids: new Int32Array(), counts: new Uint16Array() };
    await expect(pool.teach({ kind: "learn", table })).rejects.toThrow(EngineError);
  });

  test("what is asked when it is closed fails", async () => {
    const pool = await poolOf("parentPort.on('message', () => {});", 2);
    const asked = [pool.ask(words("a")), pool.ask(words("b")), pool.ask(words("c"))].map((it) => it.catch(String));
    await pool.close();
    for (const said of await Promise.all(asked)) expect(said).toContain("died");
    await expect(pool.ask(words("d"))).rejects.toThrow(EngineError);
  });
});

describe("scores", () => {
  const SETTINGS = { model: "lexical", attnChunkSize: 4, maxLength: 128, threads: 2 };
  const filler = (seed: number, count: number) => Array.from({ length: count }, (_, at) => 1000 * (seed + 1) + at);

  test("what is said again far back scores, what is not does not", async () => {
    const topic = [1, 2, 3, 4];
    const back = Array.from({ length: 8 }, (_, at) => [...topic, ...filler(at, 12)]).flat();
    const texts = [
      back,
      filler(100, 128),
      Array.from({ length: 128 }, () => 7),
      "too short",
      [...filler(200, 127), 7],
      filler(300, 500),
    ];
    const out = join(await temporaryFolder("ladm-lexical-"), "run");
    await scoreRun({ ...SETTINGS, data: [await dataOf(texts)], out });
    const scores = new Map(rowsOf(out).map(({ row, score }) => [row, score]));
    expect(scores.get(1)).toBe(0);
    expect(scores.get(2)).toBeCloseTo(1, 6);
    expect(rowsOf(out, "unscored")).toMatchObject([{ row: 3, bad: false, reason: { code: "too-short" } }]);
    const [first] = rowsOf(out);
    expect(first).toMatchObject({ row: 0, tokenCount: 128, documentTokenCount: 128 });
    expect(rowsOf(out).at(-1)).toMatchObject({ row: 5, tokenCount: 128, documentTokenCount: 500 });
    expect(scores.size).toBe(5);
  });

  test("one document alone has nothing that tells it apart: no score, and why", async () => {
    const out = join(await temporaryFolder("ladm-lexical-"), "run");
    const summary = await scoreRun({ ...SETTINGS, data: [await dataOf([filler(1, 128)])], out });
    expect(summary).toMatchObject({ scored: 0, bad: 1, finished: true });
    expect(rowsOf(out, "unscored")).toMatchObject([{ bad: true, reason: { code: "no-telling-token" } }]);
  });

  test("openScorer has no data to learn from", async () => {
    await expect(openScorer({ model: "lexical" })).rejects.toMatchObject({ code: "lexical-options" });
  });
});
