/**
 * Texts that look like a document and are none: what a score that means dependency must put below whole documents
 * (near, glued, foreign), must not reward (repeated), or may not tell apart (shuffled).
 */
export const CONTROLS = ["near", "glued", "shuffled", "repeated", "foreign"] as const;
export type Control = (typeof CONTROLS)[number];
