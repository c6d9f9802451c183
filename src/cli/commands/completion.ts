import { buildCommand } from "@stricli/core";
import { COMPLETE } from "../complete.js";
import type { LadmContext } from "../context.js";

const SHELLS = ["bash", "zsh"] as const;
type Shell = (typeof SHELLS)[number];

export const completionCommand = buildCommand<Readonly<Record<never, never>>, [shell: Shell], LadmContext>({
  docs: {
    customUsage: ["bash|zsh"],
    brief: "Print a script that completes commands and flags in the shell",
    fullDescription: `Prints a script that makes bash or zsh complete commands, flags and their values, and files.

EXAMPLE
  source <(ladm completion bash)      # in ~/.bashrc
  source <(ladm completion zsh)       # in ~/.zshrc`,
  },
  parameters: {
    positional: {
      kind: "tuple",
      parameters: [{ parse: parseShell, placeholder: "SHELL", brief: SHELLS.join(" or ") }],
    },
  },
  func(_flags, shell) {
    this.stdout.write(shell === "zsh" ? `autoload -U bashcompinit && bashcompinit\n${SCRIPT}` : SCRIPT);
  },
});

function parseShell(text: string): Shell {
  const shell = SHELLS.find((one) => one === text);
  if (shell === undefined) throw new SyntaxError(`allowed: ${SHELLS.join(", ")}`);
  return shell;
}

/** Where nothing is proposed, the shell completes files. */
const SCRIPT = `_ladm() {
  local IFS=$'\\n'
  COMPREPLY=($(ladm ${COMPLETE} "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _ladm ladm
`;
