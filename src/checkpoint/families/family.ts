import { UserError } from "../../core/errors.js";
import { invalidConfig, isRecord, shown } from "../border.js";
import type { DecoderSpec } from "../spec.js";

export type Json = Readonly<Record<string, unknown>>;

/** What makes a family another model than Llama. */
export interface Family {
  /** As people call it. */
  readonly name: string;
  /** Values of `model_type`. */
  readonly modelTypes: readonly string[];
  /** Fields of `config.json` that it reads itself. Every other field that could mean another model is refused. */
  readonly reads: readonly string[];
  /** Values of absent fields, where its configuration in transformers has others than Llama's. */
  readonly defaults: Json;
  /** Where layers with a window have a rotary embedding of their own: the fields that say which. */
  readonly windowRope?: (json: Json) => Json;
  /** Fields of its `config.json` under other names than Llama's. */
  readonly fields?: Readonly<Record<string, string>>;
  /** What names of its tensors begin with, where it is not `model.`. */
  readonly prefix?: string;
  /** Tensors of old files that follow from the configuration, without the prefix. */
  readonly buffers?: RegExp;
  /** Names of tensors in its files, where they are others than Llama's: parts of a name and what stands for them. */
  readonly names?: readonly (readonly [llama: string, own: string])[];
  /** How it departs from Llama. */
  readonly departures: (given: Given) => Partial<DecoderSpec>;
}

/** A tensor's name in the files of a family, of its name in Llama's. */
export function ownName({ names = [] }: Family, name: string): string {
  const found = names.find(([llama]) => name.startsWith(llama) || name.includes(`.${llama}`));
  return found === undefined ? name : name.replace(found[0], found[1]);
}

/** A checked `config.json`, for a family to read more of. */
export class Given {
  constructor(
    private readonly json: Json,
    private readonly where: string,
    /** What every family has. */
    readonly base: DecoderSpec,
  ) {}

  /** A number above 0; null where it is absent or null. */
  positive(field: string): number | null {
    const value = this.json[field];
    if (value === undefined || value === null) return null;
    if (typeof value === "number" && value > 0 && value <= 1e6) return value;
    throw this.invalid(field, shown(value), "a number above 0, up to 1,000,000, or null");
  }

  /** A whole number above 0; null where it is absent or null. */
  count(field: string): number | null {
    const value = this.positive(field);
    if (value === null || Number.isInteger(value)) return value;
    throw this.invalid(field, shown(value), "a whole number above 0, or null");
  }

  isOn(field: string): boolean {
    const value = this.json[field];
    if (value === undefined || value === null || typeof value === "boolean") return value === true;
    throw this.invalid(field, shown(value), "true or false");
  }

  /** One of `allowed`; null where it is absent or null. @throws UserError `config-unsupported` */
  name<Name extends string>(field: string, allowed: readonly Name[]): Name | null {
    const value = this.json[field];
    if (value === undefined || value === null) return null;
    const found = allowed.find((name) => name === value);
    if (found === undefined) throw this.unsupported(field, shown(value), allowed.join(", "));
    return found;
  }

  /** The first values of a head that are rotated. @throws UserError `config-invalid` */
  rotaryPart(usual = 1): number {
    const field = "partial_rotary_factor";
    const places = [this.json.rope_scaling, this.json.rope_parameters, this.json].filter(isRecord);
    const share = places.map((place) => place[field]).find((value) => value !== undefined && value !== null) ?? usual;
    const { headDim } = this.base;
    const part = typeof share === "number" ? Math.trunc(headDim * share) : Number.NaN;
    if (part >= 2 && part <= headDim && part % 2 === 0) return part;
    throw this.invalid(field, shown(share), `a share of head_dim, ${headDim}, that is an even number`);
  }

  /**
   * The windows of layers: `layer_types` where they are given, else what `isSliding` says. The window itself is
   * `sliding_window`.
   * @returns nothing where no layer has one
   */
  windows(isSliding: (layer: number) => boolean): Pick<DecoderSpec, "layerWindows"> {
    const { layerCount } = this.base;
    const types = this.json.layer_types;
    const window = this.count("sliding_window");
    const sliding = Array.from({ length: layerCount }, (_, layer) => isSliding(layer));
    const isWindowed = types === undefined || types === null ? sliding : this.layerTypes(types);
    if (!isWindowed.some(Boolean)) return {};
    if (window === null)
      throw this.invalid("sliding_window", "null", "the window of the layers with sliding_attention");
    return { layerWindows: isWindowed.map((has) => (has ? window : null)) };
  }

  private layerTypes(types: unknown): readonly boolean[] {
    const { layerCount } = this.base;
    if (!Array.isArray(types) || types.length < layerCount)
      throw this.invalid("layer_types", shown(types), `a list of ${layerCount} names`);
    return types.slice(0, layerCount).map((type: unknown) => {
      if (type === "full_attention" || type === "sliding_attention") return type === "sliding_attention";
      throw this.unsupported("layer_types", shown(type), "full_attention, sliding_attention");
    });
  }

  /** A list of `layerCount` values 0 or 1; null where it is absent or null. */
  switches(field: string): readonly boolean[] | null {
    const value = this.json[field];
    if (value === undefined || value === null) return null;
    const { layerCount } = this.base;
    if (Array.isArray(value) && value.length >= layerCount && value.every((one) => one === 0 || one === 1))
      return value.slice(0, layerCount).map((one) => one === 1);
    throw this.invalid(field, shown(value), `a list of ${layerCount} numbers, 0 or 1`);
  }

  private invalid(field: string, got: string, allowed: string): UserError {
    return invalidConfig(this.where, `field ${field} cannot be used`, got, allowed);
  }

  private unsupported(field: string, got: string, allowed: string): UserError {
    return new UserError({
      code: "config-unsupported",
      what: `this value of ${field} is not supported`,
      where: this.where,
      got,
      allowed,
      fix: "Use a checkpoint with one of these.",
    });
  }
}
