/** Losses at sampled positions, held against those of `transformers`. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openScorer, type Scorer } from "#ladm/scoring/scorer/scorer.js";

const DATA = fileURLToPath(new URL("./data/", import.meta.url));
/** Nats, absolute. */
const TOLERANCE = 1e-4;

interface GoldenLosses {
  readonly model: string;
  readonly id: string;
  readonly length: number;
  readonly positions: readonly number[];
  /** Nats, by position. */
  readonly losses: readonly number[];
  /** The mistake of leaving the norm before the head out. */
  readonly without_norm: readonly number[];
}

const read = (file: string): unknown => JSON.parse(readFileSync(join(DATA, file), "utf8"));
const { samples } = read("losses.json") as { readonly samples: readonly GoldenLosses[] };
const texts = read("ids.json") as readonly { readonly id: string; readonly ids: readonly number[] }[];

const tokensOf = ({ id, length }: GoldenLosses) =>
  Int32Array.from(texts.find((text) => text.id === id)?.ids ?? []).subarray(0, length);
const isTied = ({ model }: GoldenLosses) =>
  (read(`${model}/config.json`) as { readonly tie_word_embeddings?: boolean }).tie_word_embeddings === true;

/** Largest |got - want|; NaN is as far off as can be. */
function worst(got: ArrayLike<number>, want: readonly number[]): number {
  expect(got.length).toBe(want.length);
  return Math.max(...want.map((value, at) => Math.abs((got[at] ?? Infinity) - value)));
}

/** Smallest |got - want|: a mistake must miss everywhere. */
const least = (got: ArrayLike<number>, want: readonly number[]) =>
  Math.min(...want.map((value, at) => Math.abs((got[at] ?? NaN) - value)));

it("there are checkpoints with a head of their own and with tied embeddings", () => {
  expect(new Set(samples.map(isTied))).toEqual(new Set([true, false]));
});

describe.each(samples)("$model", (sample) => {
  const tokens = tokensOf(sample);
  const { positions, losses } = sample;
  let scorer: Scorer;
  beforeAll(async () => {
    scorer = await openScorer({
      model: join(DATA, sample.model),
      attnChunkSize: 16,
      dAfs: 2,
      dCds: 2,
      maxLength: 1500,
      allowLonger: true,
      threads: 2,
      losses: true,
    });
  });
  afterAll(() => scorer.close());
  const lossesAt = async (lossPositions: readonly number[]) => (await scorer.read(tokens, { lossPositions })).losses;

  it("as transformers has them, the first and the last token among them", async () => {
    expect([positions[0], positions.at(-1)]).toEqual([1, tokens.length - 1]);
    expect(worst(await lossesAt(positions), losses)).toBeLessThan(TOLERANCE);
  });

  it("in the order asked for, whatever else is asked", async () => {
    const [third] = await lossesAt(positions.slice(2, 3));
    const reversed = await lossesAt(positions.toReversed());
    expect(worst(reversed.toReversed(), losses)).toBeLessThan(TOLERANCE);
    expect(Math.abs((third ?? NaN) - (losses[2] ?? NaN))).toBeLessThan(TOLERANCE);
    expect((await scorer.read(tokens)).losses).toHaveLength(0);
  });

  it("a position off by one misses", async () => {
    const inside = positions.filter((position) => position > 1);
    const before = await lossesAt(inside.map((position) => position - 1));
    expect(least(before, losses.slice(1))).toBeGreaterThan(100 * TOLERANCE);
  });

  it("no norm before the head misses", async () => {
    expect(least(await lossesAt(positions), sample.without_norm)).toBeGreaterThan(50 * TOLERANCE);
  });
});
