/** Rules over the sources of `src/`, as functions of made-up sources too, so that each can be shown to fail. */
import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

export interface Source {
  /** From `src/`, with `/`. */
  readonly path: string;
  readonly text: string;
}

/** Every TypeScript file under `src/`. */
export function readSources(): readonly Source[] {
  const root = fileURLToPath(new URL("../../src", import.meta.url));
  return readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .sort()
    .map((path) => ({ path: path.replaceAll("\\", "/"), text: readFileSync(join(root, path), "utf8") }));
}

/** Folder → folders that it may import, besides itself; a file beside the folders goes by its own name. */
export type ImportTable = Readonly<Record<string, readonly string[]>>;

/** Imports from a folder that the table does not allow, types included. */
export function importsOutsideTable(sources: readonly Source[], table: ImportTable): readonly string[] {
  return sources.flatMap((source) => {
    const folder = folderOf(source.path);
    const allowed = table[folder];
    if (allowed === undefined) return [`${source.path}: the table has no row for ${folder}`];
    return localImports(source)
      .filter((target) => folderOf(target) !== folder && !allowed.includes(folderOf(target)))
      .map((target) => `${source.path} imports ${target}`);
  });
}

/** Imports from a room of a folder of a later room, or of a file beside the rooms. */
export function importsOfLaterRooms(
  sources: readonly Source[],
  folder: string,
  rooms: readonly string[],
): readonly string[] {
  const floorOf = (path: string) => {
    const [top, room, ...rest] = path.split("/");
    return top !== folder ? -1 : rest.length === 0 ? rooms.length : rooms.indexOf(room ?? "");
  };
  return sources.flatMap((source) =>
    localImports(source)
      .filter((target) => floorOf(target) > floorOf(source.path))
      .map((target) => `${source.path} imports ${target}`),
  );
}

/** Each cycle once, as the files on it; without `import type`, which is gone at run time. */
export function importCycles(sources: readonly Source[]): readonly string[] {
  const targets = new Map(sources.map((source) => [source.path, localImports(source, { types: false })]));
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (path: string, way: readonly string[]): void => {
    if (way.includes(path)) cycles.push([...way.slice(way.indexOf(path)), path].join(" -> "));
    if (done.has(path) || way.includes(path)) return;
    for (const target of targets.get(path) ?? []) visit(target, [...way, path]);
    done.add(path);
  };
  for (const path of targets.keys()) visit(path, []);
  return cycles;
}

/** Imports of a package by any other file than the one that owns it. */
export function importsOfOwned(
  sources: readonly Source[],
  owners: Readonly<Record<string, string>>,
): readonly string[] {
  return sources.flatMap(({ path, text }) =>
    Object.entries(owners)
      .filter(
        ([name, owner]) =>
          !isOwner(owner, path) && specifiersOf(text).some((it) => it === name || it.startsWith(`${name}/`)),
      )
      .map(([name]) => `${path} imports ${name}`),
  );
}

/** An owner is a file, or a folder with its slash. */
export function isOwner(owner: string, path: string): boolean {
  return owner.endsWith("/") ? path.startsWith(owner) : path === owner;
}

/** Uses of `console` and `process.exit` where `isAllowed` says no. */
export function usesOfTerminal(sources: readonly Source[], isAllowed: (path: string) => boolean): readonly string[] {
  return sources
    .filter(({ path }) => !isAllowed(path))
    .flatMap(({ path, text }) =>
      nodesOf(text).flatMap((node) => {
        if (ts.isIdentifier(node) && node.text === "console" && !isName(node)) return [`${path} uses console`];
        if (!ts.isPropertyAccessExpression(node) || node.name.text !== "exit") return [];
        return node.expression.getText() === "process" ? [`${path} calls process.exit`] : [];
      }),
    );
}

export function longerThan(sources: readonly Source[], lines: number): readonly string[] {
  return sources.flatMap(({ path, text }) => {
    const count = text.trimEnd().split("\n").length;
    return count > lines ? [`${path} has ${count} lines`] : [];
  });
}

/** Lines of comment that are wider than the code: the formatter leaves them as they are. */
export function widerThan(sources: readonly Source[], columns: number): readonly string[] {
  return sources.flatMap(({ path, text }) =>
    text.split("\n").flatMap((line, at) => {
      const isComment = /^\s*(?:\/\/|\/?\*)/.test(line);
      return isComment && line.length > columns ? [`${path}:${at + 1} has ${line.length} columns`] : [];
    }),
  );
}

