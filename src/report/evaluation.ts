import type { Control } from "../core/controls.js";
import { formatCount, formatDuration, plural } from "../core/units.js";
import type { EvaluatedMeasure, Evaluation } from "../formats/evaluation.js";
import { formatDecimal, formatEstimate } from "./numbers.js";
import { type Column, formatTable } from "./tables.js";
import { printable } from "./text.js";
import { advantage } from "./trials.js";

const CONTROLS: readonly Control[] = ["glued", "near", "foreign", "shuffled", "repeated"];
const LAYERS_SHOWN = 3;
/** What two digits do not show is no difference. */
const VISIBLE = 0.005;

type Against = EvaluatedMeasure["against"][number];

/**
 * An evaluation in plain text: what was compared, how well each measure tells whole documents from controls of their
 * group (AUC with its 95% interval), and what follows from it. Of the layers the three best against near texts are
 * shown.
 */
export function describeEvaluation(evaluation: Evaluation): string {
  const measures = shownMeasures(evaluation);
  const controls = CONTROLS.filter((control) => measures.some((measure) => againstOf(measure, control)?.within));
  const changed = controls.filter((control) => measures.some((measure) => guardChanges(againstOf(measure, control))));
  return [
    headline(evaluation),
    "",
    "Chance that a whole document scores above a text of its group (0.5: a coin toss), with its 95% interval:",
    "",
    aucTable(measures, controls, changed),
    ...otherTable(measures),
    "",
    ...conclusions(evaluation, controls, changed),
    "",
  ].join("\n");
}

const right = (title: string): Column => ({ title, align: "right" });

function aucTable(
  measures: readonly EvaluatedMeasure[],
  controls: readonly Control[],
  changed: readonly Control[],
): string {
  const columns = controls.flatMap((control) => [
    right(control),
    ...(changed.includes(control) ? [right("guarded")] : []),
  ]);
  const rows = measures.map((measure) => [
    measure.name,
    ...controls.flatMap((control) => {
      const against = againstOf(measure, control);
      const guarded = changed.includes(control) ? [formatDecimal(against?.guarded?.value ?? null)] : [];
      return [formatEstimate(against?.within ?? null), ...guarded];
    }),
  ]);
  return formatTable([{ title: "measure" }, ...columns], rows);
}

/** Agreement with the gain, stability and cost, as far as they are known. */
function otherTable(measures: readonly EvaluatedMeasure[]): readonly string[] {
  const columns: readonly { readonly title: string; readonly of: (measure: EvaluatedMeasure) => string }[] = [
    { title: "gain", of: ({ gain }) => formatEstimate(gain?.overall ?? null) },
    { title: "gain within group", of: ({ gain }) => formatEstimate(gain?.within ?? null) },
    { title: "other offsets", of: ({ offsets }) => formatDecimal(offsets) },
    { title: "cost", of: ({ cost }) => (cost === null ? "–" : `${(100 * cost).toFixed(0)}%`) },
  ];
  const known = columns.filter(({ of }) => measures.some((measure) => of(measure) !== "–"));
  if (known.length === 0) return [];
  const rows = measures.map((measure) => [measure.name, ...known.map(({ of }) => of(measure))]);
  return [
    "",
    "Spearman with the gain from the long context, and between offsets of the span grid (the lowest); share of a whole pass:",
    "",
    formatTable([{ title: "measure" }, ...known.map(({ title }) => right(title))], rows),
  ];
}

function shownMeasures({ measures }: Evaluation): readonly EvaluatedMeasure[] {
  const near = (measure: EvaluatedMeasure) => againstOf(measure, "near")?.within?.value ?? -1;
  const layers = measures
    .filter((measure) => measure.kind === "layer" && near(measure) >= 0)
    .sort((a, b) => near(b) - near(a));
  const ofKinds = (...kinds: readonly EvaluatedMeasure["kind"][]) =>
    measures.filter(({ kind }) => kinds.includes(kind));
  return [
    ...ofKinds("published", "ablation", "formula"),
    ...layers.slice(0, LAYERS_SHOWN),
    ...ofKinds("calibrated", "baseline"),
  ];
}

