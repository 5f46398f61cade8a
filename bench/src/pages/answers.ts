/** Length of each answer, in UTF-16 units. */
const LENGTH = 20_000;

/** Answers as models write them, and of one thing only. */
export const ANSWERS = {
  mixed: () => upTo(LENGTH, section),
  list: () => upTo(LENGTH, (index) => `${index + 1}. ${ITEM}\n`),
  code: () => `\`\`\`ts\n${upTo(LENGTH - 20, codeLine)}\n\`\`\`\n`,
} as const;

export type AnswerKind = keyof typeof ANSWERS;

const ITEM = '**What it is:** some words with `code`, and a [link](https://example.org/page).';

const PARAGRAPH =
  'A paragraph of some length, with **bold** and *thin* words, with `code` and a ' +
  '[link](https://example.org/page) to elsewhere. It goes on for a while, as answers do, and says ' +
  'little that one would miss. Then it comes to its point, which is that nothing of it may flicker ' +
  'while it is written, and that whoever reads along should not wait for whoever writes.';

const TABLE = [
  '| name | what it does | since |',
  '|---|---|---|',
  ...Array.from({ length: 6 }, (_, row) => `| \`part${row}\` | holds **something** | ${row}.0 |`),
].join('\n');

function section(index: number): string {
  const items = Array.from({ length: 5 }, () => `- ${ITEM}`).join('\n');
  const code = Array.from({ length: 20 }, (_, line) => codeLine(line)).join('');
  return [
    `## Section ${index + 1}`,
    PARAGRAPH,
    items,
    PARAGRAPH,
    `\`\`\`ts\n${code}\`\`\``,
    TABLE,
    '',
  ].join('\n\n');
}

function codeLine(index: number): string {
  return index % 10 === 9
    ? '\n'
    : `  const value${index} = compute(${index}, "text"); // what comes of it\n`;
}

function upTo(length: number, part: (index: number) => string): string {
  let text = '';
  for (let index = 0; text.length < length; index += 1) {
    text += part(index);
  }
  return text.slice(0, length);
}
