/**
 * A hub on this machine: the part of the API that is used, of files made in a test, with the faults that a test asks
 * for.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { onTestFinished } from "vitest";

export interface Asked {
  /** The hub, or the server of large files that it sends on to. */
  readonly server: "hub" | "files";
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly range: string | null;
  readonly token: string | null;
}

/** How one request is answered; without any of these as a hub does. */
export interface Fault {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  /** The connection breaks after so many bytes of the body. */
  readonly breakAfter?: number;
  /** Nothing comes after so many bytes of the body. */
  readonly hangAfter?: number;
  readonly ignoreRange?: boolean;
  /** Pause before each 16 kB, or before each `chunkBytes`. */
  readonly pauseMs?: number;
  readonly chunkBytes?: number;
}

interface Repository {
  readonly commit: string;
  readonly files: ReadonlyMap<string, Buffer>;
  readonly cardData: unknown;
}

export interface HubServer {
  readonly endpoint: string;
  readonly asked: Asked[];
  /** Puts a repository there, or a new commit of it. */
  readonly put: (
    name: string,
    files: Readonly<Record<string, string | Buffer>>,
    options?: { readonly kind?: "model" | "dataset"; readonly cardData?: unknown },
  ) => string;
  /** Asked at each request. */
  fault: (asked: Asked, times: number) => Fault | undefined;
  readonly stop: () => Promise<void>;
}

/** Larger files are kept elsewhere. */
const LARGE_BYTES = 2000;
const PAGE_FILES = 3;
const CHUNK_BYTES = 16 * 1024;

export const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
export const gitSha1 = (bytes: Buffer) =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
const etagOf = (bytes: Buffer) => (bytes.length > LARGE_BYTES ? sha256(bytes) : gitSha1(bytes));

/** Stops at the end of the test. */
export async function startHub(): Promise<HubServer> {
  const repositories = new Map<string, Repository>();
  const asked: Asked[] = [];
  const times = new Map<string, number>();
  const answer = (server: Asked["server"], serve: (request: Served) => Promise<void>) =>
    createServer((message, response) => {
      const one: Asked = {
        server,
        method: message.method ?? "",
        path: message.url ?? "",
        range: message.headers.range ?? null,
        token: message.headers.authorization?.replace("Bearer ", "") ?? null,
      };
      asked.push(one);
      const key = `${server} ${one.method} ${one.path}`;
      times.set(key, (times.get(key) ?? 0) + 1);
      const fault = hub.fault(one, times.get(key) ?? 1) ?? {};
      if (fault.status !== undefined) {
        response.writeHead(fault.status, fault.headers).end(fault.body);
        return;
      }
      serve({ message, response, fault }).catch(() => response.destroy());
    });
  const files = answer("files", async (request) => {
    const wanted = request.message.url?.split("/").at(-1) ?? "";
    const bytes = [...repositories.values()]
      .flatMap((one) => [...one.files.values()])
      .find((one) => etagOf(one) === wanted);
    await send(request, bytes, { etag: '"of-another-kind"' });
  });
  const filesAt = await listen(files);
  const hubServer = answer("hub", async (request) => await serveHub(request, repositories, filesAt));
  const endpoint = await listen(hubServer);
  const hub: HubServer = {
    endpoint,
    asked,
    fault: () => undefined,
    put: (name, contents, { kind = "model", cardData = null } = {}) => {
      const entries = Object.entries(contents).map(([path, content]) => [path, Buffer.from(content)] as const);
      const commit = createHash("sha1")
        .update(JSON.stringify(entries.map(([path, bytes]) => [path, etagOf(bytes)])))
        .digest("hex");
      repositories.set(`${kind}s/${name}`, { commit, files: new Map(entries), cardData });
      return commit;
    },
    stop: async () => {
      await Promise.all([files, hubServer].map(close));
    },
  };
  onTestFinished(hub.stop);
  return hub;
}

interface Served {
  readonly message: IncomingMessage;
  readonly response: ServerResponse;
  readonly fault: Fault;
}

