import type { Family } from "./family.js";
import { gemma2, gemma3 } from "./gemma.js";
import { gptNeox } from "./gpt-neox.js";
import { granite } from "./granite.js";
import { llama } from "./llama.js";
import { mistral } from "./mistral.js";
import { olmo2, olmo3 } from "./olmo2.js";
import { phi3 } from "./phi3.js";
import { qwen2, qwen3 } from "./qwen.js";
import { smollm3 } from "./smollm3.js";
import { starcoder2 } from "./starcoder2.js";

/** Every family that is built here. */
export const FAMILIES: readonly Family[] = [
  llama,
  mistral,
  qwen2,
  qwen3,
  gemma2,
  gemma3,
  smollm3,
  olmo2,
  olmo3,
  phi3,
  granite,
  starcoder2,
  gptNeox,
];

export const MODEL_TYPES: readonly string[] = FAMILIES.flatMap(({ modelTypes }) => modelTypes);
