import type { Problem } from "../../core/errors.js";
import { createExclusively } from "../../core/exclusive.js";
import type { PairScores } from "../../core/records.js";
import { formatCount } from "../../core/units.js";
import { type Calibration, documentFrequenciesOf } from "../../formats/calibration.js";
import { runFolder } from "../../formats/run-folder.js";
import { calibratedScore, weightedHeads, weightedLayers } from "../../measure/calibrated.js";
import { type DocumentFrequencies, lexicalGrid, lexicalPairScores } from "../../measure/lexical.js";

/** The code of samples that a calibration says nothing about; no fault of the data. */
export const SHORTER_THAN_CALIBRATION = "shorter-than-calibration";

/** A calibration, ready to make scores of pair scores. */
export class CalibratedScorer {
  /** Layers that it needs, ascending. */
  readonly layers: readonly number[];
  /** Are pair scores needed head by head? */
  readonly needsHeads: boolean;
  /** The heads of each layer that have a weight, ascending; null where layers are weighed. */
  readonly heads: ReadonlyMap<number, readonly number[]> | null;
  private readonly frequencies: DocumentFrequencies | null;

  constructor(private readonly calibration: Calibration) {
    const { lexical } = calibration;
    this.layers = weightedLayers(calibration);
    this.needsHeads = calibration.by === "head";
    this.heads = this.needsHeads ? weightedHeads(calibration) : null;
    this.frequencies = lexical === null ? null : documentFrequenciesOf(lexical);
  }

  /** Why a sample of so many tokens has no calibrated score; null when it can have one. */
  refusal(tokenCount: number): Problem | null {
    const { name, maxLength } = this.calibration;
    if (tokenCount >= maxLength) return null;
    return {
      code: SHORTER_THAN_CALIBRATION,
      what: "The sample is shorter than the window of the calibration",
      got: `${formatCount(tokenCount)} tokens`,
      allowed: `${formatCount(maxLength)} with ${name}`,
    };
  }

  /** Null where pair scores that the calibration needs are missing. */
  score(pairs: PairScores, tokenIds: Int32Array): number | null {
    return calibratedScore(pairs, this.calibration, this.lexicalPairs(pairs, tokenIds));
  }

  private lexicalPairs({ grid }: PairScores, tokenIds: Int32Array): PairScores | null {
    const { frequencies, calibration } = this;
    if (frequencies === null) return null;
    return calibration.lexical?.weighting === undefined
      ? lexicalPairScores(tokenIds, grid, frequencies, "tf-idf")
      : lexicalPairScores(tokenIds, lexicalGrid(tokenIds.length, calibration), frequencies);
  }

  /**
   * Copies the calibration into the run folder, where it is not there yet.
   * @throws the system's error when it cannot be written
   */
  async keep(out: string): Promise<void> {
    await createExclusively(runFolder.calibration(out), `${JSON.stringify(this.calibration)}\n`);
  }
}
