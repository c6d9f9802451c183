import { formatCount, formatRanges, plural } from "../core/units.js";
import type { Calibration } from "../formats/calibration.js";
import type { CalibrationReport, TriedRecipe } from "../formats/calibration-report.js";
import { formatDecimal, formatEstimate } from "./numbers.js";
import { describePlans } from "./plans.js";
import { formatTable } from "./tables.js";
import { printable } from "./text.js";

const RECIPES_SHOWN = 5;

/**
 * What a calibration found, in plain text: what was chosen, how well the choosing does on texts it did not see, and
 * what a shorter pass would lose.
 */
export function describeCalibrationReport(
  report: CalibrationReport,
  out: string,
  figures: readonly string[] = [],
): string {
  const { calibration, chosen, measured, gained, agreement, halves, plans } = report;
  const beats = calibration !== null;
  return [
    beats ? chosenLines(calibration, chosen) : nothingBetter(report),
    "",
    "Chance that a whole document scores above a text of its group, on texts that neither the choice nor the fit saw:",
    "",
    measuredTable(measured),
    "",
    `Better than the published score by ${formatEstimate(gained.overPublished)}, than the lexical one by ${formatEstimate(gained.overLexical)} (mean of near and glued).`,
    beats && (gained.overLexical?.low ?? 0) <= 0
      ? "The lexical score, which needs no model, is as good within noise: score with --model lexical at a thousandth of the cost."
      : "",
    `Chosen without a fold, the recipe is the same in ${agreement.sameRecipe} of ${plural(agreement.folds, "fold")}.`,
    halves === null
      ? ""
      : `Two fits on half of the texts each rank the whole documents alike: Spearman ${formatDecimal(halves)}.`,
    "",
    ...(plans === undefined ? [] : [describePlans(plans), ""]),
    "Recipe and last layer were chosen by the figures below, which therefore flatter them; those above do not.",
    "",
    "What a shorter pass would lose:",
    "",
    frontierTable(report),
    "",
    "The best ways to add pair scores up, with all layers:",
    "",
    recipeTable(report.recipes.slice(0, RECIPES_SHOWN)),
    "",
    ...(beats ? [] : [nothingWritten(figures.length > 0 ? "No calibration" : "Nothing")]),
    ...(beats || figures.length > 0 ? [`Written: ${[...(beats ? [out] : []), ...figures].join(", ")}`] : []),
    "",
  ].join("\n");
}

function nothingWritten(what: string): string {
  return `${what} is written: score with the published definition, or with --model lexical.`;
}

function chosenLines(calibration: Calibration, chosen: TriedRecipe): string {
  const { name, weights, by, lexical, measured, maxLength } = calibration;
  const layers = formatRanges([...new Set(weights.map(({ layer }) => layer))].sort((a, b) => a - b));
  const heaviest = weights
    .toSorted((a, b) => b.weight - a.weight)
    .slice(0, 8)
    .map(({ layer, head, weight }) => `${head === null ? layer : `${layer}.${head}`} ${(100 * weight).toFixed(0)}%`);
  const words = lexical === null ? [] : [`lexical ${(100 * lexical.weight).toFixed(0)}%`];
  return [
    `${printable(name)}: ${describeRecipe(chosen)}, ${by === "head" ? `${plural(weights.length, "head")} of ` : ""}layers ${layers} (window ${formatCount(maxLength)} tokens)`,
    `weights: ${[...heaviest, ...words].join(", ")}${weights.length > 8 ? ", …" : ""}`,
    `from ${plural(measured.documents, "whole document")} and ${formatCount(measured.texts - measured.documents)} controls, ${measured.folds} folds`,
  ].join("\n");
}

function nothingBetter({ chosen, gained }: CalibrationReport): string {
  const beaten = (gained.overPublished?.low ?? 0) > 0;
  const finding = beaten
    ? "Only the lexical score beats the published one beyond noise; no layer adds to it."
    : "Nothing beats the published score beyond noise.";
  return `${finding} The best found: ${describeRecipe(chosen)}, layers up to ${chosen.lastLayer}.`;
}

function describeRecipe({ aggregation, lexical }: TriedRecipe): string {
  const { over, std, distance, withoutSink } = aggregation;
  return [
    `${over} over key spans`,
    ...(std ? ["times the deviation"] : []),
    ...(distance ? ["weighted with distance"] : []),
    ...(withoutSink ? ["without the sink span"] : []),
    ...(lexical === null ? [] : [`with the lexical ${lexical}`]),
  ].join(", ");
}

function measuredTable(measured: Calibration["measured"]): string {
  const { near, glued, publishedNear, publishedGlued, lexicalNear, lexicalGlued } = measured;
  return formatTable(
    [{ title: "score" }, { title: "glued", align: "right" }, { title: "near", align: "right" }],
    [
      ["calibrated", formatEstimate(glued), formatEstimate(near)],
      ["published", formatEstimate(publishedGlued), formatEstimate(publishedNear)],
      ["lexical", formatEstimate(lexicalGlued), formatEstimate(lexicalNear)],
    ],
  );
}

function frontierTable({ frontier, layerCount, chosen }: CalibrationReport): string {
  const rows = frontier.map(({ lastLayer, glued, near }) => [
    `${lastLayer}${lastLayer === chosen.lastLayer ? " *" : ""}`,
    `${((100 * (lastLayer + 1)) / layerCount).toFixed(0)}%`,
    formatDecimal(glued),
    formatDecimal(near),
  ]);
  const right = (title: string) => ({ title, align: "right" }) as const;
  return formatTable([{ title: "last layer" }, right("cost"), right("glued"), right("near")], rows);
}

function recipeTable(recipes: readonly TriedRecipe[]): string {
  const rows = recipes.map((recipe) => [
    describeRecipe(recipe),
    formatDecimal(recipe.glued),
    formatDecimal(recipe.near),
  ]);
  return formatTable(
    [{ title: "recipe" }, { title: "glued", align: "right" }, { title: "near", align: "right" }],
    rows,
  );
}
