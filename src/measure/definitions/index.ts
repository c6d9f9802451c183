import type { Definition } from "../definition.js";
import { paper } from "./paper.js";
import { reference } from "./reference.js";

/** Every definition, by the name that `--definition` and `run.json` use. */
export const DEFINITIONS: Readonly<Record<Definition["name"], Definition>> = { reference, paper };
