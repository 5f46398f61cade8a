import fc from 'fast-check';

/** What answers are made of, and what parsers stumble over. */
const FRAGMENTS = [
  'Some **bold** and *thin* text with `code`, a [link](https://example.org/a_b) and ~~more~~.',
  'Two lines\nof one paragraph',
  'Hard  \nbreak',
  '# Title',
  '### Title with `code`',
  'Underlined\n===',
  'Underlined\n---',
  '---',
  '***',
  '- one\n- two\n- three',
  '- one\n\n- two, loose',
  '- one\n\n\n  still one\n- two',
  '- a\n  - b\n    - c\n  - d\n- e',
  '- a\n  - b\n\n- c',
  '* star\n+ plus\n- minus',
  '1. first\n2. second',
  '7. seventh\n\n   with a paragraph\n8. eighth',
  '1. Do this:\n\n   ```sh\n   npm test\n\n   npm start\n   ```\n\n2. Then that.',
  '- [ ] to do\n- [x] done',
  '-\n- after an empty item',
  '> quoted\n> text\nlazy',
  '> - quoted list\n>\n> > nested',
  '```ts\nconst a = 1;\n\nconst b = `${a}`;\n```',
  '~~~\nplain\n```\nstill code\n~~~',
  '```\nnever closed',
  '````md\n```js\nnested\n```\n````',
  '    indented code\n\n    goes on',
  '| a | b |\n|---|:-:|\n| 1 | 2 |\n| `x` | **y** |',
  'text before\n| a |\n|---|\n| 1 |',
  '| not a table |',
  '<div>raw <b>html</b>\n\nafter</div>',
  '<!-- a comment\n\nover a blank line -->',
  '![picture](https://example.org/p.png "title") and <https://example.org>',
  'www.example.org and mail@example.org',
  '[ref][1] and [1]',
  '[1]: https://example.org/ref "title"',
  '[2]: https://example.org/two\n"not on one line',
  'a footnote[^n]',
  '[^n]: the note\n\n    goes on',
  '\\*escaped\\* &amp; &copy; *un*closed **and `more',
  'Füchse 🦊 und 誰も見ていない',
  '  - indented item\n   1. other',
  '#not a title',
  '1) one\n2) two',
  '- a\n---\n- b',
  '\ttab\n- \ttab',
  '**Term:** and its meaning',
  '__Term__\n\n\n\nafter many lines',
];

/** Mathematics, and what only looks like it, in the midst of what parsers stumble over. */
export const MATHEMATICS = [
  'so $a_1 * b_1$ is \\(c_2 * d_2\\), and $x$.',
  'it costs $5 and $10, or 5$ and 10$',
  '$$x^2$$',
  '$$\nx = \\frac{a}{b}\n- c\n= d\n# e\n$$',
  '\\[\nx\n=\ny\n\\]\nand on',
  '\\[ x * y \\] then *z*',
  '\\[1\\] A title, *2020*',
  '$$ never closed\n- item\n# title',
  'open \\( here\n# title',
  '- item $$\n  a\n- b $$\n- c',
  '1. one\n   \\[\n   x\n   \\]\n2. two',
  '> $$\n> x\n> $$\n> quoted',
  '`$a$` and $`b$` and ``\\(c``',
  '```\n$$\nx\n```',
  '- ```\n  $x$\n- $y$',
  '    $$\n    code $x$',
  '| $a|b$ | c |\n|---|---|\n| 1 | \\(x|y\\) |',
  '[$a$](https://example.org/$b$ "$c$") ![$d$](https://example.org/e)',
  '<b title="$x$">$y$</b>',
  '**$x$**, *is* \\$5 and $\\text{a \\$ b}$',
  'private \uf5a4x\uf5a4 \uf624y\uf6a4',
];

const SEPARATORS = ['\n\n', '\n', '\n\n\n', '\n \n', ' ', '\n  ', '\n    ', '\r\n\r\n', ''];

/** Documents of any fragments, however they are put together. */
export const documents = documentsOf(FRAGMENTS);

export const mathematicalDocuments = documentsOf([...FRAGMENTS, ...MATHEMATICS, ...MATHEMATICS]);

function documentsOf(fragments: string[]): fc.Arbitrary<string> {
  return fc
    .array(fc.tuple(fc.constantFrom(...fragments), fc.constantFrom(...SEPARATORS)), {
      minLength: 1,
      maxLength: 6,
    })
    .map((parts) => parts.flat().join(''));
}

/** One of everything, in ordinary order. */
export const EVERYTHING = FRAGMENTS.join('\n\n');
export { FRAGMENTS };
