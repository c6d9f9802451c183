import { z } from "zod";
import { formatBytes } from "../core/units.js";
import { isSafePath, type Listing, listingSchema, type RepositoryFile } from "./cache.js";
import { describeName, type HubName, isCommit } from "./names.js";
import { type Access, type Answer, badAnswer, get, persist } from "./request.js";

/** One page of names; a repository of a hundred thousand files has many. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
const MAX_PAGES = 10_000;

const infoSchema = z.object({
  sha: z.string().refine(isCommit),
  cardData: z.object({ configs: z.unknown().optional() }).nullish().catch(null),
});

const entrySchema = z.object({
  type: z.string(),
  path: z.string(),
  size: z.number().optional(),
  oid: z.string().optional(),
  lfs: z.object({ oid: z.string(), size: z.number() }).nullish(),
});

/**
 * What the hub has at a revision: its commit, its files with sizes and hashes, a dataset's configurations.
 * @throws UserError `hub-unreachable`, `hub-not-found`, `hub-denied`, `hub-answer`
 */
export async function fetchListing(access: Access, name: HubName): Promise<Listing> {
  const api = `${access.endpoint}/api/${name.kind}s/${name.repo}`;
  const what = `${name.kind} ${describeName(name)}`;
  const infoUrl = new URL(`${api}/revision/${encodeURIComponent(name.revision)}`);
  const info = parse(infoSchema, (await getJson(access, infoUrl, what)).value, what, infoUrl);
  const files: RepositoryFile[] = [];
  let next: URL | null = new URL(`${api}/tree/${info.sha}?recursive=true`);
  for (let page = 0; next !== null; page++) {
    const { value, headers }: { value: unknown; headers: Headers } = await getJson(access, next, what);
    for (const entry of parse(z.array(entrySchema), value, what, next)) {
      if (entry.type === "file" && isSafePath(entry.path)) files.push(fileOf(entry, what, next));
    }
    next = nextPage(headers, next);
    if (next !== null && (page >= MAX_PAGES || next.origin !== new URL(access.endpoint).origin)) {
      throw badAnswer(what, next, "a list of files that leads elsewhere, or has no end", "pages of this hub");
    }
  }
  const configs = info.cardData?.configs;
  return { commit: info.sha, files, ...(configs == null ? {} : { configs }) };
}

/**
 * Opens a file of a repository from byte `start` on; the server may ignore it (status 200).
 * @throws TryAgain, or UserError as above
 */
export async function openFile(
  access: Access,
  {
    name,
    commit,
    path,
    start,
  }: { readonly name: HubName; readonly commit: string; readonly path: string; readonly start: number },
): Promise<Answer> {
  const folder = name.kind === "dataset" ? "/datasets" : "";
  const encoded = path.split("/").map(encodeURIComponent).join("/");
  const url = new URL(`${access.endpoint}${folder}/${name.repo}/resolve/${commit}/${encoded}`);
  return await get(access, url, `file ${path} of ${name.repo}`, start);
}

async function getJson(access: Access, url: URL, what: string): Promise<{ value: unknown; headers: Headers }> {
  return await persist(access, async () => {
    const { chunks, headers } = await get(access, url, what);
    const parts: Uint8Array[] = [];
    let sizeBytes = 0;
    for await (const chunk of chunks) {
      sizeBytes += chunk.length;
      if (sizeBytes > MAX_ANSWER_BYTES) throw badAnswer(what, url, "no end of it", formatBytes(MAX_ANSWER_BYTES));
      parts.push(chunk);
    }
    const text = Buffer.concat(parts).toString("utf8");
    try {
      const value: unknown = JSON.parse(text);
      return { value, headers };
    } catch {
      throw badAnswer(what, url, JSON.stringify(text.slice(0, 60)), "JSON");
    }
  });
}

function parse<T>(schema: z.ZodType<T>, value: unknown, what: string, url: URL): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw badAnswer(what, url, `${issue?.path.join(".") ?? ""}: ${issue?.message ?? ""}`, "an answer of the hub's API");
}

function fileOf({ path, size, oid, lfs }: z.infer<typeof entrySchema>, what: string, url: URL): RepositoryFile {
  const file = { path, sizeBytes: lfs?.size ?? size, etag: lfs?.oid.replace(/^sha256:/, "") ?? oid };
  return parse(listingSchema.shape.files.element, file, what, url);
}

/** `Link: <…>; rel="next"`. */
function nextPage(headers: Headers, page: URL): URL | null {
  const [, target] = /<([^>]*)>\s*;\s*rel="?next"?/.exec(headers.get("link") ?? "") ?? [];
  return target !== undefined && URL.canParse(target, page.href) ? new URL(target, page) : null;
}
