import { basename, relative } from "node:path";

/**
 * What the user types to run this program: `ladm` where it is a command, `npx ladm` where npm ran it, else the file
 * that Node was given.
 * @param script as in `process.argv[1]`
 */
export function selfCommand(script: string, env: NodeJS.ProcessEnv, folder: string): string {
  if ((env.npm_command ?? "") !== "") return "npx ladm";
  if (/^ladm(?:\.cmd|\.ps1)?$/.test(basename(script))) return "ladm";
  const near = relative(folder, script);
  return `node ${near.startsWith("..") || near === "" ? script : near}`;
}

/** Commands in a sentence of ours, such as `ladm doctor`, as the user types them. */
export function withSelf(sentence: string, self: string): string {
  return sentence.replaceAll(/`ladm (?=[a-z-])/g, () => `\`${self} `);
}