async function serveHub(
  request: Served,
  repositories: ReadonlyMap<string, Repository>,
  filesAt: string,
): Promise<void> {
  const { message, response } = request;
  const url = new URL(message.url ?? "", "http://hub");
  const json = (value: unknown, headers: Record<string, string> = {}) =>
    send(request, Buffer.from(JSON.stringify(value)), { "content-type": "application/json", ...headers });
  const api = /^\/api\/(models|datasets)\/(.+?)\/(revision|tree)\/([^/]+)$/.exec(url.pathname);
  const resolve = /^\/(datasets\/)?(.+?)\/resolve\/([^/]+)\/(.+)$/.exec(url.pathname);
  const name = api === null ? `${resolve?.[1] ?? "models/"}${resolve?.[2]}` : `${api[1]}/${api[2]}`;
  const repository = repositories.get(name);
  const revision = decodeURIComponent(api?.[4] ?? resolve?.[3] ?? "");
  if (repository === undefined) return refuse(response, 401, "RepoNotFound", "Invalid username or password.");
  const { commit, files, cardData } = repository;
  if (!["main", "refs/pr/1", commit].includes(revision))
    return refuse(response, 404, "RevisionNotFound", "Invalid rev id");
  if (api?.[3] === "revision") {
    const siblings = [...files.keys()].map((rfilename) => ({ rfilename }));
    return await json({ id: api[2], sha: commit, siblings, cardData });
  }
  if (api?.[3] === "tree") {
    const at = Number(url.searchParams.get("cursor") ?? 0);
    const page = [...files].slice(at, at + PAGE_FILES).map(([path, bytes]) => ({
      type: "file",
      path,
      size: bytes.length,
      oid: gitSha1(bytes),
      ...(bytes.length > LARGE_BYTES ? { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 130 } } : {}),
    }));
    url.searchParams.set("cursor", String(at + PAGE_FILES));
    const link =
      at + PAGE_FILES < files.size
        ? { link: `<http://${message.headers.host}${url.pathname}${url.search}>; rel="next"` }
        : {};
    return await json(at === 0 ? [{ type: "directory", path: "data", oid: "0", size: 0 }, ...page] : page, link);
  }
  const bytes = files.get(decodeURIComponent(resolve?.[4] ?? ""));
  if (bytes === undefined) return refuse(response, 404, "EntryNotFound", "Entry not found");
  const own = { "x-repo-commit": commit, etag: `"${etagOf(bytes)}"` };
  if (bytes.length <= LARGE_BYTES) return await send(request, bytes, own);
  const linked = { "x-linked-etag": `"${etagOf(bytes)}"`, "x-linked-size": String(bytes.length) };
  response.writeHead(302, { ...own, ...linked, location: `${filesAt}/lfs/${etagOf(bytes)}` }).end();
}

function refuse(response: ServerResponse, status: number, code: string, message: string): void {
  response.writeHead(status, { "x-error-code": code, "x-error-message": message }).end();
}

async function send(
  { message, response, fault }: Served,
  whole: Buffer | undefined,
  headers: Record<string, string>,
): Promise<void> {
  if (whole === undefined) return refuse(response, 404, "EntryNotFound", "Entry not found");
  const content = fault.body === undefined ? whole : Buffer.from(fault.body);
  const [, first] = /^bytes=(\d+)-$/.exec(message.headers.range ?? "") ?? [];
  const start = first === undefined || fault.ignoreRange === true ? 0 : Number(first);
  if (start > 0 && start >= content.length) return refuse(response, 416, "", "Range not satisfiable");
  const body = content.subarray(start);
  const range = start === 0 ? {} : { "content-range": `bytes ${start}-${content.length - 1}/${content.length}` };
  response.writeHead(start === 0 ? 200 : 206, {
    "content-length": body.length,
    ...headers,
    ...range,
    ...fault.headers,
  });
  if (message.method === "HEAD") {
    response.end();
    return;
  }
  const end = Math.min(fault.breakAfter ?? body.length, fault.hangAfter ?? body.length, body.length);
  const { chunkBytes = CHUNK_BYTES } = fault;
  for (let at = 0; at < end; at += chunkBytes) {
    if (fault.pauseMs !== undefined) await sleep(fault.pauseMs);
    if (response.destroyed) return;
    const chunk = body.subarray(at, Math.min(at + chunkBytes, end));
    await new Promise<void>((done) => response.write(chunk, () => done()));
  }
  if (fault.breakAfter !== undefined) response.destroy();
  else if (fault.hangAfter === undefined) response.end();
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function close(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
}
