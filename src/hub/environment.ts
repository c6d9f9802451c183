import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

/** What the variables of `huggingface_hub` say. */
export interface HubEnvironment {
  /** Without a slash at its end. */
  readonly endpoint: string;
  /** Folder of `models--ORG--NAME`. */
  readonly cacheDirectory: string;
  readonly offline: boolean;
  readonly token: string | null;
  /** Snapshots hold files and no links. */
  readonly withoutLinks: boolean;
}

type Variables = Readonly<Record<string, string | undefined>>;

const ENDPOINT = "https://huggingface.co";

/**
 * Reads them as `huggingface_hub` 2.4 does (`constants.py`, `utils/_auth.py`), old names included; but what is set to
 * nothing counts as not set, and a token file that cannot be read as none.
 */
export async function readHubEnvironment(
  variables: Variables = process.env,
  home: string = homedir(),
): Promise<HubEnvironment> {
  const text = (name: string): string | null => (variables[name] ? (variables[name] ?? null) : null);
  const path = (name: string): string | null => {
    const value = text(name);
    return value === null ? null : expand(value, variables, home);
  };
  const isOn = (name: string) => ["1", "ON", "YES", "TRUE"].includes((text(name) ?? "").toUpperCase());
  const hubHome =
    path("HF_HOME") ?? expand(join(text("XDG_CACHE_HOME") ?? join(home, ".cache"), "huggingface"), variables, home);
  const tokenFile = path("HF_TOKEN_PATH") ?? join(hubHome, "token");
  return {
    endpoint: (text("HF_ENDPOINT") ?? ENDPOINT).replace(/\/+$/, ""),
    cacheDirectory: path("HF_HUB_CACHE") ?? path("HUGGINGFACE_HUB_CACHE") ?? join(hubHome, "hub"),
    offline: isOn(text("HF_HUB_OFFLINE") === null ? "TRANSFORMERS_OFFLINE" : "HF_HUB_OFFLINE"),
    token: isOn("HF_HUB_DISABLE_IMPLICIT_TOKEN")
      ? null
      : (cleanToken(text("HF_TOKEN") ?? text("HUGGING_FACE_HUB_TOKEN")) ?? (await readToken(tokenFile))),
    withoutLinks: isOn("HF_HUB_DISABLE_SYMLINKS"),
  };
}

/** `~`, `$NAME` and `${NAME}`, as in Python; a name that is not set stays as it is. */
function expand(path: string, variables: Variables, home: string): string {
  return path
    .replace(/^~(?=$|[\\/])/, () => home)
    .replace(/\$(?:(\w+)|\{([^}]*)\})/g, (whole, plain: string | undefined, braced: string | undefined) => {
      return variables[plain ?? braced ?? ""] ?? whole;
    });
}

async function readToken(path: string): Promise<string | null> {
  return cleanToken(await readFile(path, "utf8").catch(() => null));
}

function cleanToken(token: string | null): string | null {
  const cleaned = token?.replaceAll(/[\r\n]/g, "").trim() ?? "";
  return cleaned === "" ? null : cleaned;
}
