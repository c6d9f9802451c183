/** A hub that fails in every way, and what is left of it on the disk. */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, readFile, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { machineOf, ownProcess } from "#ladm/core/process-life.js";
import { resolveDataset } from "#ladm/hub/dataset.js";
import { resolveModel } from "#ladm/hub/resolve.js";
import { type Fault, gitSha1, type HubServer, sha256 } from "../hub-server.js";
import { filesBelow, makeSetting, problemOf, type Setting } from "../hub-setting.js";

const MOUNT = "mount";
const UMOUNT = "umount";
const WEIGHTS = randomBytes(200_000);
const ETAG = sha256(WEIGHTS);
const FILES = { "config.json": "{}", "tokenizer.json": '{"t":1}', "model.safetensors": WEIGHTS };

async function makeTiny(): Promise<Setting> {
  const setting = await makeSetting();
  setting.hub.put("org/tiny", FILES);
  return setting;
}

/** Faults of the weights' bytes, by the times that they are asked for. */
const onWeights = (hub: HubServer, faults: (times: number) => Fault | undefined) => {
  hub.fault = ({ server, path }, times) => (server === "files" && path.includes(ETAG) ? faults(times) : undefined);
};
const rangesOf = ({ asked }: HubServer) => asked.filter(({ server }) => server === "files").map(({ range }) => range);
/** Their hash: of two files of this size nobody wants to see the difference. */
const weightsOf = async (folder: string) => sha256(await readFile(join(folder, "model.safetensors")));
const partsIn = async (cache: string) => (await filesBelow(cache)).filter((file) => file.includes("incomplete"));
/** Names that a reader of the cache would take for whole. */
const namedWeights = async (cache: string) =>
  (await filesBelow(cache)).filter((file) => file.includes(`blobs/${ETAG}`) && !file.includes("incomplete"));

