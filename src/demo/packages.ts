import { existsSync, readFileSync, realpathSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";

/** A package of this installation. */
export interface InstalledPackage {
  readonly name: string;
  readonly version: string;
  readonly directory: string;
}

const names = z.record(z.string(), z.string()).default({});
const manifestSchema = z.object({
  name: z.string(),
  version: z.string(),
  dependencies: names,
  optionalDependencies: names,
});

/** The folder of this package. */
const PACKAGE_FOLDER = fileURLToPath(new URL("../../", import.meta.url));

/**
 * All that a package needs at run time, found where Node looks (beside it, hoisted, linked); what is not installed is
 * left out. Not the package itself: its texts change from day to day, and the demo with them.
 * @returns by name and version, each once
 */
export function installedPackages(directory: string = PACKAGE_FOLDER): readonly InstalledPackage[] {
  const found = new Map<string, InstalledPackage>();
  const visit = (folder: string): void => {
    const manifest = readManifest(folder);
    if (manifest === null) return;
    const { name, version, dependencies, optionalDependencies } = manifest;
    const key = `${name}@${version}`;
    if (found.has(key)) return;
    found.set(key, { name, version, directory: folder });
    const { resolve } = createRequire(join(folder, "package.json"));
    for (const dependency of Object.keys({ ...dependencies, ...optionalDependencies })) {
      const places = (resolve.paths(dependency) ?? []).map((place) => join(place, dependency));
      const place = places.find((one) => existsSync(join(one, "package.json")));
      if (place !== undefined) visit(realpathSync(place));
    }
  };
  visit(directory);
  return [...found.values()]
    .filter((one) => one.directory !== directory)
    .sort((a, b) => (`${a.name}@${a.version}` < `${b.name}@${b.version}` ? -1 : 1));
}

/** Null where it cannot be understood: such a package gives no text. */
function readManifest(directory: string): z.output<typeof manifestSchema> | null {
  try {
    return manifestSchema.parse(JSON.parse(readFileSync(join(directory, "package.json"), "utf8")));
  } catch {
    return null;
  }
}
