/** `−0.24`; a dash where there is none. */
export function formatDecimal(value: number | null): string {
  return value === null
    ? "–"
    : value
        .toFixed(2)
        .replace(/^-(?!0\.00$)/, "−")
        .replace("-", "");
}

/** `0.85 [0.79, 0.91]`; a dash where there is none. */
export function formatEstimate(
  estimate: { readonly value: number; readonly low: number; readonly high: number } | null,
): string {
  if (estimate === null) return "–";
  const { value, low, high } = estimate;
  return `${formatDecimal(value)} [${formatDecimal(low)}, ${formatDecimal(high)}]`;
}