describe("a connection that breaks", () => {
  it("goes on where it broke, in the same call", async () => {
    const { hub, cache, options } = await makeTiny();
    onWeights(hub, (times) => (times <= 3 ? { breakAfter: 50_000 } : undefined));
    expect(await weightsOf(await resolveModel("org/tiny", options()))).toBe(ETAG);
    expect(rangesOf(hub)).toHaveLength(4);
    for (const range of rangesOf(hub).slice(1)) expect(range).toMatch(/^bytes=\d{4,}-$/);
    expect(await partsIn(cache)).toEqual([]);
  });

  it("falls silent: the same", async () => {
    const { hub, options } = await makeTiny();
    onWeights(hub, (times) => (times === 1 ? { hangAfter: 65_536 } : undefined));
    expect(await weightsOf(await resolveModel("org/tiny", options()))).toBe(ETAG);
    expect(rangesOf(hub)[1]).toMatch(/^bytes=[1-9]\d*-$/);
  });

  it("is slow: it takes its time", async () => {
    const { hub, options } = await makeTiny();
    onWeights(hub, () => ({ pauseMs: 100 }));
    expect(await weightsOf(await resolveModel("org/tiny", options()))).toBe(ETAG);
    expect(rangesOf(hub)).toHaveLength(1);
  });

  it("drips: an error, however long it goes on; a slow line that brings a kilobyte in time passes", async () => {
    const { hub, options } = await makeTiny();
    const patience = { tries: 2, pauseMs: 2, silenceMs: 1000, slowMs: 300 };
    onWeights(hub, () => ({ pauseMs: 20, chunkBytes: 1 }));
    const dripping = await problemOf(resolveModel("org/tiny", { ...options(), patience }));
    expect(dripping.code).toBe("hub-interrupted");
    expect(dripping.got).toMatch(/bytes came in .*tried 2 times/);
    hub.fault = ({ path }) => (path.startsWith("/api/") ? { pauseMs: 20, chunkBytes: 1 } : undefined);
    const silent = await problemOf(resolveModel("org/tiny", { ...options(), patience }));
    expect(silent.code).toBe("hub-unreachable");
    expect(silent.got).toContain("bytes came in");
    onWeights(hub, () => ({ pauseMs: 20, chunkBytes: 4096 }));
    expect(await weightsOf(await resolveModel("org/tiny", { ...options(), patience }))).toBe(ETAG);
  });

  it("says another length than it sends: that of the hub's list counts", async () => {
    const { hub, cache, options } = await makeTiny();
    onWeights(hub, () => ({ headers: { "content-length": "10" } }));
    expect(await problemOf(resolveModel("org/tiny", options()))).toMatchObject({ code: "hub-interrupted" });
    expect(await namedWeights(cache)).toEqual([]);
    onWeights(hub, () => ({ headers: { "content-length": "1000000" } }));
    expect(await weightsOf(await resolveModel("org/tiny", options()))).toBe(ETAG);
  });

  it("for good: an error, no name that looks whole, and the next call asks for the rest only", async () => {
    const { hub, cache, options } = await makeTiny();
    onWeights(hub, (times) => (times === 1 ? { breakAfter: 98_304 } : { status: 503 }));
    expect(await problemOf(resolveModel("org/tiny", options()))).toMatchObject({
      code: "hub-interrupted",
      what: "File model.safetensors could not be fetched whole",
    });
    expect(await namedWeights(cache)).toEqual([]);
    expect(await partsIn(cache)).toEqual([`models--org--tiny/blobs/${ETAG}.free.ladm.incomplete`]);
    expect((await filesBelow(cache)).filter((file) => file.includes("model.safetensors"))).toEqual([]);
    expect((await filesBelow(cache)).filter((file) => file.includes("refs"))).toEqual([]);
    const there = (await readFile(join(cache, `models--org--tiny/blobs/${ETAG}.free.ladm.incomplete`))).length;
    expect(there).toBeGreaterThan(0);
    hub.asked.length = 0;
    hub.fault = () => undefined;
    expect(await weightsOf(await resolveModel("org/tiny", options()))).toBe(ETAG);
    expect(rangesOf(hub)).toEqual([`bytes=${there}-`]);
    expect(await partsIn(cache)).toEqual([]);
  });

  it("a server that knows no ranges sends all of it again", async () => {
    const { hub, options } = await makeTiny();
    onWeights(hub, (times) => (times === 1 ? { breakAfter: 50_000 } : { ignoreRange: true }));
    expect(await weightsOf(await resolveModel("org/tiny", options()))).toBe(ETAG);
    expect(rangesOf(hub)).toHaveLength(2);
  });

  it("a server that sends another range than asked for is not believed", async () => {
    const { hub, options } = await makeTiny();
    onWeights(hub, (times) =>
      times === 1
        ? { breakAfter: 50_000 }
        : times === 2
          ? { status: 206, headers: { "content-range": "bytes 0-9/200000" }, body: "0123456789" }
          : undefined,
    );
    expect(await weightsOf(await resolveModel("org/tiny", options()))).toBe(ETAG);
    // Thrown away with what it would have been added to.
    expect(rangesOf(hub)).toEqual([null, expect.stringMatching(/^bytes=[1-9]/), null]);
  });
});

