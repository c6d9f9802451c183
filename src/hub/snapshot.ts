import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../core/errors.js";
import { formatCount } from "../core/units.js";
import { type Listing, RepositoryCache } from "./cache.js";
import { fetchListing } from "./client.js";
import { type DownloadProgress, downloadFiles } from "./download.js";
import { type HubEnvironment, readHubEnvironment } from "./environment.js";
import { hasCode } from "./errors.js";
import { describeName, type HubName, isCommit } from "./names.js";
import type { Access, Patience } from "./request.js";

export interface HubOptions {
  /** What the process's variables say, where it is not given. */
  readonly environment?: HubEnvironment;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: DownloadProgress) => void;
  /** What is good to know, in one line. */
  readonly onNote?: (message: string) => void;
  readonly patience?: Partial<Patience>;
}

/** One commit of a repository: the files that are known of it, and those that lie on this machine. */
export interface Snapshot {
  readonly folder: string;
  /** Ascending. Of all its files, or, where nobody asked the hub, of those that are or once were here. */
  readonly names: readonly string[];
  readonly isWholeList: boolean;
  /** `configs` of a dataset's card; undefined where it has none, or nobody asked. */
  readonly configs: unknown;
  /** Brings files here. @throws UserError `hub-incomplete` where that needs the hub, and what downloading throws */
  readonly bring: (names: readonly string[]) => Promise<void>;
  readonly read: (name: string) => Promise<Buffer>;
}

const PATIENCE: Patience = { tries: 5, pauseMs: 500, silenceMs: 30_000, slowMs: 60_000 };
/** For questions to which an old answer will do. */
const QUESTION_TRIES = 3;

/**
 * Runs `provide` on a commit of a repository: one that is on this machine where the hub must not, need not or cannot be
 * asked; else the one that the hub names now.
 * @throws UserError `hub-offline`, `hub-incomplete`, `hub-unreachable`, `hub-not-found`, `hub-denied`, `hub-answer`
 */
export async function withSnapshot<T>(
  name: HubName,
  options: HubOptions,
  provide: (snapshot: Snapshot) => Promise<T>,
): Promise<T> {
  const environment = options.environment ?? (await readHubEnvironment());
  const cache = new RepositoryCache(environment, name);
  const cached = await openCached(cache, name, environment);
  if (environment.offline) {
    if (cached === null) throw notHere(name, cache.folder);
    return await provide(cached);
  }
  if (cached !== null && isCommit(name.revision)) {
    const provided = await provideAlone(cached, provide);
    if (provided !== null) return provided.value;
  }
  const patience = { ...PATIENCE, ...options.patience };
  const access: Access = { ...environment, patience, signal: options.signal };
  const question = { ...access, patience: { ...patience, tries: Math.min(QUESTION_TRIES, patience.tries) } };
  let listing: Listing;
  try {
    listing = await fetchListing(question, name, options.onNote);
  } catch (error) {
    if (cached === null || !hasCode(error, "hub-unreachable")) throw error;
    options.onNote?.(
      `${error.problem.what} (${environment.endpoint}): the copy of ${describeName(name)} on this machine is used`,
    );
    return await provide(cached);
  }
  const provided = await provide(openListed(cache, listing, { name, access, onProgress: options.onProgress }));
  await cache.writeListing(listing);
  await cache.writeRef(name.revision, listing.commit);
  return provided;
}

/** Null where it takes more than what is here. */
async function provideAlone<T>(cached: Snapshot, provide: (snapshot: Snapshot) => Promise<T>) {
  // Without the list nobody knows what else would be needed.
  if (!cached.isWholeList) return null;
  try {
    return { value: await provide(cached) };
  } catch (error) {
    if (hasCode(error, "hub-incomplete")) return null;
    throw error;
  }
}

async function openCached(
  cache: RepositoryCache,
  name: HubName,
  { offline }: HubEnvironment,
): Promise<Snapshot | null> {
  const commit = await cache.readRef(name.revision);
  const files = commit === null ? null : await cache.readSnapshot(commit);
  if (commit === null || files === null) return null;
  const { gone } = files;
  const here = new Set(files.here);
  const listing = await cache.readListing(commit);
  const bring = async (names: readonly string[]): Promise<void> => {
    const lacking = names.filter((one) => !here.has(one));
    if (lacking.length > 0) throw incomplete(name, { folder: cache.folder, lacking, offline });
  };
  return {
    ...describe(cache, commit),
    names: listing === null ? [...here, ...gone].sort() : namesOf(listing),
    isWholeList: listing !== null,
    configs: listing?.configs,
    bring,
  };
}

function openListed(
  cache: RepositoryCache,
  listing: Listing,
  options: { readonly name: HubName; readonly access: Access; readonly onProgress: HubOptions["onProgress"] },
): Snapshot {
  const { commit } = listing;
  const bring = async (names: readonly string[]): Promise<void> => {
    const asked = new Set(names);
    const wanted = listing.files.filter(({ path }) => asked.has(path));
    const sizes = await Promise.all(wanted.map(({ path }) => cache.sizeOf(commit, path)));
    const lacking = wanted.filter(({ sizeBytes }, at) => sizes[at] !== sizeBytes);
    await downloadFiles(lacking, { ...options, cache, commit });
  };
  return { ...describe(cache, commit), names: namesOf(listing), isWholeList: true, configs: listing.configs, bring };
}

function describe(cache: RepositoryCache, commit: string): Pick<Snapshot, "folder" | "read"> {
  const folder = cache.snapshot(commit);
  return { folder, read: (file) => readFile(join(folder, file)) };
}

const namesOf = ({ files }: Listing) => files.map(({ path }) => path).sort();

function notHere(name: HubName, folder: string): UserError {
  return new UserError({
    code: "hub-offline",
    what: `HF_HUB_OFFLINE is set, and ${name.kind} ${describeName(name)} is not on this machine`,
    where: folder,
    got: "no copy of that revision",
    fix: "Fetch it once without HF_HUB_OFFLINE, or set HF_HOME to where it is.",
  });
}

function incomplete(
  name: HubName,
  {
    folder,
    lacking,
    offline,
  }: { readonly folder: string; readonly lacking: readonly string[]; readonly offline: boolean },
): UserError {
  const more = lacking.length > 3 ? ` and ${formatCount(lacking.length - 3)} more` : "";
  return new UserError({
    code: "hub-incomplete",
    what: `The copy of ${name.kind} ${describeName(name)} on this machine is not whole${offline ? ", and HF_HUB_OFFLINE is set" : ""}`,
    where: folder,
    got: `no ${lacking.slice(0, 3).join(", ")}${more}`,
    fix: "Start the same command where the hub can be reached.",
  });
}
