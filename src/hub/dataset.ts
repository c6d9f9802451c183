import { join } from "node:path";
import { UserError } from "../core/errors.js";
import { plural } from "../core/units.js";
import { checkShards, chooseDataFiles } from "./data-files.js";
import { describeName, parseDatasetName } from "./names.js";
import { type HubOptions, withSnapshot } from "./snapshot.js";

/**
 * The local files of a dataset of the hub, `org/name[:config][:split][@revision]`, in order.
 * @throws UserError `hub-choice`, `hub-no-data`, and those of `withSnapshot` and of downloading
 */
export async function resolveDataset(text: string, options: HubOptions = {}): Promise<readonly string[]> {
  const name = parseDatasetName(text);
  if (name === null) {
    throw new UserError({
      code: "hub-name",
      what: "This is no name of a dataset on the hub",
      got: text,
      allowed: "org/name, org/name:config:split or org/name:config:split@revision",
      fix: "Check the spelling.",
    });
  }
  return await withSnapshot(name, options, async ({ folder, names, configs, isWholeList, bring }) => {
    const { files, note } = chooseDataFiles({ name, names, configs });
    if (note !== null) options.onNote?.(`dataset ${describeName(name)}: ${note}`);
    if (!isWholeList) {
      checkShards(files, name);
      options.onNote?.(
        `dataset ${describeName(name)}: its copy is not ours, and says not what the dataset has; what is here of it is used: ${plural(files.length, "file")}`,
      );
    }
    await bring(files);
    return files.map((file) => join(folder, file));
  });
}
