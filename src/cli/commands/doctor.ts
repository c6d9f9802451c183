import { buildCommand } from "@stricli/core";
import { EXIT } from "../../core/errors.js";
import { jsonLine } from "../../core/printed.js";
import { formatBytes } from "../../core/units.js";
import { endable } from "../abort.js";
import type { LadmContext } from "../context.js";
import type { Fact } from "../facts.js";
import { countFlag, switchFlag, textFlag } from "../flags.js";
import type { NativeLibrary } from "../libraries.js";
import type { Machine } from "../machine.js";
import { EMBEDDED_LINE, embeddedModel, localModel } from "../model.js";

interface DoctorFlags {
  readonly model?: string;
  readonly maxLength?: number;
  readonly json?: boolean;
}

const DEVICES = [
  { name: "CPU", used: true },
  { name: "WebGPU", used: false },
  { name: "CUDA", used: false },
] as const;

export const doctorCommand = buildCommand<DoctorFlags, [], LadmContext>({
  docs: {
    customUsage: ["[--model DIR] [--max-length N]"],
    brief: "Show what this machine offers, and whether a checkpoint fits",
    fullDescription: `Shows what this machine offers (cores, memory, devices, libraries) and whether scoring with a checkpoint would fit.
Exit code 0: all is well; 2: a library does not load, or the checkpoint would not fit or cannot be used.

EXAMPLE
  ladm doctor --model ./checkpoint --max-length 8192`,
  },
  parameters: {
    flags: {
      model: textFlag(
        "DIR",
        "Checkpoint (folder or hub name) to be held against the memory, or lexical; default: the embedded model, lac-tiny",
      ),
      maxLength: countFlag("Window in tokens; by default 32768 or the model's own, whichever is less"),
      json: switchFlag("Print the findings as JSON"),
    },
  },
  async func({ model: asked, maxLength, json }) {
    const model = asked ?? embeddedModel() ?? undefined;
    const { inspectMachine } = await import("../machine.js");
    const { inspectLibraries } = await import("../libraries.js");
    const { describeFacts } = await import("../facts.js");
    const [machine, libraries] = await endable(this, () => Promise.all([inspectMachine(), inspectLibraries()]));
    if (asked === undefined && model !== undefined && json !== true) this.stderr.write(`${EMBEDDED_LINE}\n`);
    if (json !== true) this.stdout.write(describeFacts([...factsOfMachine(machine), ...factsOfLibraries(libraries)]));
    const { LEXICAL } = await import("../../core/lexical.js");
    const { inspectFit, factsOfFit } = await import("../fit.js");
    const { availableBytes } = machine;
    const folder = model === undefined ? undefined : await localModel(model, json === true, this);
    const fit =
      folder === undefined || folder === LEXICAL
        ? null
        : await endable(this, () => inspectFit(folder, { maxLength, availableBytes }));
    if (json === true) this.stdout.write(jsonLine({ machine, devices: DEVICES, libraries, fit }));
    else if (model === LEXICAL) this.stdout.write(`\n${describeFacts([["lexical", "fits: it has no weights"]])}`);
    else if (fit !== null) this.stdout.write(`\n${describeFacts(factsOfFit(fit))}`);
    if (fit?.fits === false || libraries.some(({ loads }) => !loads)) this.process.exitCode = EXIT.user;
  },
});

function factsOfMachine(machine: Machine): readonly Fact[] {
  const { cores, coreLimit, totalBytes, availableBytes, memoryLimitBytes } = machine;
  const limit = memoryLimitBytes === null ? "" : `; the control group allows ${formatBytes(memoryLimitBytes)}`;
  const devices = DEVICES.map(({ name, used }) => (used ? name : `${name} (not used yet)`));
  return [
    ["node", machine.node],
    [
      "system",
      `${machine.platform} ${machine.arch} (${machine.tried ? "tried" : "only expected to work: Linux x64 is tried"})`,
    ],
    ["processor", machine.processor ?? "unknown"],
    ["cores", `${cores}${coreLimit === null ? "" : `; the control group allows ${coreLimit}`}`],
    ["memory", `${formatBytes(totalBytes)}, of it available ${formatBytes(availableBytes)}${limit}`],
    ["devices", devices.join(", ")],
  ];
}

function factsOfLibraries(libraries: readonly NativeLibrary[]): readonly Fact[] {
  return libraries.map(({ name, usedFor, version, loads, reason, install }) => {
    if (loads) return [name, `${version ?? ""}, loads (for ${usedFor})`];
    const found = version === null ? "" : `${version}, does not load: `;
    return [name, `${found}${reason ?? ""} (for ${usedFor}). Install it: ${install ?? ""}`];
  });
}
