/** Work that may be done side by side, and work that wants to be alone. */
export class Turns {
  private readonly shared = new Set<Promise<unknown>>();
  private lastAlone: Promise<unknown> = Promise.resolve();

  /** Beside other shared work, after all that asked before to be alone. @throws whatever `work` throws */
  async share<T>(work: () => Promise<T>): Promise<T> {
    for (let before: unknown; before !== this.lastAlone; ) {
      before = this.lastAlone;
      await this.lastAlone;
    }
    const result = work();
    const settled = result.then(
      () => undefined,
      () => undefined,
    );
    this.shared.add(settled);
    try {
      return await result;
    } finally {
      this.shared.delete(settled);
    }
  }

  /** With nothing beside it. @throws whatever `work` throws */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    const result = this.lastAlone.then(async () => {
      await Promise.all(this.shared);
      return work();
    });
    this.lastAlone = result.catch(() => undefined);
    return await result;
  }
}
