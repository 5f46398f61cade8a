import type { Literal, Nodes, PhrasingContent, Root, Text } from 'mdast';
import { isMasked, MASKED_FORMULA, unmask } from './formulas.js';

/** Mathematics in TeX, on a line of its own or within one. */
export interface Formula extends Literal {
  type: 'formula';
  isDisplay: boolean;
}

declare module 'mdast' {
  interface PhrasingContentMap {
    formula: Formula;
  }
  interface RootContentMap {
    formula: Formula;
  }
}

/** What was read of a masked text, with its formulas where they stand. */
export function withFormulas(document: Root, masked: string): Root {
  if (isMasked(masked)) {
    restore(document, false);
  }
  return document;
}

function restore(node: Nodes, isQuoted: boolean): void {
  if ('children' in node) {
    const inQuote = isQuoted || node.type === 'blockquote';
    const children = node.children.flatMap((child: Nodes): Nodes[] => {
      if (child.type === 'text') {
        return partsOf(child, inQuote);
      }
      restore(child, inQuote);
      return [child];
    });
    // A text has become texts and formulas, which may stand wherever a text does.
    Object.assign(node, { children });
  }
  // Code, addresses, titles: there a formula is none.
  for (const [field, value] of Object.entries(node)) {
    if (typeof value === 'string') {
      Object.assign(node, { [field]: unmask(value) });
    }
  }
}

function partsOf(text: Text, isQuoted: boolean): PhrasingContent[] {
  const parts: PhrasingContent[] = [];
  let end = 0;
  const put = (value: string) => {
    if (value !== '') {
      parts.push({ ...text, value: unmask(value) });
    }
  };
  for (const { index, 0: whole, 1: opening = '', 2: formula = '' } of text.value.matchAll(
    MASKED_FORMULA,
  )) {
    put(text.value.slice(end, index));
    end = index + whole.length;
    const value = unmask(formula);
    parts.push({
      type: 'formula',
      // Each line of a quote begins with its mark, which is no part of the formula.
      value: (isQuoted ? value.replace(/\n[ \t]*>/g, '\n') : value).trim(),
      isDisplay: ['$$', '\\['].includes(unmask(opening)),
    });
  }
  put(text.value.slice(end));
  return parts;
}
