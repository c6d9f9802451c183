/**
 * Rows of a higher redundancy cannot be selected unless asked for: half of a text that says everything twice is said
 * again, and of a hundred real windows of 8,192 tokens one lies above (docs/decisions/0009).
 */
export const DEFAULT_MAX_REDUNDANCY = 0.4;