describe("wrong bytes", () => {
  const wrong = randomBytes(WEIGHTS.length);

  it.each([
    ["as many", wrong],
    ["more", Buffer.concat([WEIGHTS, wrong])],
  ])("%s, once: thrown away and fetched again, from nothing", async (_, body) => {
    const { hub, options } = await makeTiny();
    onWeights(hub, (times) => (times === 1 ? { body } : undefined));
    expect(await weightsOf(await resolveModel("org/tiny", options()))).toBe(ETAG);
    expect(rangesOf(hub)).toEqual([null, null]);
  });

  it("always: an error, and nothing is left", async () => {
    const { hub, cache, options } = await makeTiny();
    onWeights(hub, () => ({ body: wrong }));
    expect(await problemOf(resolveModel("org/tiny", options()))).toMatchObject({
      code: "hash-mismatch",
      got: sha256(wrong),
      allowed: ETAG,
    });
    expect(rangesOf(hub)).toHaveLength(2);
    expect((await filesBelow(cache)).filter((file) => file.includes(ETAG))).toEqual([]);
  });

  it("of a small file: its git hash tells", async () => {
    const { hub, options } = await makeTiny();
    hub.fault = ({ path }) => (path.endsWith("/config.json") ? { body: "[]" } : undefined);
    expect(await problemOf(resolveModel("org/tiny", options()))).toMatchObject({ code: "hash-mismatch" });
  });

  it("at the head of what an earlier call left: found out at the end, fetched again", async () => {
    const { hub, cache, options } = await makeTiny();
    const blobs = join(cache, "models--org--tiny/blobs");
    await mkdir(blobs, { recursive: true });
    await writeFile(join(blobs, `${ETAG}.free.ladm.incomplete`), wrong.subarray(0, 1000));
    expect(await weightsOf(await resolveModel("org/tiny", options()))).toBe(ETAG);
    expect(rangesOf(hub)).toEqual(["bytes=1000-", null]);
  });

  it("a file that changed between two tries is not glued together", async () => {
    const { hub, cache, options } = await makeTiny();
    onWeights(hub, (times) => (times === 1 ? { breakAfter: 98_304 } : { status: 500 }));
    await problemOf(resolveModel("org/tiny", options()));
    hub.put("org/tiny", { ...FILES, "model.safetensors": wrong });
    hub.fault = () => undefined;
    expect(await weightsOf(await resolveModel("org/tiny", options()))).toBe(sha256(wrong));
    expect(rangesOf(hub).at(-1)).toBeNull();
    expect(await namedWeights(cache)).toEqual([]);
  });

  it("the hub names another file than its list: not taken", async () => {
    const { hub, options } = await makeTiny();
    const headers = { "x-linked-etag": `"${"f".repeat(64)}"`, location: "/lfs" };
    hub.fault = ({ path }) =>
      path.endsWith("model.safetensors") ? { status: 200, headers, body: WEIGHTS } : undefined;
    expect(await problemOf(resolveModel("org/tiny", options()))).toMatchObject({
      code: "hash-mismatch",
      got: `another file, ${"f".repeat(64)}`,
    });
  });

  it("a blob that is too short is fetched again", async () => {
    const { cache, options } = await makeTiny();
    const folder = await resolveModel("org/tiny", options());
    await writeFile(join(cache, "models--org--tiny/blobs", ETAG), "short");
    expect(await weightsOf(await resolveModel("org/tiny", options()))).toBe(ETAG);
    expect(folder).toContain("snapshots");
  });
});

