/**
 * Mathematics has a syntax of its own within Markdown's, and all of Markdown's signs in it. Before a
 * text is parsed its formulas are therefore masked, unit by unit, with characters that mean nothing
 * to anybody; afterwards each is found again where the parser has put it (`formula-nodes.ts`).
 */

/** Longest formula, in UTF-16 units; whatever opens a longer one is a text. */
export const FORMULA_LENGTH_MAX = 4_000;

/** Private characters: 128 each for what is in a formula, for what opens and for what closes it. */
const INSIDE = 0xf580;
const OPENING = 0xf600;
const CLOSING = 0xf680;
const MASKS = /[\uf580-\uf6ff]/g;

/** One formula in a masked text: what opens it, and what it says, both still masked. */
export const MASKED_FORMULA = /([\uf600-\uf67f]+)([^\uf600-\uf6ff]*)[\uf680-\uf6ff]+/g;

/** As far as a text is masked for good, whatever is written next: up to the beginning of a line. */
export interface Masked {
  text: string;
  /** Of the block of code that is open there. */
  fence: string;
}

export const NOTHING_MASKED: Masked = { text: '', fence: '' };

/** A text whose formulas are masked. */
export interface Masking {
  text: string;
  /** Where the line begins on which a formula is open that may yet be closed, or the text's end. */
  open: number;
  masked: Masked;
}

/**
 * Masks a text of which the beginning was masked before. While it streams, the formula that is open at
 * its end is masked, too, and will be shown as the text that it is.
 */
export function mask(text: string, before: Masked, isStreaming: boolean): Masking {
  let { text: done, fence } = before;
  let [open, masked] = [text.length, before];
  while (done.length < text.length) {
    const begin = done.length;
    const line = text.slice(begin, lineEnd(text, begin));
    const fenceBelow = fenceAfter(line, fence);
    const isCode = fence !== '' || fenceBelow !== '';
    const read = isCode
      ? { text: withoutMasks(line), isOpen: false }
      : maskLine(text, begin, isStreaming);
    open = read.isOpen ? Math.min(open, begin) : open;
    done += read.text;
    fence = fenceBelow;
    if (open === text.length && text[done.length - 1] === '\n') {
      masked = { text: done, fence };
    }
  }
  return { text: done, open, masked };
}

export function isMasked(text: string): boolean {
  return text.search(MASKS) !== -1;
}

/** What was masked. */
export function unmask(text: string): string {
  return text.replace(MASKS, (unit) => String.fromCharCode(unit.charCodeAt(0) & 0x7f));
}

function withMask(text: string, mask: number): string {
  return withoutMasks(text).replace(/[\0-\x7f]/g, (unit) =>
    String.fromCharCode(mask + unit.charCodeAt(0)),
  );
}

/** Nobody's private characters are taken for ours. */
function withoutMasks(text: string): string {
  return text.replace(MASKS, '\ufffd');
}

/** The line that begins here, or the lines, if a formula goes on below. */
function maskLine(text: string, begin: number, isStreaming: boolean) {
  let end = lineEnd(text, begin);
  let masked = '';
  let from = begin;
  let isOpen = false;
  const put = (formula: Delimited) => {
    masked += withoutMasks(text.slice(from, formula.begin));
    masked += withMask(text.slice(formula.begin, formula.inside), OPENING);
    masked += withMask(text.slice(formula.inside, formula.outside), INSIDE);
    masked += withMask(text.slice(formula.outside, formula.end), CLOSING);
    from = formula.end;
  };
  for (let at = nextSign(text, begin); at < end; at = nextSign(text, at)) {
    const found = formulaAt(text, at, begin, end);
    if (typeof found === 'number') {
      at = found;
    } else if (found !== 'open') {
      put(found);
      at = found.end;
      end = lineEnd(text, Math.max(end - 1, at));
    } else if (isStreaming) {
      masked += withoutMasks(text.slice(from, at)) + withMask(text.slice(at), INSIDE);
      return { text: masked, isOpen: true };
    } else {
      isOpen = true;
      at += 2;
    }
  }
  return { text: masked + withoutMasks(text.slice(from, end)), isOpen };
}

const SIGNS = /[`$\\]/g;

function nextSign(text: string, from: number): number {
  SIGNS.lastIndex = from;
  return SIGNS.exec(text)?.index ?? text.length;
}

/** Where a formula's signs are. */
interface Delimited {
  begin: number;
  inside: number;
  outside: number;
  end: number;
}

/** What begins here: a formula, one that has no end yet, or another thing, and where that ends. */
function formulaAt(
  text: string,
  at: number,
  begin: number,
  end: number,
): Delimited | 'open' | number {
  switch (text[at]) {
    case '`':
      return codeEnd(text, at, end);
    case '$': {
      const signs = runEnd(text, at) - at;
      if (signs === 1) {
        return dollars(text, at, end) ?? at + 1;
      }
      return signs === 2 ? (within(text, at, '$$') ?? at + 2) : at + signs;
    }
    case '\\':
      if (text[at + 1] === '(' && !/\w/.test(text[at - 1] ?? '')) {
        return within(text, at, '\\)') ?? at + 2;
      }
      if (text[at + 1] === '[' && (isAtStart(text, at, begin) || /\s/.test(text[at + 2] ?? ''))) {
        return brackets(text, at) ?? at + 2;
      }
      return at + 2;
    default:
      return at + 1;
  }
}

