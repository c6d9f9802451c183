/**
 * Results in the order of the items, with up to `atOnce` of them in the making. The next item is not asked for before
 * there is room. Closes `items` when the consumer stops.
 * @throws whatever `items` or `work` throws, in its turn
 */
export async function* inOrder<Item, Result>(
  items: AsyncIterable<Item>,
  atOnce: number,
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
  const begun: Promise<Result>[] = [];
  const next = (result: Promise<Result>) => {
    // Awaited in its turn: until then its failure is nobody's.
    result.catch(() => undefined);
    begun.push(result);
  };
  for await (const item of items) {
    next(work(item));
    const first = begun.length < atOnce ? undefined : begun.shift();
    if (first !== undefined) yield await first;
  }
  for (const result of begun) yield await result;
}
