/** A thread of the lexical scorer: makes tokens and scores samples, one request after another. */
import { parentPort } from "node:worker_threads";
import { messageOf } from "../../core/errors.js";
import { subwordIds } from "../../corpus/subwords.js";
import type { FrequencyTable } from "../../formats/lexical.js";
import { reference } from "../../measure/definitions/reference.js";
import { focus } from "../../measure/focus.js";
import { type DocumentFrequencies, LEXICAL_AGGREGATION, lexicalPairScores } from "../../measure/lexical.js";
import type { Answered, Asked, WorkerAnswer, WorkerRequest } from "./protocol.js";

let frequencies: DocumentFrequencies = { documentCount: 0, counts: new Map() };

parentPort?.on("message", ({ id, request }: Asked) => {
  const answered = answerTo(id, request);
  parentPort?.postMessage(answered);
});

function answerTo(id: number, request: WorkerRequest): Answered {
  try {
    return { id, answer: answer(request) };
  } catch (error) {
    return { id, error: messageOf(error) };
  }
}

function answer(request: WorkerRequest): WorkerAnswer {
  switch (request.kind) {
    case "learn":
      frequencies = toMap(request.table);
      return { kind: "learn" };
    case "tokens":
      return { kind: "tokens", ids: subwordIds(request.text, request.atMost) };
    case "score": {
      const { tokenIds, settings } = request;
      const pairs = lexicalPairScores(tokenIds, reference.grid(tokenIds.length, settings), frequencies);
      const [score = null] = tokenIds.some(tellsApart) ? focus(pairs, LEXICAL_AGGREGATION, "layer") : [];
      return { kind: "score", score, values: pairs.values };
    }
  }
}

function tellsApart(id: number): boolean {
  return (frequencies.counts.get(id) ?? 0) < frequencies.documentCount;
}

function toMap({ documentCount, ids, counts }: FrequencyTable): DocumentFrequencies {
  const map = new Map<number, number>();
  for (const [at, id] of ids.entries()) map.set(id, counts[at] ?? 0);
  return { documentCount, counts: map };
}
