/** What a repository of the hub holds. */
export type RepositoryKind = "model" | "dataset";

/** A branch, a tag or a commit of a repository. */
export interface HubName {
  readonly kind: RepositoryKind;
  /** `org/name`, or the bare name of an old model. */
  readonly repo: string;
  /** `main` where none is named. */
  readonly revision: string;
}

/** What a dataset's repository is asked for. */
export interface DatasetName extends HubName {
  readonly kind: "dataset";
  /** Null: not named. */
  readonly config: string | null;
  /** Null: not named. */
  readonly split: string | null;
  /** `org/name:PART` does not say which of the two `PART` is; then it stands here and the others are null. */
  readonly part: string | null;
}

const DEFAULT_REVISION = "main";
const MAX_NAME_LENGTH = 96;
const REVISION = /^[\w][\w.\-+]*(?:\/[\w][\w.\-+]*)*$/;
const COMMIT = /^[0-9a-f]{40}$/;
/** `pool/missing.jsonl` is a file that is not there, and nothing to look for elsewhere. */
const FILE_NAME =
  /\.(jsonl?|ndjson|jsonlines|parquet|pq|arrows?|feather|ipc|csv|tsv|txt|mds|safetensors|gguf|gz|gzip|zstd?|bz2|xz|zip|tar|tgz)$/i;

/** A full commit hash: what it names never changes. */
export function isCommit(revision: string): boolean {
  return COMMIT.test(revision);
}

/**
 * `org/name[@revision]` or `name[@revision]`; null for what can only be a path. Whether such a path exists is not
 * asked.
 */
export function parseModelName(text: string): HubName | null {
  const { name, revision } = splitRevision(text);
  return isRepository(name) && isRevision(revision) ? { kind: "model", repo: name, revision } : null;
}

/** `org/name[:config][:split][@revision]`; null for what can only be a path. */
export function parseDatasetName(text: string): DatasetName | null {
  const { name, revision } = splitRevision(text);
  const [repo = "", first, second, ...more] = name.split(":");
  if (!repo.includes("/") || !isRepository(repo) || !isRevision(revision) || more.length > 0) return null;
  if ([first, second].some((part) => part !== undefined && /[\\/]/.test(part))) return null;
  const named = (part: string | undefined) => (part === undefined || part === "" ? null : part);
  const parts =
    second === undefined
      ? { config: null, split: null, part: named(first) }
      : { config: named(first), split: named(second), part: null };
  return { kind: "dataset", repo, revision, ...parts };
}

/** As it may be typed: without the revision that is meant anyway. */
export function describeName({ repo, revision }: HubName): string {
  return revision === DEFAULT_REVISION ? repo : `${repo}@${revision}`;
}

function splitRevision(text: string): { readonly name: string; readonly revision: string } {
  const at = text.indexOf("@");
  return at === -1
    ? { name: text, revision: DEFAULT_REVISION }
    : { name: text.slice(0, at), revision: text.slice(at + 1) };
}

/** The hub's own rule; a leading dot or slash, or a second slash, makes a path. */
function isRepository(name: string): boolean {
  const parts = name.split("/");
  return name.length <= MAX_NAME_LENGTH && parts.length <= 2 && parts.every(isNamePart) && !FILE_NAME.test(name);
}

function isNamePart(part: string): boolean {
  return /^\w(?:[\w.-]*\w)?$/.test(part) && !part.includes("--") && !part.includes("..") && !part.endsWith(".git");
}

/** It becomes a file name below `refs/`. */
function isRevision(revision: string): boolean {
  return revision.length <= 255 && REVISION.test(revision) && !revision.includes("..");
}