function againstOf(measure: EvaluatedMeasure, control: Control): Against | null {
  return measure.against.find((against) => against.control === control) ?? null;
}

function guardChanges(against: Against | null): boolean {
  const [plain, guarded] = [against?.within?.value ?? null, against?.guarded?.value ?? null];
  return plain !== null && guarded !== null && Math.abs(plain - guarded) >= VISIBLE;
}

function headline({ model, calibration, part, groups, maxLength, segment, texts, secondsPerPass }: Evaluation): string {
  const wholes = texts.filter(({ kind }) => kind === "whole").length;
  const used = groups.filter((group) => group.wholes > 0).length;
  const facts = [
    `${plural(wholes, "whole document")} of ${plural(used, "group")} and ${plural(texts.length - wholes, "text")} made beside them`,
    `window of ${formatCount(maxLength)} tokens in pieces of ${formatCount(segment)}`,
    ...(part.of > 1 ? [`part ${part.index} of ${part.of} of the data`] : []),
    calibration === null ? "no calibration" : `calibration ${calibration}`,
    ...(secondsPerPass === null ? [] : [`${formatDuration(1000 * secondsPerPass)} a pass`]),
  ];
  return printable(`${model.name}: ${facts.join(", ")}`);
}

function conclusions(
  evaluation: Evaluation,
  controls: readonly Control[],
  changed: readonly Control[],
): readonly string[] {
  const { measures } = evaluation;
  const own =
    measures.find(({ kind }) => kind === "calibrated") ?? measures.find(({ kind }) => kind === "published") ?? null;
  const title = own?.kind === "calibrated" ? "the calibrated score" : "the published score";
  const lexical = measures.find(({ name }) => name === "lexical") ?? null;
  return [
    ...(own === null ? [] : comparison(evaluation, title, own, "lexical", "the lexical one, which needs no model")),
    ...(own?.kind === "calibrated" ? comparison(evaluation, title, own, "cds", "the published one") : []),
    ...repetition(own === null ? "the lexical score" : title, own ?? lexical, evaluation.maxRedundancy),
    ...(controls.some((control) => control !== "repeated") ? guardElsewhere(changed) : []),
  ];
}

/** Does one measure beat the other? Both are held against the same draws of documents. */
function comparison(
  evaluation: Evaluation,
  title: string,
  { name }: EvaluatedMeasure,
  baseline: string,
  called: string,
): readonly string[] {
  const found = (["glued", "near"] as const).flatMap((control) => {
    const interval = advantage(evaluation, { measure: name, baseline, control });
    return interval === null ? [] : `against ${control} texts ${verdict(interval)} (${signed(interval)})`;
  });
  return found.length === 0
    ? []
    : [`Does ${title} beat ${called}? ${found.join("; ")}.`.replace("? against", "? Against")];
}

function verdict({ low, high }: { readonly low: number; readonly high: number }): string {
  if (low > 0) return "yes";
  return high < 0 ? "no, it is worse" : "within noise";
}

function signed(interval: { readonly value: number; readonly low: number; readonly high: number }): string {
  const text = formatEstimate(interval);
  return text.startsWith("−") ? text : `+${text}`;
}

/** Does a text that says one thing over and over win? */
function repetition(title: string, measure: EvaluatedMeasure | null, limit: number): readonly string[] {
  const repeated = measure === null ? null : againstOf(measure, "repeated");
  if (!repeated?.within) return [];
  const wins = ({ value }: { readonly value: number }) => `${(100 * (1 - value)).toFixed(0)}%`;
  const { within, guarded } = repeated;
  const withGuard = guarded === null ? "" : `, ${wins(guarded)} with it (redundancy above ${limit} ranks last)`;
  const loses = (guarded ?? within).value > 0.5;
  return [
    `By ${title}, repeated text wins ${wins(within)} of its pairs without the guard${withGuard}: ${
      loses ? "whole documents come first" : "it beats whole documents"
    }.`,
  ];
}

function guardElsewhere(changed: readonly Control[]): readonly string[] {
  const others = changed.filter((control) => control !== "repeated");
  return others.length === 0
    ? ["The guard changes nothing for the other texts."]
    : [`The guard also changes the figures for ${others.join(", ")} texts.`];
}
