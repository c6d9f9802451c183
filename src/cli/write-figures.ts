import { join } from "node:path";
import { writeFileAtomic } from "../formats/append.js";

/** Writes each figure as NAME.svg. @returns the names of the files */
export async function writeFigures(
  directory: string,
  figures: readonly { readonly name: string; readonly svg: string }[],
): Promise<readonly string[]> {
  const files: string[] = [];
  for (const { name, svg } of figures) {
    await writeFileAtomic(join(directory, `${name}.svg`), svg);
    files.push(`${name}.svg`);
  }
  return files;
}
