import fc from 'fast-check';
import type { Nodes, RootContent } from 'mdast';
import { describe, expect, it } from 'vitest';

import { parse, type Reading, StreamMarkdown } from '../src/index.js';
import { EVERYTHING, FRAGMENTS, mathematicalDocuments, MATHEMATICS } from './support/documents.js';

/** What a document is, wherever it stands: whether a list is loose is said in either of two places. */
function plain(node: Nodes): unknown {
  const rest = { ...node, position: undefined };
  const children = 'children' in node ? { children: node.children.map(plain) } : {};
  const isLoose =
    node.type === 'list' && (node.spread === true || node.children.some((item) => item.spread));
  return { ...rest, ...children, ...(node.type === 'list' ? { spread: isLoose } : {}) };
}

function blocksOf(reading: Reading): unknown[] {
  const blocks: readonly RootContent[] =
    reading.kind === 'whole' ? reading.document.children : reading.blocks;
  return blocks.map(plain);
}

function inOneParse(text: string): unknown[] {
  return parse(text).children.map(plain);
}

// They parse some ten thousand documents.
describe('the text of a stream', { timeout: 120_000 }, () => {
  it('reads in the end as it would at once, wherever it was cut', () => {
    for (const text of [...FRAGMENTS, ...MATHEMATICS].flatMap((one) => [
      one,
      `Before\n\n${one}\n\nAfter\n`,
    ])) {
      const atOnce = inOneParse(text);
      for (let cut = 0; cut <= text.length; cut += 1) {
        const markdown = new StreamMarkdown();
        markdown.read(text.slice(0, cut), true);
        // It seemed to be finished, and goes on: a formula that was open then may close now.
        markdown.read(text.slice(0, cut), false);
        markdown.read(text, true);
        expect(blocksOf(markdown.read(text, false)), text.slice(0, cut)).toEqual(atOnce);
      }
    }
  });

  it('does so unit by unit, too', () => {
    for (const text of [...FRAGMENTS, ...MATHEMATICS, EVERYTHING.slice(0, 1_500)]) {
      const markdown = new StreamMarkdown();
      for (let length = 0; length <= text.length; length += 1) {
        markdown.read(text.slice(0, length), true);
      }
      expect(blocksOf(markdown.read(text, false)), text).toEqual(inOneParse(text));
    }
  });

  it('does so whatever it is put together of, in pieces of any length', () => {
    const pieces = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(mathematicalDocuments, pieces, (text, lengths) => {
        const markdown = new StreamMarkdown();
        let length = 0;
        for (let turn = 0; length < text.length; turn += 1) {
          length += lengths[turn % lengths.length]!;
          markdown.read(text.slice(0, length), true);
        }
        expect(blocksOf(markdown.read(text, false))).toEqual(inOneParse(text));
      }),
      { seed: 5, numRuns: Number(process.env.PROPERTY_RUNS ?? 400) },
    );
  });
});
