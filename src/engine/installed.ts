import { UserError } from "../core/errors.js";
import { installCommand } from "../core/installation.js";

const ENGINE = "onnxruntime-node";

/** Its installer downloads GPU libraries unless this says no. */
export const SKIP_GPU_LIBRARIES = "ONNXRUNTIME_NODE_INSTALL=skip";

/** @throws UserError `engine-missing`, before any work is begun */
export function requireEngine(): void {
  try {
    import.meta.resolve(ENGINE);
  } catch {
    throw engineMissing();
  }
}

export function engineMissing(): UserError {
  return new UserError({
    code: "engine-missing",
    what: `${ENGINE}, which runs models, is not installed`,
    fix: `Its installer downloads GPU libraries, which fails on a closed network. Without them: ${installCommand(ENGINE, SKIP_GPU_LIBRARIES)}`,
  });
}
