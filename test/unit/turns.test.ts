import { expect, test } from "vitest";
import { Turns } from "#ladm/core/turns.js";

const pause = (elapsedMs: number) => new Promise<void>((resolve) => setTimeout(resolve, elapsedMs));

test("what wants to be alone is alone; what may be shared is side by side", async () => {
  const turns = new Turns();
  const inside = new Set<string>();
  const seen: string[] = [];
  const work = (name: string, elapsedMs: number) => async () => {
    inside.add(name);
    seen.push([...inside].join("+"));
    await pause(elapsedMs);
    inside.delete(name);
    return name;
  };
  const first = [turns.share(work("a", 20)), turns.share(work("b", 5))];
  await pause(1);
  const done = await Promise.all([
    ...first,
    turns.alone(work("X", 5)),
    turns.share(work("c", 5)),
    turns.alone(work("Y", 5)),
    turns.share(work("d", 5)),
  ]);
  expect(done).toEqual(["a", "b", "X", "c", "Y", "d"]);
  expect(seen.slice(0, 4)).toEqual(["a", "a+b", "X", "Y"]);
  expect(seen.slice(4).join("+").split("+").sort().join("")).toMatch(/^(ccd|cdd)$/);
});

test("a failure is its own", async () => {
  const turns = new Turns();
  const fail = () => Promise.reject(new Error("no"));
  const results = await Promise.allSettled([turns.share(fail), turns.alone(fail), turns.share(async () => 1)]);
  expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected", "fulfilled"]);
});
