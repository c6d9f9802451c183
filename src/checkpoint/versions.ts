import { refuseChanged, versionOf } from "../core/versions.js";
import type { Checkpoint } from "./checkpoint.js";

/**
 * The weight files as they are now.
 * @returns what makes sure that they still are: throws UserError `checkpoint-changed`
 */
export async function pinWeights({ tensors, headTensors }: Checkpoint): Promise<() => Promise<void>> {
  const files = new Set([...tensors.values(), ...(headTensors?.values() ?? [])].map(({ file }) => file));
  const versions = await Promise.all([...files].map(versionOf));
  const problem = {
    code: "checkpoint-changed",
    what: "The weights changed while they were in use",
    allowed: "the file as it was when the command began",
    fix: "Put the weights back and start the same command again, or give another --out for the new ones.",
  };
  return async () => {
    for (const version of versions) await refuseChanged(version, problem);
  };
}
