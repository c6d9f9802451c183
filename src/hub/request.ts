import { setTimeout as sleep } from "node:timers/promises";
import { messageOf, type Problem, systemCodeOf, UserError } from "../core/errors.js";
import { formatCount, formatDuration } from "../core/units.js";
import { VERSION } from "../core/version.js";

/** How often and how long the hub is tried; milliseconds. */
export interface Patience {
  readonly tries: number;
  /** Before the second try; doubles from try to try. */
  readonly pauseMs: number;
  /** Without any byte. */
  readonly silenceMs: number;
  /** In which at least `LEAST_BYTES` must come: a server that drips would hold us for ever. */
  readonly slowMs: number;
}

export interface Access {
  readonly endpoint: string;
  readonly token: string | null;
  readonly patience: Patience;
  readonly signal: AbortSignal | undefined;
}

export interface Answer {
  readonly status: number;
  /** Headers of the hub's own answer, not of the server that it sent us to. */
  readonly hubHeaders: Headers;
  readonly headers: Headers;
  /** Ends with an error where the connection breaks or falls silent. */
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Instead of reading them. */
  readonly discard: () => Promise<void>;
}

/** What the slowest line brings in a minute, and what counts as progress from try to try. */
const LEAST_BYTES = 1024;
const MAX_REDIRECTS = 5;
const MAX_PAUSE_MS = 60_000;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/** A failure that another try may mend. */
export class TryAgain extends Error {
  constructor(
    message: string,
    /** What the server asks for. */
    readonly afterMs: number | null = null,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * Runs `attempt` until it does not throw `TryAgain`; progress made by it, in bytes, renews the tries.
 * @throws UserError `hub-unreachable` when they are used up; the signal's reason
 */
export async function persist<T>(
  { patience, signal, endpoint }: Access,
  attempt: () => Promise<T>,
  progress: () => number = () => 0,
): Promise<T> {
  let tried = 0;
  let reached = progress();
  for (;;) {
    signal?.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof TryAgain)) throw error;
      tried = progress() >= reached + LEAST_BYTES ? 1 : tried + 1;
      reached = progress();
      const pauseMs = Math.max(error.afterMs ?? 0, patience.pauseMs * 2 ** (tried - 1));
      if (tried >= patience.tries || pauseMs > MAX_PAUSE_MS) throw unreachable(endpoint, error, tried);
      await sleep(pauseMs, undefined, signal === undefined ? {} : { signal });
    }
  }
}

/**
 * One GET, redirects followed by hand: the token goes to the hub and to no other server.
 * @throws TryAgain, or UserError `hub-not-found`, `hub-denied`, `hub-answer`
 */
export async function get(access: Access, url: URL, what: string, start = 0): Promise<Answer> {
  const origin = new URL(access.endpoint).origin;
  let next = url;
  let hubHeaders: Headers | null = null;
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    const isHub = next.origin === origin;
    const answer = await getOnce(access, next, start, isHub);
    if (isHub || hubHeaders === null) hubHeaders = answer.headers;
    const location = answer.headers.get("location");
    if (REDIRECTS.has(answer.status) && location !== null && URL.canParse(location, next.href)) {
      await answer.discard();
      next = new URL(location, next);
      if (!/^https?:$/.test(next.protocol)) break;
      continue;
    }
    // A range beyond the end is the caller's business.
    if (answer.status < 300 || answer.status === 416) return { ...answer, hubHeaders };
    await answer.discard();
    throw refusal(answer, { isHub, what, url, hasToken: access.token !== null });
  }
  throw badAnswer(what, url, "redirects without an end", "a file");
}

async function getOnce({ token, patience, signal }: Access, url: URL, start: number, isHub: boolean) {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(new Error("no answer")), patience.silenceMs);
  const headers = {
    "user-agent": `ladm/${VERSION}`,
    // Ranges and sizes are those of the file itself.
    "accept-encoding": "identity",
    ...(start > 0 ? { range: `bytes=${start}-` } : {}),
    ...(token !== null && isHub ? { authorization: `Bearer ${token}` } : {}),
  };
  const either = signal === undefined ? abort.signal : AbortSignal.any([signal, abort.signal]);
  const response = await fetch(url, { headers, redirect: "manual", signal: either }).catch((error: unknown) => {
    clearTimeout(timer);
    throw new TryAgain(reasonOf(error), null, { cause: error });
  });
  timer.refresh();
  return {
    status: response.status,
    statusText: response.statusText,
    headers: response.headers,
    chunks: readChunks(response.body, timer, patience.slowMs),
    discard: async () => {
      clearTimeout(timer);
      await response.body?.cancel().catch(() => undefined);
    },
  };
}

