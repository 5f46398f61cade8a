import type { Element, Root as Html, RootContent as HtmlContent, Text as HtmlText } from 'hast';
import type { Root, Text } from 'mdast';
import remarkGfm from 'remark-gfm';
import remarkParse from 'remark-parse';
import remarkRehype from 'remark-rehype';
import { unified } from 'unified';
import { type Formula, withFormulas } from './formula-nodes.js';
import { mask, NOTHING_MASKED } from './formulas.js';

const parser = unified().use(remarkParse).use(remarkGfm).freeze();
// Raw HTML comes through, so that it can be shown as what it is: text.
const renderer = unified()
  .use(remarkRehype, { allowDangerousHtml: true, handlers: { formula: elementOf } })
  .freeze();

/** Quotes and lists that one line may be in. More are nobody's meaning, and end the parser's stack. */
export const NESTING_MAX = 200;

const TOO_DEEP = new RegExp(
  String.raw`^(?:[ \t]*(?:>|[-+*](?=[ \t])|\d{1,9}[.)](?=[ \t]))){${NESTING_MAX + 1}}`,
  'm',
);

/**
 * Marks of emphasis in one paragraph. The parser compares each with all others, so that twice as many
 * take four times as long, and in the end its stack.
 */
export const MARKS_MAX = 1_000;

/** Reads a text as Markdown; one that is nested or marked without an end is a paragraph as it stands. */
export function parse(text: string): Root {
  return parseMasked(mask(text, NOTHING_MASKED, false).text);
}

/** The same, of a text whose formulas are masked. */
export function parseMasked(text: string): Root {
  const isEndless = TOO_DEEP.test(text) || hasTooManyMarks(text);
  return withFormulas(isEndless ? asItStands(text) : parser.parse(text), text);
}

function hasTooManyMarks(text: string): boolean {
  if (text.length <= MARKS_MAX) {
    return false;
  }
  let [marks, fence] = [0, ''];
  for (const line of text.split('\n')) {
    const opening = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1] ?? '';
    if (fence !== '') {
      // Within code they mean nothing.
      fence = opening.startsWith(fence) ? '' : fence;
      continue;
    }
    fence = opening;
    marks = line.trim() === '' ? 0 : marks + (line.match(/[*_~]/g)?.length ?? 0);
    if (marks > MARKS_MAX) {
      return true;
    }
  }
  return false;
}

function asItStands(text: string): Root {
  const start = { line: 1, column: 1, offset: 0 };
  const end = { line: 1, column: text.length + 1, offset: text.length };
  const children: Text[] = [{ type: 'text', value: text }];
  return { type: 'root', children: [{ type: 'paragraph', children, position: { start, end } }] };
}

/** A formula, for the component that shows it. */
function elementOf(_: unknown, { value, isDisplay }: Formula): Element {
  const children: HtmlText[] = [{ type: 'text', value }];
  return {
    type: 'element',
    tagName: 'formula',
    properties: { display: isDisplay ? 'block' : 'inline' },
    children,
  };
}

/** What the page shows of a document: elements and text, and nothing that a text brought along. */
export function toHtml(document: Root): Html {
  const html = renderer.runSync(document);
  return { ...html, children: withoutLines(html.children).map(shown) };
}

function shown<Content extends HtmlContent>(node: Content): Content {
  if (node.type === 'raw') {
    return { type: 'text', value: node.value } as Content;
  }
  if (node.type !== 'element') {
    return node;
  }
  const children = LISTS.has(node.tagName) ? withoutLines(node.children) : node.children;
  return { ...node, children: children.map(shown) };
}

const LISTS = new Set(['ol', 'ul']);

/** Lines between blocks and items show nothing, and what is rendered by itself has none. */
function withoutLines<Content extends HtmlContent>(children: Content[]): Content[] {
  return children.filter((child) => child.type !== 'text' || child.value !== '\n');
}
