/** Answers of a hub, and what is kept of them: no name leads out of the cache, and nothing else is believed. */
import { posix } from "node:path";
import { RepositoryCache } from "#ladm/hub/cache.js";
import { fetchListing } from "#ladm/hub/client.js";
import { chooseDataFiles } from "#ladm/hub/data-files.js";
import { describeName, parseDatasetName, parseModelName } from "#ladm/hub/names.js";
import { attempt, demand } from "../invariants.mjs";
import { dictionaryOf, mutateBytes } from "../mutate-bytes.mjs";
import { mutateJsonBytes } from "../mutate-json.mjs";

/** @typedef {import("../target.mjs").MakeTarget} MakeTarget */

const COMMIT = "0123456789".repeat(4);
const LFS = "89abcdef".repeat(8);
const ENDPOINT = "http://hub.test";
const NAME = parseDatasetName("org/set") ?? unnamed();
const ENVIRONMENT = { endpoint: ENDPOINT, offline: false, token: null, withoutLinks: false };

/** @returns {never} */
function unnamed() {
  throw new Error("org/set is no name");
}

const entry = (/** @type {string} */ path, /** @type {object} */ more = {}) => ({
  type: "file",
  path,
  size: 10,
  oid: COMMIT,
  ...more,
});
const FILES = [
  entry("README.md"),
  entry("data/train-00000-of-00002.parquet", { lfs: { oid: LFS, size: 1000, pointerSize: 130 } }),
  entry("data/train-00001-of-00002.parquet", { lfs: { oid: LFS, size: 1000 } }),
  entry("data/test-00000-of-00001.parquet"),
  entry("en/validation.jsonl.gz"),
  { type: "directory", path: "data", oid: COMMIT },
];
const CONFIGS = [
  {
    config_name: "default",
    data_files: [
      { split: "train", path: "data/train-*" },
      { split: "test", path: ["data/test-*"] },
    ],
  },
  { config_name: "en", data_dir: "en", data_files: "**/*.jsonl.gz", default: true },
  { config_name: "all", data_files: { train: "data/*", test: ["data/test-[0-9]*.parquet", "en/[!a]*"] } },
];
/** An exchange: what the hub answers to the first question, then to those for lists. */
const SEEDS = [
  { status: 200, info: { sha: COMMIT, cardData: { configs: CONFIGS } }, link: null, tree: FILES },
  {
    status: 200,
    info: { sha: COMMIT, cardData: { configs: [CONFIGS[0]] } },
    link: `<${ENDPOINT}/api/more>; rel="next"`,
    tree: FILES,
  },
  { status: 200, info: { sha: COMMIT }, link: null, tree: FILES.slice(3) },
].map((seed) => JSON.stringify(seed));
const WORDS = [
  "sha",
  "cardData",
  "configs",
  "config_name",
  "data_files",
  "data_dir",
  "split",
  "path",
  "type",
  "file",
  "size",
  "oid",
  "lfs",
  "../x",
  "/etc/passwd",
  "data/**/*",
  "**",
  "*".repeat(40),
  "[!",
  "train",
  "..",
  "a/../../b",
];

/** @type {MakeTarget} */
export const hub = (room) => {
  const cache = new RepositoryCache({ ...ENVIRONMENT, cacheDirectory: room.path("hub") }, NAME);
  const access = {
    ...ENVIRONMENT,
    patience: { tries: 1, pauseMs: 0, silenceMs: 5000, slowMs: 5000 },
    signal: undefined,
  };
  return {
    make: (dice) => mutateJsonBytes(dice, SEEDS, { words: WORDS }),
    read: async (input) => {
      answerWith(input);
      const { value: listing, refused } = await attempt(() => fetchListing(access, NAME));
      if (listing === null) return { outcome: refused };
      demand(/^[0-9a-f]{40}$/.test(listing.commit), "a commit that is none");
      for (const { path, sizeBytes, etag } of listing.files) {
        demand(!/\p{Cs}/u.test(path), "a path that no address can name");
        demand(
          isInside(cache.snapshot(listing.commit), `${cache.snapshot(listing.commit)}/${path}`),
          "a file out of the cache",
        );
        demand(
          /^[0-9a-f]+$/.test(etag) && Number.isSafeInteger(sizeBytes) && sizeBytes >= 0,
          "a file without size or hash",
        );
      }
      const names = listing.files.map(({ path }) => path);
      const { value: chosen, refused: unchosen } = await attempt(() =>
        chooseDataFiles({ name: NAME, names, configs: listing.configs }),
      );
      if (chosen !== null)
        demand(
          chosen.files.length > 0 && chosen.files.every((file) => names.includes(file)),
          "data files that are not there",
        );
      return { outcome: unchosen ?? "chosen", seen: [listing, chosen] };
    },
  };
};

