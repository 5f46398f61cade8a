import type { Nodes } from 'mdast';
import { describe, expect, it } from 'vitest';

import { FORMULA_LENGTH_MAX, parse, StreamMarkdown } from '../src/index.js';

/** The formulas of a text, those on lines of their own in brackets. */
function formulasOf(node: Nodes): string[] {
  if (node.type === 'formula') {
    return [node.isDisplay ? `[${node.value}]` : node.value];
  }
  return 'children' in node ? node.children.flatMap(formulasOf) : [];
}

const read = (text: string) => formulasOf(parse(text));

// All of it was shown raw, with its stars and underscores taken for Markdown's.
describe('mathematics', () => {
  it.each([
    ['so $a_1 * b_1 * c$ it is', ['a_1 * b_1 * c']],
    ['$x$, ($y$), „$z$“ and **$w$**', ['x', 'y', 'z', 'w']],
    ['so \\(a_1\\) and \\(b * c * d\\).', ['a_1', 'b * c * d']],
    ['$$x^2$$', ['[x^2]']],
    ['is $$ x = 1 $$ here', ['[x = 1]']],
    ['$$\nx\n= y\n- z\n# w\n$$', ['[x\n= y\n- z\n# w]']],
    ['\\[\nx\n=\ny\n\\]', ['[x\n=\ny]']],
    ['- so:\n  \\[\n  x\n  \\]\n- and $y$', ['[x]', 'y']],
    ['> $$\n> x\n> $$', ['[x]']],
    ['| $a|b$ | c |\n|---|---|\n| $d$ | 2 |', ['a|b', 'd']],
    ['# Of $n$', ['n']],
    ['$2 \\times 3 = 6$ and $\\text{a \\$ b}$', ['2 \\times 3 = 6', '\\text{a \\$ b}']],
  ])('is found in %j', (text, formulas) => {
    expect(read(text)).toEqual(formulas);
  });

  it.each([
    'It costs $5 and $10.',
    'from $5-$10, US$5 or A$ and B$',
    'I have $20 (or 20$), she has $5/month or 10$',
    '$5 million here and 6$ there',
    'set $HOME and $PATH, or $HOME:$PATH',
    'restaurants: $, $$ or $$$',
    'escaped \\$x\\$ and \\\\(x\\\\)',
    '`$x$` and ``$$y$$``',
    '```sh\necho $A $B$\n```',
    '    echo $x$',
    '\\[1\\] A title, 2020',
    'f\\(x\\) [a](https://example.org/$x$ "$y$")',
    '$$ before a blank line\n\nis open $$',
    '$$$$ and \\(\\)',
  ])('is not found in %j', (text) => {
    expect(read(text)).toEqual([]);
  });

  it('leaves everything else as it is written', () => {
    const text = 'private \uf5a4 [a$b$](https://e.org/$x$ "$t$")\n\n```\n$$\n```\n\n    $y$';
    expect(JSON.stringify(parse(text))).not.toMatch(/[\uf580-\uf6ff]/);
    expect(JSON.stringify(parse(text))).toContain('https://e.org/$x$');
  });

  it('is one formula up to the longest that it may be', () => {
    const within = 'x'.repeat(FORMULA_LENGTH_MAX - 3);
    expect(read(`$$${within}$$`)).toHaveLength(1);
    expect(read(`$$${within}x$$`)).toHaveLength(0);
  });
});

describe('mathematics of a stream', () => {
  it('is read on from where it was, however long the text', () => {
    const paragraph = 'A paragraph with $x_1$ in it.\n\n';
    const markdown = new StreamMarkdown();
    const first = markdown.read(paragraph.repeat(50), true);
    const second = markdown.read(`${paragraph.repeat(50)}$$ y`, true);
    if (first.kind !== 'blocks' || second.kind !== 'blocks') {
      throw new Error('The text of a stream is read in blocks.');
    }
    expect(second.blocks.slice(0, 49)).toEqual(first.blocks.slice(0, 49));
    second.blocks.slice(0, 49).forEach((block, index) => expect(block).toBe(first.blocks[index]));
  });
});
