/**
 * Rows of hostile columns: each becomes a document or an unscored row with a reason, and what is kept of it can be
 * written and read.
 */

import { readFileSync } from "node:fs";
import { chooseLayout } from "#ladm/corpus/layout.js";
import { parseRow } from "#ladm/corpus/rows.js";
import { surveyData } from "#ladm/corpus/survey.js";
import { openAppend, readJsonLines } from "#ladm/formats/append.js";
import { readDataRows } from "#ladm/formats/data-rows.js";
import { attempt, checkProblem, demand } from "../invariants.mjs";
import { dictionaryOf, mutateBytes } from "../mutate-bytes.mjs";
import { mutateJson } from "../mutate-json.mjs";
import { DOCUMENTS } from "../seeds.mjs";

/** @typedef {import("../target.mjs").MakeTarget} MakeTarget */

const WORDS = [
  "text",
  "content",
  "id",
  "index",
  "chunked_index",
  "meta",
  "source",
  "input_ids",
  "metadata",
  "a.b",
  "__proto__",
];
const SEEDS = DOCUMENTS.map((row) => JSON.stringify(row));
const COLUMNS = [
  {},
  { textColumn: "content", metaColumns: ["source", "dump"] },
  { textColumn: "__proto__", idColumn: "constructor", metaColumns: ["meta.list", "extra.a.b.c", "a.b", "__proto__.x"] },
  { idColumn: "meta", metaColumns: ["source", "source.x", "source"] },
];

/** The first line says which columns are asked for. @type {MakeTarget} */
export const rows = (room) => ({
  make: (dice) => {
    const rowsMade = Array.from({ length: dice.between(1, 4) }, () =>
      mutateJson(dice, dice.pick(SEEDS), { others: SEEDS, words: WORDS }),
    );
    const text = Buffer.from(`${dice.integer(COLUMNS.length)}\n${rowsMade.join("\n")}\n`);
    return dice.chance(0.2) ? mutateBytes(dice, text, { dictionary: dictionaryOf(WORDS) }) : text;
  },
  read: async (input) => {
    const end = input.indexOf(10) + 1;
    const columns = COLUMNS[(input[0] ?? 0) % COLUMNS.length] ?? {};
    const path = room.write("rows.jsonl", input.subarray(end));
    const { value: layout, refused } = await attempt(() =>
      chooseLayout([path], { textColumn: undefined, idColumn: undefined, metaColumns: undefined, ...columns }),
    );
    if (layout === null) return { outcome: `layout ${refused}` };
    const { value: survey, refused: unsurveyed } = await attempt(() => surveyData([path], { ...columns }));
    /** @type {string[]} */
    const kinds = [];
    /** @type {object[]} */
    const lines = [];
    const { refused: unread } = await attempt(async () => {
      for await (const raw of readDataRows([path])) {
        const parsed = parseRow(raw, { ...layout, ...columns });
        kinds.push(kindOf(parsed));
        lines.push({ id: parsed.id, meta: parsed.meta ?? null });
      }
      await checkWritten(room, lines);
    });
    if (unread !== null) return { outcome: `rows ${unread}` };
    if (survey !== null) demand(survey.rows === kinds.length, "the survey counts other rows than are read");
    const outcome = [...new Set(kinds)].sort().slice(0, 2).join("+") || "no rows";
    return { outcome: survey === null ? `survey ${unsurveyed}` : outcome, seen: [kinds, layout.notes] };
  },
});

/**
 * Whatever a row is, its id and meta are written beside the score or the reason: what is read of that is written the
 * same again.
 * @param {import("../target.mjs").Room} room
 * @param {readonly object[]} lines
 */
async function checkWritten(room, lines) {
  const before = await writeAnew(room, lines);
  /** @type {object[]} */
  const read = [];
  for await (const { value } of readJsonLines(room.path("written.json"))) read.push(value);
  demand(read.length === lines.length, "lines that are written cannot be read");
  demand((await writeAnew(room, read)) === before, "id and meta are read otherwise than they were written");
}

/** @param {import("../target.mjs").Room} room @param {readonly object[]} lines */
async function writeAnew(room, lines) {
  const path = room.write("written.json", "");
  const file = await openAppend(path);
  try {
    for (const line of lines) await file.append(line);
  } finally {
    await file.close();
  }
  return readFileSync(path, "utf8");
}

/** @param {ReturnType<typeof parseRow>} parsed */
function kindOf(parsed) {
  demand(parsed.index === null || (Number.isSafeInteger(parsed.index) && parsed.index >= 0), "an index that is none");
  if ("reason" in parsed) {
    const { code, message } = parsed.reason;
    checkProblem({ code, what: message });
    demand(!/\p{Cc}/u.test(message), "a control character in a reason");
    return code;
  }
  if ("text" in parsed.content)
    demand(typeof parsed.content.text === "string" && parsed.content.text !== "", "a text that is none");
  else
    demand(
      parsed.content.inputIds.length > 0 && parsed.content.inputIds.every((token) => token >= 0),
      "token ids that are none",
    );
  return "document";
}
