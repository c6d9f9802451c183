import { CONTROLS } from "#ladm/core/controls.js";
import { groupBy } from "#ladm/core/group.js";
import { EXACT } from "#ladm/core/plan.js";
import { Random } from "#ladm/core/random.js";
import { bootstrap, rankCorrelation } from "#ladm/core/statistics.js";
import { chanceAbove } from "#ladm/core/trials.js";
import { type Estimate, type Evaluation, evaluationSchema } from "#ladm/formats/evaluation.js";

type Text = Evaluation["texts"][number];
type Kind = Text["kind"];
type Measure = Evaluation["measures"][number];

export interface SampleOptions {
  readonly groups?: readonly string[];
  readonly wholesPerGroup?: number;
  readonly layerCount?: number;
  readonly calibrated?: boolean;
  readonly gains?: boolean;
  readonly seed?: number;
}

const GROUPS = [
  "books",
  "code",
  "forums",
  "law",
  "patents",
  "papers",
  "plays",
  "poems",
  "recipes",
  "rfcs",
  "tables",
  "talks",
  "wiki",
];

/**
 * An evaluation with made-up numbers of a plausible size: good layers in the middle, repeated text above all, lexical
 * hard to beat.
 */
export function makeEvaluation({
  groups = GROUPS,
  wholesPerGroup = 3,
  layerCount = 30,
  calibrated = true,
  gains = true,
  seed = 1,
}: SampleOptions = {}): Evaluation {
  const random = new Random(seed, "evaluation");
  const noise = (size: number) => size * (random.next() + random.next() + random.next() - 1.5);
  const measured: readonly (Pick<Measure, "name" | "kind" | "layer" | "cost"> & { readonly quality: number })[] = [
    { name: "cds", kind: "published", layer: null, cost: 1, quality: 0.35 },
    { name: "no_std", kind: "ablation", layer: null, cost: 1, quality: 0.4 },
    { name: "no_len_weight", kind: "ablation", layer: null, cost: 1, quality: 0.3 },
    ...(calibrated ? [{ name: "calibrated", kind: "calibrated", layer: null, cost: 0.63, quality: 2.2 } as const] : []),
    { name: "lexical", kind: "baseline", layer: null, cost: null, quality: 1.6 },
    { name: "zlib", kind: "baseline", layer: null, cost: null, quality: -0.5 },
    { name: "random", kind: "baseline", layer: null, cost: null, quality: 0 },
    ...Array.from({ length: layerCount }, (_, layer) => ({
      name: `layer ${layer}`,
      kind: "layer" as const,
      layer,
      cost: (layer + 1) / layerCount,
      quality: 2.4 * Math.exp(-(((layer / layerCount - 0.57) / 0.15) ** 2)),
    })),
  ];
  // How much less than a whole document a text of this kind has of what is measured.
  const lacks: Readonly<Record<Kind, number>> = {
    whole: 0,
    near: 0.55,
    glued: 1.3,
    shuffled: -0.2,
    repeated: -4,
    foreign: 0.3,
  };
  const texts = groups.flatMap((group, g) =>
    Array.from({ length: wholesPerGroup }, (_, at) => {
      const row = g * wholesPerGroup + at;
      const dependency = noise(0.6);
      return (["whole", ...CONTROLS] as const).map((kind): Text => {
        const values = measured.map(
          ({ quality, kind: of }) =>
            (of === "baseline" ? 0.1 : 0.002) * (5 + g / 4 + quality * (dependency - lacks[kind]) + noise(1)),
        );
        const redundancy = kind === "repeated" ? 0.87 : 0.02 + 0.1 * random.next();
        const gain = kind === "whole" && gains ? 0.08 + 0.03 * dependency + noise(0.02) : null;
        return { kind, group, source: `${group} ${at % 2}`, row, donors: [row], redundancy, gain, values };
      });
    }).flat(),
  );
  const wholes = texts.filter(({ kind }) => kind === "whole");
  const estimate = <T>(
    items: readonly T[],
    statistic: (sample: readonly T[]) => number | null,
    count: number,
  ): Estimate | null => {
    const interval = bootstrap(items, statistic, { random, repeats: 100 });
    return interval === null ? null : { ...interval, count };
  };
  const measures = measured.map(({ quality: _quality, ...measure }, at): Measure => {
    const numberOf = ({ values }: Text) => values[at] ?? 0;
    const guarded = (text: Text) => ((text.redundancy ?? 0) > 0.4 ? -Infinity : numberOf(text));
    const auc = (kind: Kind, number: (text: Text) => number, within: boolean) => (sample: readonly Text[]) => {
      const rows = new Map(
        [...groupBy(texts, ({ row }) => row)].map(([row, beside]) => [
          row,
          beside.filter((text) => text.kind === kind),
        ]),
      );
      const trials = sample.map((text) => ({
        group: within ? text.group : "",
        whole: number(text),
        controls: (rows.get(text.row) ?? []).map(number),
      }));
      return chanceAbove(trials)?.value ?? null;
    };
    const spearman = (sample: readonly Text[]) =>
      rankCorrelation(
        sample.map(numberOf),
        sample.map(({ gain }) => gain ?? 0),
      );
    return {
      ...measure,
      pairs: measure.kind === "baseline" ? null : "attention",
      against: CONTROLS.map((control) => {
        const within = estimate(wholes, auc(control, numberOf, true), groups.length * wholesPerGroup ** 2);
        return {
          control,
          within,
          withinBySource: within,
          withinByDocument: null,
          overall: estimate(wholes, auc(control, numberOf, false), wholes.length ** 2),
          guarded: estimate(wholes, auc(control, guarded, true), groups.length * wholesPerGroup ** 2),
        };
      }),
      gain: gains ? { overall: estimate(wholes, spearman, wholes.length), within: null } : null,
      offsets: measure.name === "zlib" || measure.name === "random" ? null : 0.9,
    };
  });
  const weights = Array.from(
    { length: layerCount },
    (_, layer) => 0.2 + Math.exp(-(((layer / layerCount - 0.2) / 0.12) ** 2)) * 4,
  );
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const names = measured.filter(({ kind }) => kind !== "layer").map(({ name }) => name);
  return evaluationSchema.parse({
    format: 1,
    model: { name: "model", family: "llama", fingerprint: "0".repeat(64), layerCount },
    calibration: calibrated ? "sample" : null,
    maxLength: 8192,
    segment: 1024,
    seed,
    part: { index: 2, of: 2 },
    files: [{ sizeBytes: 1, sampledSha256: "0".repeat(64) }],
    groupField: "meta.domain",
    sourceField: "meta.source",
    maxRedundancy: 0.4,
    groups: groups.map((name) => ({
      name,
      dividedBy: "source",
      documents: 60,
      fullWindow: 30,
      wholes: wholesPerGroup,
    })),
    measures,
    correlations: { names, values: names.map(() => names.map(() => 1)) },
    layerShares: weights.map((weight) => weight / total),
    secondsPerPass: 42,
    plan: EXACT,
    calibratedPlan: null,
    texts,
  });
}
