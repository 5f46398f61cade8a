import { render, screen } from '@testing-library/react';
import fc from 'fast-check';
import type { ReactElement } from 'react';
import ReactMarkdown from 'react-markdown';
import remarkGfm from 'remark-gfm';
import { MARKS_MAX, NESTING_MAX } from 'tetherline-markdown';
import { beforeAll, describe, expect, it } from 'vitest';
import { CodeBlock } from '@/components/chat/CodeBlock';
import { Markdown, MARKDOWN_COMPONENTS } from '@/components/chat/Markdown';
import { highlighter } from '@/lib/markdown/typesetting';
import {
  documents,
  EVERYTHING,
  FRAGMENTS,
} from '../../../../packages/markdown/tests/support/documents';

beforeAll(() => highlighter.load());

/** What is on the page, but for lines between blocks, which show nothing. */
function htmlOf(element: Element): string {
  const copy = element.cloneNode(true) as Element;
  for (const parent of [copy, ...copy.querySelectorAll('ul, ol')]) {
    for (const child of [...parent.childNodes]) {
      if (child.nodeType === Node.TEXT_NODE && child.textContent === '\n') {
        child.remove();
      }
    }
  }
  copy.normalize();
  return copy.innerHTML;
}

function shown(element: ReactElement): string {
  const { container, unmount } = render(element);
  const html = htmlOf(container.firstElementChild!);
  unmount();
  return html;
}

/** The whole in one go, by the library that others use for it. */
function byTheLibrary(text: string): string {
  return shown(
    <div>
      <ReactMarkdown
        remarkPlugins={[remarkGfm]}
        urlTransform={(url) => url}
        components={MARKDOWN_COMPONENTS as object}
      >
        {text}
      </ReactMarkdown>
    </div>,
  );
}

function streamed(text: string, cuts: readonly number[]): string {
  const { container, rerender, unmount } = render(<Markdown isStreaming>{''}</Markdown>);
  for (const cut of cuts) {
    rerender(<Markdown isStreaming>{text.slice(0, cut)}</Markdown>);
  }
  rerender(<Markdown>{text}</Markdown>);
  const html = htmlOf(container.firstElementChild!);
  unmount();
  return html;
}

describe('Markdown', { timeout: 60_000 }, () => {
  it('shows what the library shows', () => {
    for (const text of [...FRAGMENTS, EVERYTHING]) {
      expect(shown(<Markdown>{text}</Markdown>), text).toBe(byTheLibrary(text));
    }
  });

  it('that has been a stream is on the page as if it had come at once', () => {
    const cuts = fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(documents, cuts, (text, at) => {
        const inOrder = at.map((cut) => Math.min(cut, text.length)).sort((a, b) => a - b);
        expect(streamed(text, inOrder)).toBe(byTheLibrary(text));
      }),
      { seed: 5, numRuns: 60 },
    );
  });

  it('keeps its finished blocks and items as they are while the last one is written', () => {
    const text = '# Title\n\nA paragraph.\n\n- one\n- two\n- thr';
    const { container, rerender } = render(<Markdown isStreaming>{text}</Markdown>);
    const before = [...container.querySelectorAll('h1, p, ul, li')];
    rerender(<Markdown isStreaming>{`${text}ee\n- four\n\nMore`}</Markdown>);
    rerender(<Markdown>{`${text}ee\n- four\n\nMore and more.`}</Markdown>);
    const after = [...container.querySelectorAll('h1, p, ul, li')];
    expect(after.slice(0, before.length)).toEqual(before);
    expect(after).toHaveLength(before.length + 2);
  });

  it('says that it is a stream, for the caret', () => {
    const { container, rerender } = render(<Markdown isStreaming>one</Markdown>);
    expect(container.querySelector('[data-streaming]')).not.toBeNull();
    rerender(<Markdown>one</Markdown>);
    expect(container.querySelector('[data-streaming]')).toBeNull();
  });

  it('starts over with another text', () => {
    const { container, rerender } = render(<Markdown isStreaming>{'# First\n\ntext'}</Markdown>);
    rerender(<Markdown isStreaming>{'Second'}</Markdown>);
    expect(container.textContent).toBe('Second');
  });

  it('never runs what a text brings along, at any point of the stream', () => {
    const text =
      '<img src=x onerror=alert(1)> [a](javascript:alert) ![b](javascript:alert) <b>c</b>';
    const { container, rerender } = render(<Markdown isStreaming>{''}</Markdown>);
    for (let length = 1; length <= text.length; length += 1) {
      rerender(<Markdown isStreaming>{text.slice(0, length)}</Markdown>);
      expect(container.querySelector('img, b, [onerror], a')).toBeNull();
    }
  });
});

