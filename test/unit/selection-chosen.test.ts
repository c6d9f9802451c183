import { join } from "node:path";
import { expect, test } from "vitest";
import { UserError } from "#ladm/core/errors.js";
import { Chosen } from "#ladm/selection/chosen.js";
import { openDatabase } from "#ladm/selection/duckdb.js";
import { temporaryFolder } from "./selection-run.js";

async function choose(...rows: readonly (readonly [place: number, ordinal: number])[]): Promise<Chosen> {
  const database = await openDatabase({ folder: join(await temporaryFolder("ladm-chosen-"), "work") });
  try {
    await database.run("create table chosen (place BIGINT, ordinal BIGINT, rank BIGINT)");
    for (const [place, ordinal] of rows) await database.run(`insert into chosen values (${place}, ${ordinal}, 0)`);
    return await Chosen.open(database, ["pool.jsonl"]);
  } finally {
    database.close();
  }
}

test("a row that is chosen twice has both its places in the output", async () => {
  const chosen = await choose([7, 1], [2, 0], [7, 3], [4, 2]);
  expect([0, 2, 3, 4, 7, 8].map(chosen.has)).toEqual([false, true, false, true, true, false]);
  expect(chosen.last).toBe(7);
  expect(chosen.take(7)).toEqual([1, 3]);
  expect(chosen.take(2)).toEqual([0]);
  expect(() => chosen.refuseMissing()).toThrow(UserError);
  expect(() => chosen.refuseMissing()).toThrow(/pool\.jsonl\): got row 4\./);
  expect(chosen.take(4)).toEqual([2]);
  expect(() => chosen.refuseMissing()).not.toThrow();
});

test("nothing chosen", async () => {
  const chosen = await choose();
  expect([chosen.last, chosen.has(0), chosen.take(0)]).toEqual([-1, false, []]);
  expect(() => chosen.refuseMissing()).not.toThrow();
});
