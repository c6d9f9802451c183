// Compiles src/ to dist/, and drops output whose source is gone, so that a renamed file cannot linger.
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");
if (existsSync(dist)) {
  for (const path of readdirSync(dist, { recursive: true })) {
    const source = String(path).replace(/(\.d)?\.(js|ts)$/, ".ts");
    if (/\.(js|ts)$/.test(String(path)) && !existsSync(join(root, "src", source))) rmSync(join(dist, String(path)));
  }
}
const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
const { status } = spawnSync(process.execPath, [tsc, "-p", join(root, "tsconfig.build.json")], { stdio: "inherit" });
if (status !== 0) process.exit(status ?? 1);
const main = join(dist, "cli", "main.js");
if (existsSync(main)) chmodSync(main, 0o755);
