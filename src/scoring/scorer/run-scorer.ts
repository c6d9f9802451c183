import type { PassPlan } from "../../core/plan.js";
import type { Tokenizer } from "../../corpus/tokenizer.js";
import type { CalibrationChoice } from "./calibrations.js";
import type { PlainScore } from "./choose-score.js";
import type { Outcome } from "./outcome.js";

/** The data of a run, for a scorer that learns from it. */
export interface LearningSource {
  readonly data: readonly string[];
  readonly textColumn: string;
  readonly idColumn: string;
  readonly metaColumns: readonly string[];
  /** Rows of all data files together. */
  readonly rows: number;
  /** Fingerprint of the run that goes on; null for a new one. */
  readonly begunWith: string | null;
  readonly signal: AbortSignal | undefined;
}

/** What a run asks of whatever makes its scores: a checkpoint, or the text alone. */
export interface RunScorer {
  /** `model_type` of a checkpoint, or `lexical`. */
  readonly family: string;
  /** The pass runs in ONNX Runtime, whose version then matters. */
  readonly usesEngine: boolean;
  /** Token ids are below it. */
  readonly vocabSize: number;
  /** Tokens of the window. */
  readonly maxLength: number;
  /** Layers listened to, ascending, and how many there are. */
  readonly layers: readonly number[];
  readonly layerCount: number;
  /** Layers that see a sample whole, ascending: the others cannot look far. */
  readonly farLayers: readonly number[];
  readonly threads: number;
  /** How its passes are made; the exact one where it makes none. */
  readonly plan: PassPlan;
  /** What its pair scores add up, and how they become a score where there is no calibration. */
  readonly basis: PlainScore;
  /** Absent where there can be none. */
  readonly calibration?: CalibrationChoice;
  /** Tokens of the shortest sample that has a query span. */
  readonly minimumLength: number;
  /** Samples that may be asked for at once. */
  readonly samplesAtOnce: number;
  /** Bytes that scoring one whole window takes; null where the window hardly matters. */
  readonly memoryBytes: number | null;
  /** SHA-256 of all that scores come from; null until `learn` where the data has a part in it. */
  fingerprint(): Promise<string | null>;
  /** Null where there is none: rows then bring their ids. */
  openTokenizer(): Promise<Tokenizer | null>;
  /**
   * Takes what it needs of the data from the run folder, or from the data; nothing for a checkpoint.
   * @throws UserError when what is there is damaged; the signal's reason
   */
  learn(out: string, source: LearningSource): Promise<void>;
  /** Writes what it learned into the run folder, where it is not there yet. @throws UserError `cannot-write` */
  keep(out: string): Promise<void>;
  /** Before the first sample. */
  start(): Promise<void>;
  /** A failure of the sample is an outcome; what would fail every other sample too is thrown. */
  scoreTokens<Input>(sample: Input, tokenIds: Int32Array): Promise<Outcome<Input>>;
  /** Samples that are being scored fail. */
  close(): Promise<void>;
}