/** Behind the code that these backticks open, if they do, on this line. */
function codeEnd(text: string, at: number, end: number): number {
  const inside = runEnd(text, at);
  for (let next = text.indexOf('`', inside); next !== -1 && next < end;) {
    const outside = runEnd(text, next);
    if (outside - next === inside - at) {
      return outside;
    }
    next = text.indexOf('`', outside);
  }
  return inside;
}

/**
 * A formula between single dollars, on one line. Most dollars are money: none that opens follows a
 * letter or comes before a space, and none that closes follows a space or comes before a letter.
 */
function dollars(text: string, begin: number, lineEnd: number): Delimited | null {
  const inside = begin + 1;
  if (/\w/.test(text[begin - 1] ?? '') || /\s|^$/.test(text[inside] ?? '')) {
    return null;
  }
  for (let at = inside; at < Math.min(lineEnd, begin + FORMULA_LENGTH_MAX); at += 1) {
    if (text[at] === '\\') {
      at += 1;
    } else if (text[at] === '`') {
      return null;
    } else if (text[at] === '$') {
      const closes = !/\s/.test(text[at - 1] ?? '') && !/[\w$]/.test(text[at + 1] ?? '');
      return closes && !isProse(text.slice(inside, at))
        ? { begin, inside, outside: at, end: at + 1 }
        : null;
    }
  }
  return null;
}

/** A price and a word, or two words: whoever writes formulas would have marked them. */
function isProse(text: string): boolean {
  return !/[\\^_={}]/.test(text) && /^\d.*[A-Za-z]{2}|[A-Za-z]{2,} [A-Za-z]{2,}/.test(text);
}

/** Escaped brackets on one line are brackets, if more follows: "\[1\] Title of a book". */
function brackets(text: string, at: number): Delimited | 'open' | null {
  const found = within(text, at, '\\]');
  if (found === null || found === 'open') {
    return found;
  }
  const formula = text.slice(found.inside, found.outside);
  const rest = text.slice(found.end, lineEnd(text, found.end));
  return /^\s|\n/.test(formula) || /^\W*$/.test(rest) ? found : null;
}

const BLANK_LINE = /\n[ \t>]*\r?\n/g;

/** A formula that ends with this sign before the next blank line. */
function within(text: string, begin: number, closing: string): Delimited | 'open' | null {
  const inside = begin + 2;
  BLANK_LINE.lastIndex = inside;
  const paragraphEnd = BLANK_LINE.exec(text)?.index ?? text.length;
  const end = Math.min(paragraphEnd, begin + FORMULA_LENGTH_MAX);
  for (let at = inside; at < end; at += 1) {
    if (text.startsWith(closing, at) && !text.startsWith('$$$', at)) {
      const outside = at;
      return text.slice(inside, outside).trim() === ''
        ? null
        : { begin, inside, outside, end: outside + 2 };
    }
    if (text[at] === '\\') {
      at += 1;
    } else if (text[at] === '$') {
      at = runEnd(text, at) - 1;
    }
  }
  return end === text.length ? 'open' : null;
}

/** Whether nothing but the marks of quotes and lists is before it on its line. */
function isAtStart(text: string, at: number, begin: number): boolean {
  return /^(?:[ \t>]|[-*+][ \t]|\d+[.)][ \t])*$/.test(text.slice(begin, at));
}

/** The fence that is open after a line, at any depth. */
function fenceAfter(line: string, fence: string): string {
  if (fence !== '') {
    const closing = /^[ \t>]*(`{3,}|~{3,})[ \t\r]*\n?$/.exec(line)?.[1] ?? '';
    return closing.startsWith(fence) ? '' : fence;
  }
  const [, opening = '', info = ''] =
    /^(?:[ \t>]|[-*+][ \t]|\d+[.)][ \t])*(`{3,}|~{3,})([^\n]*)/.exec(line) ?? [];
  return opening.startsWith('`') && info.includes('`') ? '' : opening;
}

function lineEnd(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end === -1 ? text.length : end + 1;
}

function runEnd(text: string, from: number): number {
  let end = from;
  while (text[end] === text[from]) {
    end += 1;
  }
  return end;
}