/** What is kept in the cache, and may have been changed there: a listing, then a line with a ref. @type {MakeTarget} */
export const hubCache = (room) => {
  const cache = new RepositoryCache({ ...ENVIRONMENT, cacheDirectory: room.path("hub") }, NAME);
  const listing = JSON.stringify({
    commit: COMMIT,
    files: [{ path: "a.parquet", sizeBytes: 3, etag: LFS }],
    configs: CONFIGS,
  });
  room.emptyFolder("hub/datasets--org--set/ladm");
  room.emptyFolder("hub/datasets--org--set/refs");
  return {
    make: (dice) => {
      const ref = dice.chance(0.3)
        ? mutateBytes(dice, Buffer.from(COMMIT)).filter((byte) => byte !== 10)
        : Buffer.from(COMMIT);
      return Buffer.concat([ref, Buffer.from("\n"), mutateJsonBytes(dice, [listing], { words: WORDS })]);
    },
    read: async (input) => {
      const end = input.indexOf(10);
      room.write("hub/datasets--org--set/refs/main", input.subarray(0, Math.max(0, end)));
      room.write(`hub/datasets--org--set/ladm/${COMMIT}.json`, input.subarray(end + 1));
      const ref = await cache.readRef("main");
      demand(ref === null || /^[0-9a-f]{40}$/.test(ref), "a ref that is no commit");
      const read = await cache.readListing(COMMIT);
      if (read === null) return { outcome: "none", seen: ref };
      for (const { path } of read.files)
        demand(isInside(cache.folder, `${cache.folder}/${path}`), "a file out of the cache");
      const names = read.files.map(({ path }) => path);
      const { refused } = await attempt(() => chooseDataFiles({ name: NAME, names, configs: read.configs }));
      return { outcome: refused ?? "chosen", seen: read };
    },
  };
};

const NAMES = ["org/name", "org/name:config:split@main", "gpt2@refs/pr/1", "org/na.me:x", "a/b::train"];

/** @type {MakeTarget} */
export const hubNames = () => ({
  make: (dice) =>
    mutateBytes(dice, Buffer.from(dice.pick(NAMES)), {
      dictionary: dictionaryOf(["/", ":", "@", "..", "--", ".git", "\\", "main", "\u0000"]),
      others: NAMES.map((name) => Buffer.from(name)),
    }),
  read: (input) => {
    const text = input.toString("utf8");
    const names = [parseModelName(text), parseDatasetName(text)];
    for (const name of names) {
      if (name === null) continue;
      const folder = new RepositoryCache({ ...ENVIRONMENT, cacheDirectory: "/cache" }, name).folder;
      demand(
        isInside("/cache", folder) && isInside(`${folder}/refs`, `${folder}/refs/${name.revision}`),
        "a name that leads out of the cache",
      );
      demand(!/\p{Cc}/u.test(describeName(name)), "a control character in a name");
    }
    return { outcome: names.map((name) => name !== null).join(), seen: names };
  },
});

/** @param {string} folder @param {string} path */
const isInside = (folder, path) => posix.normalize(path).startsWith(`${folder}/`) && !/[\\\0]/.test(path);

/** In the place of the network. @param {Buffer} input */
function answerWith(input) {
  const exchange = exchangeOf(input);
  const { status, link } = exchange ?? {};
  const known = typeof status === "number" && Number.isInteger(status) && status >= 200 && status < 600 ? status : 200;
  const header = typeof link === "string" && /^[\x20-\x7e]+$/.test(link) ? link : "";
  let asked = 0;
  globalThis.fetch = async () => {
    const part = asked++ === 0 ? exchange?.info : exchange?.tree;
    // What is no exchange is the answer itself.
    const body = exchange === null ? input : Buffer.from(JSON.stringify(part) ?? "");
    const isEmpty = [204, 205, 304].includes(known);
    // Nothing here asks for a list without an end.
    const headers = header === "" || asked > 20 ? {} : { link: header };
    return new Response(isEmpty ? null : body, { status: known, headers });
  };
}

/**
 * @param {Buffer} input
 * @returns {{ readonly status?: unknown, readonly info?: unknown, readonly link?: unknown, readonly tree?: unknown } |
 * null}
 */
function exchangeOf(input) {
  try {
    const value = /** @type {unknown} */ (JSON.parse(input.toString("utf8")));
    return typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}
