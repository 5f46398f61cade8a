import { render, waitFor } from '@testing-library/react';
import type { Nodes } from 'mdast';
import { StreamMarkdown } from 'tetherline-markdown';
import { describe, expect, it, vi } from 'vitest';
import { Markdown } from '@/components/chat/Markdown';

/** The formulas of a text, those on lines of their own in brackets. */
function formulasOf(node: Nodes): string[] {
  if (node.type === 'formula') {
    return [node.isDisplay ? `[${node.value}]` : node.value];
  }
  return 'children' in node ? node.children.flatMap(formulasOf) : [];
}

describe('mathematics of a stream', () => {
  it('is the text that was written until it closes', () => {
    const text = 'So\n\n$$\na_1 * b\n- c * d\n$$';
    const markdown = new StreamMarkdown();
    for (let length = 1; length < text.length; length += 1) {
      const { container, unmount } = render(
        <Markdown isStreaming>{text.slice(0, length)}</Markdown>,
      );
      expect(container.querySelector('em, ul, .formula')).toBeNull();
      unmount();
      markdown.read(text.slice(0, length), true);
    }
    const reading = markdown.read(text, true);
    expect(reading.kind === 'blocks' && reading.blocks.flatMap(formulasOf)).toEqual([
      '[a_1 * b\n- c * d]',
    ]);
  });
});

describe('a formula on the page', () => {
  it('is typeset, with MathML for whoever does not see it', async () => {
    const { container } = render(<Markdown>{'So $x^2$ and\n\n$$\\frac{a}{b}$$'}</Markdown>);
    await waitFor(() => expect(container.querySelectorAll('.katex')).toHaveLength(2));
    expect(container.querySelectorAll('math')).toHaveLength(2);
    expect(container.querySelector('.katex-html')?.getAttribute('aria-hidden')).toBe('true');
    expect(container.querySelectorAll('.katex-display')).toHaveLength(1);
  });

  it('that nobody can read is shown as it was written', async () => {
    const { container } = render(<Markdown>{'$\\frac{a$ and $x$'}</Markdown>);
    await waitFor(() => expect(container.querySelector('.katex')).not.toBeNull());
    expect(container.querySelector('code.formula')?.textContent).toBe('\\frac{a');
  });

  it('neither links, nor loads, nor runs anything', async () => {
    vi.spyOn(console, 'warn').mockImplementation(() => {});
    const text =
      '$\\href{javascript:alert(1)}{a}$ $\\includegraphics{https://x.y/z}$ ' +
      '$\\htmlId{b}{c}$ $\\text{<img src=x onerror=alert(1)>}$ $y$';
    const { container } = render(<Markdown>{text}</Markdown>);
    await waitFor(() => expect(container.querySelector('.katex')).not.toBeNull());
    expect(container.querySelector('a, img, #b, [onerror]')).toBeNull();
  });
});
