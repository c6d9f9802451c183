import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Two workers: each scoring test starts a child process of its own.
    maxWorkers: 2,
    // No test asks the real hub; those with one of their own say so.
    env: { HF_HUB_OFFLINE: "1" },
    // No test measures time: these only end what hangs, on slow machines too.
    testTimeout: 180_000,
    hookTimeout: 180_000,
  },
});