describe("an answer that is none", () => {
  const info = "/api/models/org/tiny/revision/main";

  it.each([[500], [502], [429], [503]])("%i at first, then the answer", async (status) => {
    const { hub, options } = await makeTiny();
    hub.fault = (_, times) => (times === 1 ? { status, headers: { "retry-after": "0" } } : undefined);
    expect(await weightsOf(await resolveModel("org/tiny", options()))).toBe(ETAG);
  });

  it("429 with Retry-After: waits as long", async () => {
    const { hub, options } = await makeTiny();
    let first = 0;
    let second = 0;
    hub.fault = ({ path }, times) => {
      if (path !== info) return undefined;
      if (times === 1) first = performance.now();
      else second = performance.now();
      return times === 1 ? { status: 429, headers: { "retry-after": "1" } } : undefined;
    };
    await resolveModel("org/tiny", options());
    expect(second - first).toBeGreaterThan(950);
  });

  it("429 with an hour: an error that says so", async () => {
    const { hub, options } = await makeTiny();
    hub.fault = () => ({ status: 429, headers: { "retry-after": "3600" } });
    const problem = await problemOf(resolveModel("org/tiny", options()));
    expect(problem).toMatchObject({ code: "hub-unreachable" });
    expect(problem.got).toContain("429");
    expect(problem.got).toContain("1 h 00 min");
    expect(hub.asked).toHaveLength(1);
  });

  it.each([
    ["gated", 401, "GatedRepo", null, "hub-denied", "Accept its terms"],
    ["gated, with a token", 403, "GatedRepo", "t", "hub-denied", "Accept its terms"],
    ["forbidden", 403, "", "t", "hub-denied", "HF_TOKEN"],
    ["a bad token", 401, "", "t", "hub-denied", "HF_TOKEN"],
    ["private, without a token", 401, "RepoNotFound", null, "hub-not-found", "set HF_TOKEN"],
    ["not there", 404, "RepoNotFound", "t", "hub-not-found", "spelling"],
    ["no such revision", 404, "RevisionNotFound", null, "hub-not-found", "spelling"],
  ])("%s: at once, with what to do", async (_, status, code, token, expected, fix) => {
    const { hub, options } = await makeTiny();
    hub.fault = () => ({ status, headers: { "x-error-code": code, "x-error-message": "says why" } });
    const problem = await problemOf(resolveModel("org/tiny", options({ token })));
    expect(problem.code).toBe(expected);
    expect(problem.fix).toContain(fix);
    expect(problem.got).toBe(`${status} says why`);
    expect(hub.asked).toHaveLength(1);
  });

  it("refusals are no reason to take an old copy", async () => {
    const { hub, options } = await makeTiny();
    await resolveModel("org/tiny", options());
    hub.fault = () => ({ status: 403 });
    expect(await problemOf(resolveModel("org/tiny", options()))).toMatchObject({ code: "hub-denied" });
  });

  it.each([
    ["no JSON", "<html>"],
    ["no commit", '{"sha":"../../../etc"}'],
    ["no object", "[]"],
  ])("%s", async (_, body) => {
    const { hub, options } = await makeTiny();
    hub.fault = ({ path }) => (path === info ? { status: 200, body } : undefined);
    expect(await problemOf(resolveModel("org/tiny", options()))).toMatchObject({ code: "hub-answer" });
  });

  it.each([
    ["a path out of the folder", { path: "../../../../config.json" }, "hub-unsuitable"],
    ["an absolute path", { path: "/config.json" }, "hub-unsuitable"],
    ["a hash that is a path", { oid: "../../x" }, "hub-answer"],
    ["a size below nothing", { size: -1 }, "hub-answer"],
    ["a size that is no number", { size: 1e300 }, "hub-answer"],
  ])("a list with %s", async (_, fields, code) => {
    const { hub, cache, options } = await makeTiny();
    const entry = { type: "file", path: "config.json", size: 2, oid: "0".repeat(40), ...fields };
    hub.fault = ({ path }) => (path.includes("/tree/") ? { status: 200, body: JSON.stringify([entry]) } : undefined);
    expect(await problemOf(resolveModel("org/tiny", options()))).toMatchObject({ code });
    expect(await filesBelow(join(cache, ".."))).toEqual([]);
  });

  it.each(["../../../../evil.jsonl", "/evil.jsonl", "x/../../evil.jsonl", "x\\..\\evil.jsonl", "C:evil.jsonl"])(
    "data files with the name %s are none",
    async (path) => {
      const { hub, cache, options } = await makeSetting();
      hub.put("org/corpus", { "data.jsonl": "{}" }, { kind: "dataset" });
      const entry = { type: "file", path, size: 2, oid: gitSha1(Buffer.from("{}")) };
      hub.fault = ({ path: asked }) => {
        if (asked.includes("/tree/")) return { status: 200, body: JSON.stringify([entry]) };
        return asked.includes("/resolve/") ? { status: 200, body: "{}" } : undefined;
      };
      expect(await problemOf(resolveDataset("org/corpus", options()))).toMatchObject({ code: "hub-no-data" });
      expect(await filesBelow(join(cache, ".."))).toEqual([]);
    },
  );

  it.each([
    "a\nb.jsonl",
    "a\u001b[31mb.jsonl",
    "a\u0000b.jsonl",
    "a\u202eb.jsonl",
    "\ud800.jsonl",
    `${"é".repeat(200)}.jsonl`,
  ])("a data file with the name %j is left out, and said", async (path) => {
    const { hub, notes, options } = await makeSetting();
    hub.put("org/corpus", { "data.jsonl": "{}" }, { kind: "dataset" });
    const entry = { type: "file", size: 2, oid: gitSha1(Buffer.from("{}")) };
    const list = JSON.stringify([
      { ...entry, path: "data.jsonl" },
      { ...entry, path },
    ]);
    hub.fault = ({ path: asked }) => (asked.includes("/tree/") ? { status: 200, body: list } : undefined);
    expect(await resolveDataset("org/corpus", options())).toEqual([expect.stringMatching(/[/]data.jsonl$/)]);
    expect(notes.join()).toMatch(/^dataset org\/corpus: 1 file left out, whose names? /);
    expect(notes.join()).not.toContain("\u001b");
  });

  const numbered = (page: number, count: number) => Array.from({ length: count }, (_, at) => `${page}-${at}`);
  it.each([
    ["a file twice", 1, () => ["a.jsonl", "a.jsonl"], "twice"],
    ["more than a million files on eleven pages", 11, (page: number) => numbered(page, 100_000), "more files"],
  ])("a list of %s", async (_, pages, pathsOf, got) => {
    const { hub, options } = await makeSetting();
    hub.put("org/corpus", { "data.jsonl": "{}" }, { kind: "dataset" });
    hub.fault = ({ path }) => {
      if (!path.includes("/tree/")) return undefined;
      const page = Number(/&cursor=(\d+)/.exec(path)?.[1] ?? 1);
      const body = JSON.stringify(
        pathsOf(page).map((one) => ({ type: "file", size: 2, oid: "0".repeat(40), path: one })),
      );
      const next = `<${hub.endpoint}${path.replace(/&cursor=.*/, "")}&cursor=${page + 1}>; rel="next"`;
      return { status: 200, headers: page < pages ? { link: next } : {}, body };
    };
    const problem = await problemOf(resolveDataset("org/corpus", options()));
    expect(problem.code).toBe("hub-answer");
    expect(problem.got).toContain(got);
  });

  it("pages in a circle, and answers that are deep: an end, and what was got", async () => {
    const { hub, options } = await makeTiny();
    hub.fault = ({ path }) => {
      if (!path.includes("/tree/")) return undefined;
      const cursor = path.includes("cursor=1") ? 2 : 1;
      const link = `<${hub.endpoint}${path.replace(/&cursor=.*/, "")}&cursor=${cursor}>; rel="next"`;
      return { status: 200, headers: { link }, body: "[]" };
    };
    expect(await problemOf(resolveModel("org/tiny", options()))).toMatchObject({ code: "hub-answer" });
    expect(hub.asked.length).toBeLessThan(6);
    const deep = `${"[".repeat(200_000)}"]"${"]".repeat(200_000)}`;
    const body = `{"sha":"${"a".repeat(40)}","cardData":{"configs":${deep}}}`;
    hub.fault = ({ path }) => (path === info ? { status: 200, body } : undefined);
    expect(await problemOf(resolveModel("org/tiny", options()))).toMatchObject({
      code: "hub-answer",
      got: "deeper nesting",
    });
  });

  it("a list that is kept and damaged is no list: offline the copy is one without a list, online it is written again", async () => {
    const { hub, cache, options } = await makeTiny();
    const commit = hub.put("org/tiny", FILES);
    await resolveModel("org/tiny", options());
    const kept = join(cache, "models--org--tiny/ladm", `${commit}.json`);
    const whole = await readFile(kept, "utf8");
    const damaged = whole.replace("tokenizer.json", "tokenizer.jsom");
    await writeFile(kept, damaged);
    // With the damaged list, it would have no tokenizer.
    const folder = await resolveModel("org/tiny", options({ offline: true }));
    expect(await readFile(join(folder, "tokenizer.json"), "utf8")).toBe('{"t":1}');
    await resolveModel("org/tiny", options());
    expect(await readFile(kept, "utf8")).toBe(whole);
    const { checksum: _checksum, ...older } = JSON.parse(whole) as Record<string, unknown>;
    await writeFile(kept, JSON.stringify(older));
    hub.asked.length = 0;
    await resolveModel(`org/tiny@${commit}`, options());
    expect(hub.asked).toEqual([]);
  });

  it("a list whose next page is elsewhere, redirects without an end", async () => {
    const { hub, options } = await makeTiny();
    const link = '<http://127.0.0.1:9/api>; rel="next"';
    hub.fault = ({ path }) => (path.includes("/tree/") ? { status: 200, headers: { link }, body: "[]" } : undefined);
    expect(await problemOf(resolveModel("org/tiny", options({ token: "t" })))).toMatchObject({ code: "hub-answer" });
    hub.fault = ({ path }) => ({ status: 302, headers: { location: path } });
    expect(await problemOf(resolveModel("org/tiny", options()))).toMatchObject({ code: "hub-answer" });
  });
});

