/**
 * A short run of each fuzzer, and what fuzzing found before. `LADM_FUZZ_SECONDS`: so long for each target, instead of a
 * few hundred inputs; `LADM_FUZZ_SEED`: another seed.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { replayInput, runTarget } from "./supervisor.mjs";
import { TARGETS } from "./targets/index.mjs";

const SECONDS = Number(process.env.LADM_FUZZ_SECONDS ?? 0);
const SEED = Number(process.env.LADM_FUZZ_SEED ?? 1);
/** A second or so; readers that begin a thread or a process for each input read fewer. */
const SHORT = { count: 200, seconds: 10 };
const ENDS_MS = 180_000 + 4000 * SECONDS;

const FOUND = fileURLToPath(new URL("found", import.meta.url));

describe.concurrent.each(Object.keys(TARGETS))("%s", (name) => {
  it(
    "keeps its promises",
    async () => {
      const amount = SECONDS > 0 ? { count: Number.MAX_SAFE_INTEGER, seconds: SECONDS } : SHORT;
      const { faults, inputs } = await runTarget(name, { seed: SEED, from: 0, ...amount });
      const said = faults.map(({ fault, iteration, input }) => ({
        fault,
        seed: SEED,
        iteration,
        input: input.toString("base64"),
      }));
      expect(said.slice(0, 5)).toEqual([]);
      expect(inputs).toBeGreaterThan(0);
    },
    ENDS_MS,
  );
});

// `TARGET--what-was-wrong`: an input of that target.
describe("what was found", () => {
  it.each(readdirSync(FOUND))("%s", async (file) => {
    const [name = ""] = file.split("--");
    expect(await replayInput(name, join(FOUND, file))).toMatchObject({ fault: null });
  });
});
