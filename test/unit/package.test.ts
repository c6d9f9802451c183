/** The package as npm sees it. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { z } from "zod";

const root = new URL("../../", import.meta.url);
const inPackage = (path: string) => fileURLToPath(new URL(path, root));

const versions = z.record(z.string(), z.string());
const manifest = z
  .object({
    name: z.literal("ladm"),
    version: z.string(),
    license: z.literal("Apache-2.0"),
    type: z.literal("module"),
    engines: z.object({ node: z.literal(">=20.19") }),
    bin: z.object({ ladm: z.string() }),
    exports: z.object({ ".": z.object({ types: z.string(), default: z.string() }) }),
    files: z.array(z.string()),
    scripts: z.record(z.string(), z.string()),
    dependencies: versions,
    optionalDependencies: versions,
    devDependencies: versions,
  })
  .parse(JSON.parse(readFileSync(inPackage("package.json"), "utf8")));

const EXACT = /^\d+\.\d+\.\d+(-[\w.]+)?$/;
const inexact = (list: Readonly<Record<string, string>>) =>
  Object.entries(list).flatMap(([name, version]) => (EXACT.test(version) ? [] : `${name} ${version}`));

describe("package.json", () => {
  it("has exact versions only", () => {
    const { dependencies, optionalDependencies, devDependencies } = manifest;
    expect(inexact({ ...dependencies, ...optionalDependencies, ...devDependencies })).toEqual([]);
    expect(inexact({ a: "^1.0.0", b: "~1.0.0", c: "1", d: "*", e: "latest", f: "1.2.3-r.1" })).toHaveLength(5);
  });

  it("has the engine as an optional dependency, whose installer may fail", () => {
    expect(Object.keys(manifest.optionalDependencies)).toEqual(["onnxruntime-node"]);
    expect(manifest.dependencies).not.toHaveProperty("onnxruntime-node");
  });

  it("has scripts of one word", () => {
    expect(Object.keys(manifest.scripts)).toEqual(
      expect.arrayContaining(["build", "check", "lint", "format", "test", "bench"]),
    );
    expect(Object.keys(manifest.scripts).filter((name) => !/^[a-z]+$/.test(name))).toEqual([]);
  });

  it("has a command that can be executed and says the package's version", () => {
    const bin = inPackage(manifest.bin.ladm);
    expect(readFileSync(bin, "utf8")).toMatch(/^#!\/usr\/bin\/env node\n/);
    if (process.platform !== "win32") expect(statSync(bin).mode & 0o111).toBe(0o111);
    const said = execFileSync(process.execPath, [bin, "--version"], { encoding: "utf8" });
    expect(said).toContain(`ladm ${manifest.version}`);
  });

  it("has an entry that resolves by the package's name, with types", async () => {
    const entry = manifest.exports["."];
    expect(import.meta.resolve("ladm")).toBe(new URL(entry.default, root).href);
    expect(existsSync(inPackage(entry.types))).toBe(true);
    expect(Object.keys(await import("ladm"))).toEqual(
      expect.arrayContaining(["openScorer", "aggregate", "rank", "select", "checkRun", "scoreRun"]),
    );
  });

  it("publishes no file that is not there", () => {
    expect(manifest.files.filter((path) => !existsSync(inPackage(path)))).toEqual([]);
  });
});

describe("files beside it agree", () => {
  it.each(["CHANGELOG.md", "CITATION.cff"])("%s names the version", (file) => {
    expect(readFileSync(inPackage(file), "utf8")).toContain(manifest.version);
  });

  it("LICENSE is Apache-2.0", () => {
    expect(readFileSync(inPackage("LICENSE"), "utf8")).toMatch(/Apache License\s+Version 2\.0, January 2004/);
  });
});
