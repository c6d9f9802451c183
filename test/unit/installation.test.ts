import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { installCommand } from "#ladm/core/installation.js";
import { temporaryFolder } from "./selection-run.js";

test("the command that mends an installation fits where it lies", async () => {
  const folder = await temporaryFolder("ladm-install-");
  const root = join(folder, "lib", "node_modules", "ladm");
  await mkdir(root, { recursive: true });
  await writeFile(join(root, "package.json"), JSON.stringify({ optionalDependencies: { engine: "1.2.3" } }));
  expect(installCommand("engine", "SKIP=1", root)).toBe(
    `SKIP=1 npm install --prefix ${JSON.stringify(root)} --no-save --omit=dev engine@1.2.3`,
  );
  await writeFile(join(folder, "lib", "package.json"), "{}");
  expect(installCommand("engine", "SKIP=1", root)).toBe("SKIP=1 npm install engine@1.2.3");
  expect(installCommand("other", undefined, join(folder, "clone"))).toBe("npm install other");
});
