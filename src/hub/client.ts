import { z } from "zod";
import { JsonLimitError, parseRecord } from "../core/json.js";
import { formatBytes, formatCount, plural } from "../core/units.js";
import { isSafePath, type Listing, listingSchema, type RepositoryFile } from "./cache.js";
import { describeName, type HubName, isCommit } from "./names.js";
import { type Access, type Answer, badAnswer, get, persist } from "./request.js";

/** All answers about one repository together; one of a million files takes about so much. */
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;
const MAX_PAGES = 10_000;
/** The hub keeps repositories below a hundred thousand files. */
const MAX_FILES = 1_000_000;

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
 * @param onNote told of files that are left out because of their names
 * @throws UserError `hub-unreachable`, `hub-not-found`, `hub-denied`, `hub-answer`
 */
export async function fetchListing(
  access: Access,
  name: HubName,
  onNote: (message: string) => void = () => undefined,
): Promise<Listing> {
  const api = `${access.endpoint}/api/${name.kind}s/${name.repo}`;
  const what = `${name.kind} ${describeName(name)}`;
  const answers = new Answers(access, what);
  const infoUrl = new URL(`${api}/revision/${encodeURIComponent(name.revision)}`);
  const info = parse(infoSchema, (await answers.json(infoUrl)).value, what, infoUrl);
  const files = new Map<string, RepositoryFile>();
  const unsafe: string[] = [];
  const asked = new Set<string>();
  let next: URL | null = new URL(`${api}/tree/${info.sha}?recursive=true`);
  while (next !== null) {
    const isAgain = asked.has(next.href);
    if (isAgain || asked.size >= MAX_PAGES || next.origin !== new URL(access.endpoint).origin) {
      throw badAnswer(what, next, "a list of files that leads elsewhere, or has no end", "pages of this hub");
    }
    asked.add(next.href);
    const { value, headers }: { value: unknown; headers: Headers } = await answers.json(next);
    for (const entry of parse(z.array(entrySchema), value, what, next)) {
      if (entry.type !== "file") continue;
      if (files.has(entry.path)) throw badAnswer(what, next, `${shownName(entry.path)} twice`, "each file once");
      if (isSafePath(entry.path)) files.set(entry.path, fileOf(entry, what, next));
      else unsafe.push(entry.path);
      if (files.size + unsafe.length > MAX_FILES) {
        throw badAnswer(what, next, "more files", `at most ${formatCount(MAX_FILES)} files`);
      }
    }
    next = nextPage(headers, next);
  }
  if (unsafe.length > 0) {
    const shown = unsafe.slice(0, 3).map(shownName).join(", ");
    onNote(`${what}: ${plural(unsafe.length, "file")} left out, whose names are no safe paths here: ${shown}`);
  }
  const configs = info.cardData?.configs;
  return { commit: info.sha, files: [...files.values()], ...(configs == null ? {} : { configs }) };
}

const shownName = (path: string) => JSON.stringify(path.slice(0, 100));

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

/** JSON of the hub's API about one repository, all of it together within bounds. */
class Answers {
  private sizeBytes = 0;

  constructor(
    private readonly access: Access,
    private readonly what: string,
  ) {}

  async json(url: URL): Promise<{ value: unknown; headers: Headers }> {
    const { what } = this;
    return await persist(this.access, async () => {
      const { chunks, headers } = await get(this.access, url, what);
      const parts: Uint8Array[] = [];
      for await (const chunk of chunks) {
        this.sizeBytes += chunk.length;
        if (this.sizeBytes > MAX_ANSWER_BYTES)
          throw badAnswer(what, url, "no end of it", formatBytes(MAX_ANSWER_BYTES));
        parts.push(chunk);
      }
      const text = Buffer.concat(parts).toString("utf8");
      try {
        const value = parseRecord(text);
        return { value, headers };
      } catch (error) {
        if (error instanceof JsonLimitError) throw badAnswer(what, url, error.got, error.allowed);
        throw badAnswer(what, url, JSON.stringify(text.slice(0, 60)), "JSON");
      }
    });
  }
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