async function* readChunks(
  body: ReadableStream<Uint8Array> | null,
  timer: NodeJS.Timeout,
  slowMs: number,
): AsyncGenerator<Uint8Array> {
  // Only the time that is waited for the server: what is done with the bytes may take its own.
  let waitedMs = 0;
  let cameBytes = 0;
  try {
    let startMs = performance.now();
    for await (const chunk of body ?? []) {
      timer.refresh();
      waitedMs += performance.now() - startMs;
      cameBytes += chunk.length;
      if (waitedMs >= slowMs) {
        if (cameBytes < LEAST_BYTES)
          throw new Error(`${formatCount(cameBytes)} bytes came in ${formatDuration(waitedMs)}`);
        waitedMs = 0;
        cameBytes = 0;
      }
      yield chunk;
      timer.refresh();
      startMs = performance.now();
    }
  } catch (error) {
    throw new TryAgain(reasonOf(error), null, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

/** `fetch failed` says nothing; its cause does. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause === undefined) return messageOf(error);
  return messageOf(cause) || (systemCodeOf(cause) ?? messageOf(error));
}

interface Refused {
  readonly isHub: boolean;
  readonly what: string;
  readonly url: URL;
  readonly hasToken: boolean;
}

interface Refusal {
  readonly status: number;
  readonly statusText: string;
  readonly headers: Headers;
}

function refusal(answer: Refusal, { isHub, what, url, hasToken }: Refused): Error {
  const { status, statusText, headers } = answer;
  const got = `${status} ${headers.get("x-error-message")?.slice(0, 300) ?? statusText}`.trim();
  // Another server refuses an address that has grown old: the hub gives a new one.
  if (status === 408 || status === 429 || status >= 500 || !isHub) {
    return new TryAgain(got, retryAfterMs(headers.get("retry-after")));
  }
  const code = headers.get("x-error-code") ?? "";
  const refuse = (problem: Omit<Problem, "got" | "where">) =>
    new UserError({ ...problem, got, where: `${url.origin}${url.pathname}` });
  const isMissing = status === 404 || (status === 401 && (code === "RepoNotFound" || (code === "" && !hasToken)));
  if (isMissing) {
    return refuse({
      code: "hub-not-found",
      what: `The hub has no ${what}, or does not show it`,
      allowed: "org/name, and a branch, tag or commit that it has",
      fix: hasToken
        ? "Check the spelling; a private one needs a token (HF_TOKEN) that may read it."
        : "Check the spelling; for a private one set HF_TOKEN.",
    });
  }
  if (status === 401 || status === 403) {
    const gated = `Accept its terms on ${url.origin}, then set HF_TOKEN to a token of that account.`;
    const fix =
      code === "GatedRepo"
        ? gated
        : "Set HF_TOKEN to a token that may read it; if it is gated, accept its terms there.";
    return refuse({
      code: "hub-denied",
      what: `The hub does not give out ${what}`,
      allowed: "one that you may read",
      fix,
    });
  }
  return badAnswer(what, url, got, "200");
}

/** Seconds, or a date. */
function retryAfterMs(text: string | null): number | null {
  if (text === null || text.trim() === "") return null;
  const ms = /^\d+$/.test(text.trim()) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : null;
}

export function badAnswer(what: string, url: URL, got: string, allowed: string): UserError {
  const where = `${url.origin}${url.pathname}`;
  const fix = "Try again later; with HF_ENDPOINT set, check that it is a hub.";
  return new UserError({
    code: "hub-answer",
    what: `The hub's answer about ${what} cannot be used`,
    where,
    got,
    allowed,
    fix,
  });
}

function unreachable(endpoint: string, error: TryAgain, tried: number): UserError {
  const later = (error.afterMs ?? 0) === 0 ? "" : `, which asks to wait ${formatDuration(error.afterMs ?? 0)}`;
  const problem = {
    code: "hub-unreachable",
    what: "The hub cannot be reached",
    where: endpoint,
    got: `${error.message}${later} (${tried === 1 ? "tried once" : `tried ${tried} times`})`,
    fix: "Check the network and HF_ENDPOINT, and start the same command again: what is fetched stays.",
  };
  return new UserError(problem, { cause: error });
}
