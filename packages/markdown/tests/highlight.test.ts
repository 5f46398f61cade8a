import { common, createLowlight } from 'lowlight';
import { expect, it } from 'vitest';

import { type CodePart, highlight } from '../src/index.js';

const lowlight = createLowlight(common);
const lines = Array.from({ length: 300 }, (_, line) => `const a${line} = "${line}"; // why`);
const codeOf = (count: number) => lines.slice(0, count).join('\n');
const textOf = (parts: readonly CodePart[]) => parts.map(({ text }) => text).join('');

it('highlights anew only the last part of code that is written', () => {
  const code = { language: 'js', isStreaming: true };
  const before = highlight(lowlight, { ...code, code: codeOf(250) }, []);
  const after = highlight(lowlight, { ...code, code: codeOf(300) }, before);
  expect(before.length).toBeGreaterThan(2);
  before.slice(0, -1).forEach((part, index) => expect(after[index]).toBe(part));
  expect(textOf(after)).toBe(codeOf(300));
});

it('highlights finished code in one piece', () => {
  const code = { language: 'js', code: codeOf(300), isStreaming: false };
  expect(highlight(lowlight, code, [])).toEqual([
    { text: codeOf(300), content: lowlight.highlight('js', codeOf(300)).children },
  ]);
});

it('leaves code of a language that nobody knows as it stands', () => {
  const code = { language: 'klingon', code: 'Qapla’ <b>', isStreaming: false };
  const plain = [{ text: code.code, content: [{ type: 'text', value: code.code }] }];
  expect(highlight(lowlight, code, [])).toEqual(plain);
  expect(highlight(null, { ...code, language: 'js' }, [])).toEqual(plain);
});
