import { compile } from "html-to-text";

/** Elements nested deeper are left out: more is not written by people. */
const MAX_DEPTH = 1000;

const convert = compile({
  wordwrap: false,
  limits: { maxDepth: MAX_DEPTH, maxInputLength: Number.MAX_SAFE_INTEGER },
  selectors: [
    { selector: "a", options: { ignoreHref: true } },
    { selector: "img", format: "skip" },
    { selector: "svg", format: "skip" },
    { selector: "table", format: "dataTable", options: { uppercaseHeaderCells: false } },
    ...["h1", "h2", "h3", "h4", "h5", "h6"].map((selector) => ({ selector, options: { uppercase: false } })),
  ],
});

/** What a reader of the page sees as text: no scripts, styles, addresses of links or pictures. */
export function textOfHtml(html: string): string {
  return convert(html);
}
