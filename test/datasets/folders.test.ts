/**
 * Folders that real programs left, against the rows that `datasets` and `pyarrow.dataset` read there. Needs
 * LADM_PYTHON.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expandData, fingerprintData } from "#ladm/formats/data.js";
import { fieldsOf, readDataRows } from "#ladm/formats/data-rows.js";
import { PYTHON, python } from "./python.js";

const FOLDERS = "spark delta linked misnamed repository endings saved cached several".split(" ");
const MAKE_MS = 300_000;

const root = mkdtempSync(join(tmpdir(), "ladm-real-folders-"));
afterAll(() => rmSync(root, { recursive: true }));

async function textsIn(path: string): Promise<readonly unknown[]> {
  const texts: unknown[] = [];
  for await (const row of readDataRows(await expandData([path]))) {
    const fields = fieldsOf(row);
    texts.push("code" in fields ? fields.code : fields.get("text"));
  }
  return texts.map(String).sort();
}

describe.skipIf(PYTHON === undefined)("folders (skipped unless LADM_PYTHON names a Python with datasets)", () => {
  let expected: Readonly<Record<string, readonly string[]>> = {};
  beforeAll(async () => {
    expected = JSON.parse(await python("folders_make.py", root)) as typeof expected;
  }, MAKE_MS);

  it.each(FOLDERS)("%s: the rows that the libraries read", async (name) => {
    expect(await textsIn(join(root, name))).toEqual(expected[name]);
  });

  it("saved: what Python leaves beside it is no part of its fingerprint", async () => {
    const names = ["dataset_info.json", "state.json", "data-00000-of-00001.arrow"];
    const { sizeBytes } = await fingerprintData(join(root, "saved"));
    const sizes = await Promise.all(
      names.map(async (one) => (await fingerprintData(join(root, "saved", one))).sizeBytes),
    );
    expect(sizeBytes).toBe(sizes.reduce((sum, size) => sum + size, 0));
  });
});