it('a link leads to the web or to a mailbox, however its scheme is written', () => {
  const schemes = [
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)',
    '&#106;avascript:alert(1)',
    'java&Tab;script:alert(1)',
    'javascript&colon;alert(1)',
    '\u0001javascript:alert(1)',
    'vbscript:x',
    'data:text/html,<script>alert(1)</script>',
    'file:///etc/passwd',
    'blob:https://app.example.com/x',
    '//evil.test',
    '/logout',
    'https&colon;//x',
  ];
  const texts = schemes.flatMap((url) => [
    `[a](${url})`,
    `[a](<${url}>)`,
    `![a](${url})`,
    `<${url}>`,
    `[a][1]\n\n[1]: ${url}`,
    `<a href="${url}">a</a>`,
    `<iframe src="${url}"></iframe>`,
    `<svg><a xlink:href="${url}"><text>a</text></a></svg>`,
    `\`\`\`html\n<script src="${url}"></script>\n\`\`\``,
  ]);
  for (const text of [
    ...texts,
    '<script>alert(1)</script>',
    '<style>*{}</style>',
    '<base href=/>',
  ]) {
    const { container, unmount } = render(<Markdown isStreaming={false}>{text}</Markdown>);
    expect(
      container.querySelector('script, style, base, iframe, object, form, img, use'),
    ).toBeNull();
    for (const link of container.querySelectorAll('[href], [src]')) {
      expect(link.getAttribute('href')).toMatch(/^(https?:\/\/|mailto:)/);
    }
    unmount();
  }
  render(<Markdown isStreaming={false}>{'[a](https://example.com) and <b@example.com>'}</Markdown>);
  const links = screen.getAllByRole('link').map((link) => link.getAttribute('href'));
  expect(links).toEqual(['https://example.com', 'mailto:b@example.com']);
});

describe('a code block', () => {
  const code = Array.from({ length: 300 }, (_, line) => `const a${line} = "${line}"; // why`);

  it('is highlighted in the end as in one go, however long it was written', () => {
    const text = `\`\`\`js\n${code.join('\n')}\n\`\`\``;
    const cuts = Array.from({ length: 40 }, (_, index) => index * 250);
    expect(streamed(text, cuts)).toBe(byTheLibrary(text));
  });

  it('does not highlight again what is far above its end', () => {
    const written = (lines: number) => (
      <Markdown isStreaming>{`\`\`\`js\n${code.slice(0, lines).join('\n')}`}</Markdown>
    );
    const { container, rerender } = render(written(250));
    const first = container.querySelector('code span');
    expect(first?.className).toBe('hljs-keyword');
    rerender(written(300));
    expect(container.querySelector('code span')).toBe(first);
    expect(container.querySelector('code')?.textContent).toBe(code.join('\n'));
  });

  it('of a language that nobody knows is plain text', () => {
    const { container } = render(<CodeBlock language="klingon" code={'Qapla’ <b>'} />);
    expect(container.querySelector('code')?.innerHTML).toBe('Qapla’ &lt;b&gt;');
  });
});

describe('what is nested without an end', { timeout: 60_000 }, () => {
  const shownText = (element: ReactElement) => {
    const { container, unmount } = render(element);
    const text = container.textContent;
    unmount();
    return text;
  };

  it('is shown as the text that it is, where it ended the stack and blanked the page', () => {
    for (const text of [`${'>'.repeat(3_000)}a`, `${'- '.repeat(2_000)}a`]) {
      expect(shownText(<Markdown>{text}</Markdown>)).toBe(text);
      expect(shownText(<Markdown isStreaming>{text}</Markdown>)).toBe(text);
    }
  });

  it('begins at one level more than may be', () => {
    const quotesOf = (levels: number) => {
      const { container, unmount } = render(<Markdown>{`${'>'.repeat(levels)}a`}</Markdown>);
      const { length } = container.querySelectorAll('blockquote');
      unmount();
      return length;
    };
    expect(quotesOf(NESTING_MAX)).toBe(NESTING_MAX);
    expect(quotesOf(NESTING_MAX + 1)).toBe(0);
  });

  it('has more marks of emphasis than a paragraph may have, where that took seconds of each frame', () => {
    const emphasised = (marks: number) => {
      const text = '*a*\n'.repeat(marks / 2);
      const { container, unmount } = render(<Markdown>{text}</Markdown>);
      const { length } = container.querySelectorAll('em');
      unmount();
      return length;
    };
    expect(emphasised(MARKS_MAX)).toBe(MARKS_MAX / 2);
    expect(emphasised(MARKS_MAX + 2)).toBe(0);
    const run = '*'.repeat(8_000);
    expect(shownText(<Markdown>{`${run}a${run}`}</Markdown>)).toBe(`${run}a${run}`);
    const code = `\`\`\`\n${'_'.repeat(MARKS_MAX + 1)}\n\`\`\`\n\n*so*`;
    const { container } = render(<Markdown>{code}</Markdown>);
    expect(container.querySelector('em')?.textContent).toBe('so');
  });
});

// The boxes were controls without a name, which nobody could use.
it('a task is a sign that says whether it is done', () => {
  const { container } = render(<Markdown>{'- [x] one\n- [ ] two\n- three'}</Markdown>);
  const signs = [...container.querySelectorAll('li')].map((item) =>
    item.querySelector('[role="img"]')?.getAttribute('aria-label'),
  );
  expect(signs).toEqual(['Done', 'To do', undefined]);
  expect(container.querySelector('input')).toBeNull();
});
