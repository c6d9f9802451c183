/** What the parent tells the tokenizer's process. */
export type Request =
  | {
      readonly kind: "load";
      /** UTF-8 of a `tokenizer.json`. */
      readonly json: Uint8Array;
    }
  | { readonly kind: "encode"; readonly texts: readonly string[]; readonly addSpecialTokens: boolean };

export type Reply =
  | { readonly kind: "loaded" }
  | {
      readonly kind: "encoded";
      /** Ids of all texts, one after another: many small arrays would be slow to send. */
      readonly ids: Int32Array;
      /** Tokens of each text. */
      readonly lengths: Int32Array;
    };
