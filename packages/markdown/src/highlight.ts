import type { RootContent } from 'hast';

/** Whoever knows the words of programming languages: `lowlight` is one. */
export interface Highlighter {
  registered(language: string): boolean;
  highlight(language: string, text: string): { children: RootContent[] };
}

/** A block of code, as far as it has been written. */
export interface Code {
  language: string | undefined;
  code: string;
  /** More of it may come. */
  isStreaming: boolean;
}

/** Highlighted by itself, and by itself again only if its text changes. */
export interface CodePart {
  text: string;
  /** Plain text, where the language is not known, or nothing is known of languages yet. */
  content: RootContent[];
}

/** From this length on, in UTF-16 units, a part ends where the code begins a new paragraph, */
const PART_LENGTH_MIN = 1_024;
/** and from this one on at the next line. */
const PART_LENGTH_MAX = 2_048;

/**
 * Highlights code, in one piece if it is finished. While it is written it is taken in parts, so that only
 * the last one is highlighted anew; what spans two of them looks right when the code is finished.
 */
export function highlight(
  highlighter: Highlighter | null,
  { language, code, isStreaming }: Code,
  before: readonly CodePart[],
): readonly CodePart[] {
  const texts = isStreaming ? partsOf(code) : [code];
  return texts.map((text, index) => {
    const known = before[index];
    return known?.text === text
      ? known
      : { text, content: highlighted(highlighter, language, text) };
  });
}

function partsOf(code: string): string[] {
  const parts: string[] = [];
  let begin = 0;
  for (;;) {
    const paragraph = code.slice(begin + PART_LENGTH_MIN, begin + PART_LENGTH_MAX).search(/\n\n\S/);
    const line = code.indexOf('\n', begin + PART_LENGTH_MAX);
    const end = paragraph === -1 ? line + 1 : begin + PART_LENGTH_MIN + paragraph + 2;
    if (end === 0) {
      return [...parts, code.slice(begin)];
    }
    parts.push(code.slice(begin, end));
    begin = end;
  }
}

function highlighted(
  highlighter: Highlighter | null,
  language: string | undefined,
  text: string,
): RootContent[] {
  return language !== undefined && highlighter?.registered(language) === true
    ? highlighter.highlight(language, text).children
    : [{ type: 'text', value: text }];
}
