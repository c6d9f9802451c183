import { systemCodeOf } from "./errors.js";

/** Is there a process of that number on this machine? Another user's counts. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCodeOf(error) === "EPERM";
  }
}
