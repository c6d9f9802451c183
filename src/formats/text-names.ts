import { basename, resolve } from "node:path";

/**
 * In the path of a text, `//` stands between the folder that was named and the text's own name in it; everywhere else
 * it means `/`.
 */
const BOUNDARY = "//";

/** @param name within the folder, with `/` */
export function textPath(folder: string, name: string): string {
  return `${folder.replace(/\/+$/, "")}${BOUNDARY}${name}`;
}

/** The name of a text within the folder that was named, or its file's. */
export function documentName(path: string): string {
  const at = path.lastIndexOf(BOUNDARY);
  return at > 0 ? path.slice(at + BOUNDARY.length) : basename(path);
}

/** Was it found in a folder that was named? */
export function isWithinFolder(path: string): boolean {
  return path.lastIndexOf(BOUNDARY) > 0;
}

/** The absolute path of data, which still tells the name of a text. */
export function absolutePath(path: string): string {
  const at = path.lastIndexOf(BOUNDARY);
  return at > 0 ? textPath(resolve(path.slice(0, at)), path.slice(at + BOUNDARY.length)) : resolve(path);
}
