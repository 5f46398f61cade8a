import type { List, Nodes, Root, RootContent } from 'mdast';
import { isClosedFence, openFence } from './fence.js';
import { mend } from './mend.js';
import { mask, type Masked, NOTHING_MASKED } from './formulas.js';
import { parseMasked } from './parse.js';

/** What there is to show of a text. */
export type Reading =
  | { kind: 'whole'; document: Root }
  /** From the block `settled` on they may still change; those before are the same objects again. */
  | { kind: 'blocks'; blocks: readonly RootContent[]; settled: number };

/** As far as a text's blocks cannot change any more, whatever is written next. */
interface Settled {
  /** Where the rest begins, in UTF-16 units. */
  length: number;
  blocks: readonly RootContent[];
  /** The items of a list that may go on: what is left of the text begins with its next one. */
  list: List | null;
  /** Something refers to what may be anywhere in the text: a link to its address, a footnote. */
  isEntangled: boolean;
}

const NOTHING: Settled = { length: 0, blocks: [], list: null, isEntangled: false };

/**
 * Reads the text of a stream, and parses of it only what may still change: the last block, or of a list
 * the last item. It is a cache: what a text reads as does not depend on what was read before.
 */
export class StreamMarkdown {
  #text = '';
  #masked: Masked = NOTHING_MASKED;
  #settled = NOTHING;
  /** Up to here there is nothing more that could be settled, in UTF-16 units. */
  #searched = 0;
  #hasStreamed = false;
  #latest: { isStreaming: boolean; reading: Reading } | undefined;

  /** The text as far as it has been written; `isStreaming` as long as more of it may come. */
  read(text: string, isStreaming: boolean): Reading {
    if (
      this.#latest === undefined ||
      text !== this.#text ||
      isStreaming !== this.#latest.isStreaming
    ) {
      this.#goOn(text);
      this.#hasStreamed ||= isStreaming;
      this.#latest = { isStreaming, reading: this.#read(isStreaming) };
    }
    return this.#latest.reading;
  }

  /** Goes on where the text went on; any other text is a new one. */
  #goOn(text: string): void {
    if (!text.startsWith(this.#text)) {
      this.#masked = NOTHING_MASKED;
      this.#settled = NOTHING;
      this.#searched = 0;
      this.#hasStreamed = false;
    }
    this.#text = text;
  }

  #read(isStreaming: boolean): Reading {
    const { text, open, masked } = mask(this.#text, this.#masked, isStreaming);
    this.#masked = masked;
    if (!this.#hasStreamed) {
      return { kind: 'whole', document: parseMasked(text) };
    }
    this.#settle(text.slice(0, open));
    const rest = text.slice(this.#settled.length);
    const code = isStreaming ? openFence(rest) : null;
    const last = code === null ? parseMasked(isStreaming ? mend(rest) : rest).children : [code];
    if (!isStreaming && (this.#settled.isEntangled || last.some(isEntangling))) {
      return { kind: 'whole', document: parseMasked(text) };
    }
    const { blocks } = this.#settled;
    return {
      kind: 'blocks',
      blocks: [...blocks, ...continued(this.#settled.list, last)],
      settled: blocks.length,
    };
  }

  #settle(text: string): void {
    const rest = text.slice(this.#settled.length);
    const certain = certainPart(rest);
    if (this.#settled.length + certain.mark <= this.#searched) {
      return;
    }
    this.#searched = this.#settled.length + certain.mark;
    if (openFence(certain.text) === null) {
      this.#settled = settle(this.#settled, certain.text);
    }
  }
}

/**
 * How much of a text says for certain where its blocks begin: all lines but the last, which may
 * become anything, unless it follows a blank line and begins with a letter. `mark` moves only when
 * there is more to be learned.
 */
function certainPart(text: string): { text: string; mark: number } {
  const length = text.lastIndexOf('\n') + 1;
  const isParagraph =
    endsBlank(text.slice(0, length)) && /^(?:\*\*|__)?\p{L}/u.test(text.slice(length, length + 4));
  return isParagraph ? { text, mark: length + 1 } : { text: text.slice(0, length), mark: length };
}

function settle(before: Settled, text: string): Settled {
  const nodes = continued(before.list, parseMasked(text).children);
  const last = nodes.at(-1);
  if (last === undefined) {
    return before;
  }
  const isEntangled = before.isEntangled || nodes.some(isEntangling);
  if (isClosed(last, text)) {
    const blocks = [...before.blocks, ...nodes];
    return { length: before.length + text.length, blocks, list: null, isEntangled };
  }
  const blocks = [...before.blocks, ...nodes.slice(0, -1)];
  if (last.type === 'list' && last.children.length > 1) {
    const length = before.length + lineOf(last.children.at(-1) ?? last, text);
    return { length, blocks, list: { ...last, children: last.children.slice(0, -1) }, isEntangled };
  }
  if (isIndented(last, text) || decidesWhatFollows(nodes.at(-2), text)) {
    return before;
  }
  return { length: before.length + lineOf(last, text), blocks, list: null, isEntangled };
}

/** Below some blocks less can begin than anywhere else: no list with a 2, no empty item. */
function decidesWhatFollows(block: RootContent | undefined, text: string): boolean {
  return block?.type === 'html' || isIndented(block, text);
}

/** Whether it is code by its indentation, which means another thing behind a list than elsewhere. */
function isIndented(block: RootContent | undefined, text: string): boolean {
  return block?.type === 'code' && !/^ {0,3}[`~]/.test(text.slice(lineOf(block, text)));
}

/** The list that was begun, with the items that are now the first of these blocks. */
function continued(begun: List | null, nodes: RootContent[]): RootContent[] {
  const [next, ...others] = nodes;
  if (begun === null) {
    return nodes;
  }
  return next?.type === 'list'
    ? [
        {
          ...begun,
          spread: begun.spread === true || next.spread === true,
          children: [...begun.children, ...next.children],
        },
        ...others,
      ]
    : [begun, ...nodes];
}

/** Whether nothing that is written behind this text can become part of its last block. */
function isClosed(last: RootContent, text: string): boolean {
  switch (last.type) {
    case 'heading':
    case 'thematicBreak':
      return text.endsWith('\n');
    case 'paragraph':
    case 'table':
    case 'blockquote':
      return endsBlank(text);
    case 'code':
      return isClosedFence(text.slice(lineOf(last, text)));
    default:
      return false;
  }
}

function endsBlank(text: string): boolean {
  return /(?:^|\n)[ \t\r]*\n$/.test(text.slice(-64));
}

/** Where the line begins on which a node does, in UTF-16 units. */
function lineOf(node: Nodes, text: string): number {
  const offset = node.position?.start.offset ?? 0;
  return offset === 0 ? 0 : text.lastIndexOf('\n', offset - 1) + 1;
}

/** Whether it defines what another block may refer to. */
function isEntangling(node: RootContent): boolean {
  switch (node.type) {
    case 'definition':
    case 'footnoteDefinition':
      return true;
    case 'blockquote':
    case 'list':
    case 'listItem':
      return node.children.some(isEntangling);
    default:
      return false;
  }
}
