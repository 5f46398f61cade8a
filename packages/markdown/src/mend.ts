import remend from 'remend';

/**
 * The end of a text that is still written as it looks best: what is half written is completed or held
 * back. It is only ever shown until more of the text is there.
 */
export function mend(text: string): string {
  return remend(withTable(withoutBareMarkup(text)), {
    linkMode: 'text-only',
    // These change what is meant as it stands, or know a syntax that we do not have.
    htmlTags: false,
    comparisonOperators: false,
    singleTilde: false,
    katex: false,
  });
}

/** A last line of nothing but markup may become anything: a rule, a heading, bold text, an item. */
function withoutBareMarkup(text: string): string {
  return text.replace(/(?:^|\n)(?:[-+*_#=`~>|: \t]*|[ \t]*\d+[.)]?)$/, '');
}

/** A table is one from its first cell on, although only its second line says so. */
function withTable(text: string): string {
  const head = /(?:^|\n)(\|[^\n]*)(?:\n[|:\- \t]*)?$/.exec(text);
  if (head?.[1] === undefined || /(?:^|\n)[^\n]*\|[^\n]*$/.test(text.slice(0, head.index))) {
    return text;
  }
  const cells = head[1].replace(/\\\|/g, '').split('|').slice(1);
  const columns = cells.length > 1 && cells.at(-1)?.trim() === '' ? cells.length - 1 : cells.length;
  const upToHead = text.slice(0, head.index) + (head.index > 0 ? '\n' : '') + head[1];
  return `${upToHead}\n|${'---|'.repeat(columns)}`;
}
