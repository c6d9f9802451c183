/** The model's name that means no model: the lexical scorer. A folder of that name is `./lexical`. */
export const LEXICAL = "lexical";
