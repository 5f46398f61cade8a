export { type Code, type CodePart, highlight, type Highlighter } from './highlight.js';
export type { Formula } from './formula-nodes.js';
export { FORMULA_LENGTH_MAX } from './formulas.js';
export { mend } from './mend.js';
export { MARKS_MAX, NESTING_MAX, parse, toHtml } from './parse.js';
export { type Reading, StreamMarkdown } from './stream-markdown.js';