/**
 * The values that a property `code` of an object takes in a file: where it is a name, those given to it in that file.
 */
export function problemCodes({ path, text }: Source): readonly string[] {
  const nodes = nodesOf(text);
  const valuesOf = (value: ts.Expression, seen: readonly string[]): readonly string[] => {
    if (ts.isStringLiteral(value)) return [value.text];
    if (ts.isConditionalExpression(value)) return [value.whenTrue, value.whenFalse].flatMap((it) => valuesOf(it, seen));
    if (ts.isIdentifier(value)) return valuesOfName(value.text, seen);
    // Handed on from another problem.
    if (ts.isPropertyAccessExpression(value) || ts.isCallExpression(value)) return [];
    throw new Error(`${path}: a code that this test cannot read: ${value.getText()}`);
  };
  const valuesOfName = (name: string, seen: readonly string[] = []): readonly string[] =>
    seen.includes(name)
      ? []
      : nodes.flatMap((node) => given(node, name)).flatMap((value) => valuesOf(value, [...seen, name]));
  /** What a declaration of the name gives it: its initialiser, and for a parameter what calls hand over. */
  const given = (node: ts.Node, name: string): readonly ts.Expression[] => {
    if (!(ts.isVariableDeclaration(node) || ts.isParameter(node)) || node.name.getText() !== name) return [];
    const initializer = node.initializer === undefined ? [] : [node.initializer];
    if (ts.isVariableDeclaration(node)) return initializer;
    const position = node.parent.parameters.indexOf(node);
    const called = functionName(node.parent);
    const calls = nodes.filter(ts.isCallExpression).filter((call) => call.expression.getText() === called);
    return [...initializer, ...calls.flatMap((call) => call.arguments[position] ?? [])];
  };
  return nodes.flatMap((node) => {
    if (ts.isPropertyAssignment(node) && node.name.getText() === "code") return valuesOf(node.initializer, []);
    return ts.isShorthandPropertyAssignment(node) && node.name.text === "code" ? valuesOfName("code") : [];
  });
}

function functionName(node: ts.SignatureDeclaration): string | undefined {
  return (node.name ?? (ts.isVariableDeclaration(node.parent) ? node.parent.name : undefined))?.getText();
}

function folderOf(path: string): string {
  return path.split("/")[0] ?? path;
}

/** Files under `src/` that a file imports. */
function localImports({ path, text }: Source, options?: { readonly types: boolean }): readonly string[] {
  return specifiersOf(text, options).flatMap((specifier) => {
    if (specifier.startsWith("#ladm/")) return specifier.slice("#ladm/".length).replace(/\.js$/, ".ts");
    if (!specifier.startsWith(".")) return [];
    return posix.join(posix.dirname(path), specifier).replace(/\.js$/, ".ts");
  });
}

/** `import … from`, `import type`, `export … from`, `await import()` and `import("…").Type`. */
export function specifiersOf(text: string, { types } = { types: true }): readonly string[] {
  return nodesOf(text).flatMap((node) => {
    const specifier = specifierOf(node);
    if (specifier === undefined || (!types && isOfTypes(node))) return [];
    return ts.isStringLiteralLike(specifier) ? specifier.text : [`computed: ${specifier.getText()}`];
  });
}

function isOfTypes(node: ts.Node): boolean {
  if (ts.isImportDeclaration(node)) return node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword;
  return ts.isImportTypeNode(node) || (ts.isExportDeclaration(node) && node.isTypeOnly);
}

function specifierOf(node: ts.Node): ts.Node | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier;
  if (ts.isImportTypeNode(node)) return ts.isLiteralTypeNode(node.argument) ? node.argument.literal : node.argument;
  const isImportCall = ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword;
  return isImportCall ? node.arguments[0] : undefined;
}

/** Is the identifier the name of a property or of a binding, and not a use? */
function isName({ parent, ...node }: ts.Identifier): boolean {
  return "name" in parent && parent.name !== undefined && (parent.name as ts.Node).pos === node.pos;
}

const parsed = new Map<string, readonly ts.Node[]>();

function nodesOf(text: string): readonly ts.Node[] {
  const known = parsed.get(text);
  if (known !== undefined) return known;
  const nodes: ts.Node[] = [];
  const visit = (node: ts.Node): void => {
    nodes.push(node);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile("source.ts", text, ts.ScriptTarget.Latest, true));
  parsed.set(text, nodes);
  return nodes;
}