it("the token goes to the hub at every request, and nowhere else", async () => {
  const { hub, options } = await makeTiny();
  await resolveModel("org/tiny", options({ token: "secret" }));
  expect(new Set(hub.asked.map(({ server, token }) => `${server} ${token}`))).toEqual(
    new Set(["hub secret", "files null"]),
  );
});

describe("several at once", () => {
  it("calls of one process: each byte is fetched once", async () => {
    const { hub, cache, options } = await makeTiny();
    onWeights(hub, () => ({ pauseMs: 10 }));
    const folders = await Promise.all([1, 2, 3].map(() => resolveModel("org/tiny", options())));
    expect(new Set(folders).size).toBe(1);
    expect(await weightsOf(folders[0] ?? "")).toBe(ETAG);
    expect(rangesOf(hub)).toEqual([null]);
    expect(await partsIn(cache)).toEqual([]);
  });

  it.each([
    ["a process of this machine that has died", `${machineOf(ownProcess)}-999999999-5-00000000`, 0, "bytes=1000-"],
    ["a process elsewhere, silent for long", "elsewhere.1", 600, "bytes=1000-"],
  ])("%s: what it left is taken up", async (_, owner, secondsAgo, range) => {
    const { hub, cache, options } = await makeTiny();
    const part = join(cache, "models--org--tiny/blobs", `${ETAG}.${owner}.ladm.incomplete`);
    await mkdir(join(part, ".."), { recursive: true });
    await writeFile(part, WEIGHTS.subarray(0, 1000));
    const then = new Date(Date.now() - secondsAgo * 1000);
    await utimes(part, then, then);
    expect(await weightsOf(await resolveModel("org/tiny", options()))).toBe(ETAG);
    expect(rangesOf(hub)).toEqual([range]);
    expect(await partsIn(cache)).toEqual([]);
  });

  it("a process that lives is waited for, and its file taken", async () => {
    const { hub, cache, options } = await makeTiny();
    const blobs = join(cache, "models--org--tiny/blobs");
    await mkdir(blobs, { recursive: true });
    await writeFile(join(blobs, `${ETAG}.elsewhere.1.ladm.incomplete`), WEIGHTS.subarray(0, 1000));
    const resolved = resolveModel("org/tiny", options());
    setTimeout(() => void writeFile(join(blobs, ETAG), WEIGHTS), 300);
    expect(await weightsOf(await resolved)).toBe(ETAG);
    expect(rangesOf(hub)).toEqual([]);
  });
});

