import type { Code } from 'mdast';
import { unmask } from './formulas.js';
import { parseMasked } from './parse.js';

/** Blank lines, and then the line that opens a block of code. */
const OPENING = /^(?:[ \t]*\n)*( {0,3})(`{3,}|~{3,})([^\n]*)\n/;

/** The block of code with which this text begins, if it has no end yet. */
export function openFence(text: string): Code | null {
  const [opening, indent = '', fence = '', info = ''] = OPENING.exec(text) ?? [];
  if (
    opening === undefined ||
    text.includes('\r') ||
    (fence.startsWith('`') && info.includes('`'))
  ) {
    return null;
  }
  const lines = text.slice(opening.length);
  if (closing(fence, '\n').test(lines)) {
    return null;
  }
  const value = lines
    // Half of the line that closes the block is not shown as code.
    .replace(new RegExp(`(^|\n) {0,3}${fence.charAt(0)}+[ \t]*$`), '')
    .replace(/\n$/, '')
    .replace(new RegExp(`^ {0,${indent.length}}`, 'gm'), '');
  const [begun] = parseMasked(opening).children;
  return begun?.type === 'code' ? { ...begun, value: unmask(value) } : null;
}

/** Whether the source of a block of code has the line that closes it. Its lines are complete. */
export function isClosedFence(source: string): boolean {
  const [opening, , fence = ''] = OPENING.exec(source) ?? [];
  return opening !== undefined && closing(fence, '\n?$').test(source.slice(opening.length));
}

function closing(fence: string, end: string): RegExp {
  return new RegExp(`(^|\n) {0,3}${fence.charAt(0)}{${fence.length},}[ \t]*${end}`);
}