it("a signal ends it; the rest is for the next call", async () => {
  const { hub, cache, options } = await makeTiny();
  onWeights(hub, () => ({ pauseMs: 20 }));
  const abort = new AbortController();
  const onProgress = ({ doneBytes }: { readonly doneBytes: number }) =>
    doneBytes > 40_000 ? abort.abort() : undefined;
  const work = resolveModel("org/tiny", { ...options(), signal: abort.signal, onProgress });
  await expect(work).rejects.toMatchObject({ name: "AbortError" });
  expect(await partsIn(cache)).toHaveLength(1);
  hub.asked.length = 0;
  hub.fault = () => undefined;
  await resolveModel("org/tiny", options());
  expect(rangesOf(hub)[0]).toMatch(/^bytes=[1-9]\d{4}/);
});

it("progress: of all files, ascending, up to the whole", async () => {
  const { options } = await makeTiny();
  const told: number[] = [];
  const whole = WEIGHTS.length + 2 + 7;
  await resolveModel("org/tiny", {
    ...options(),
    onProgress: ({ doneBytes, ofBytes }) => {
      told.push(doneBytes);
      expect(ofBytes).toBe(whole);
    },
  });
  expect(told).toEqual(told.toSorted((a, b) => a - b));
  expect(told.at(-1)).toBe(whole);
});

describe("a disk", () => {
  it("that is full: an error, nothing that looks whole; with room it goes on", async (context) => {
    const { hub, cache, options } = await makeTiny();
    await mkdir(cache, { recursive: true });
    try {
      execFileSync(MOUNT, ["-t", "tmpfs", "-o", "size=128k", "tmpfs", cache], { stdio: "pipe" });
    } catch {
      return context.skip("no file system of 128 kB can be mounted");
    }
    onTestFinished(() => {
      execFileSync(UMOUNT, [cache]);
    });
    const problem = await problemOf(resolveModel("org/tiny", options()));
    expect(problem).toMatchObject({ code: "cannot-write", what: "The disk is full" });
    expect(await namedWeights(cache)).toEqual([]);
    execFileSync(MOUNT, ["-o", "remount,size=4m", cache]);
    hub.asked.length = 0;
    expect(await weightsOf(await resolveModel("org/tiny", options()))).toBe(ETAG);
    expect(rangesOf(hub)[0]).toMatch(/^bytes=[1-9]\d{4}/);
  });

  it("on which nothing can be made: an error", async () => {
    const { cache, options } = await makeTiny();
    await writeFile(cache, "a file in the folder's place");
    expect(await problemOf(resolveModel("org/tiny", options()))).toMatchObject({ code: "cannot-write" });
  });
});
