import { type ReactNode } from 'react';
import type { ExtraProps } from 'react-markdown';
import { CopyButton } from '@/components/ui/CopyButton';

type HastElement = NonNullable<ExtraProps['node']>;
type HastNode = HastElement['children'][number];

/** A fenced block: its language, a button that copies it, and the highlighted code. */
export function CodeBlock({
  node,
  children,
}: {
  node: HastElement | undefined;
  children: ReactNode;
}) {
  const language = languageOf(node);
  return (
    <figure className="code">
      <figcaption className="code__bar">
        <span>{language ?? 'text'}</span>
        <CopyButton text={() => textOf(node)} label="Copy code" />
      </figcaption>
      <pre tabIndex={0} aria-label={`Code in ${language ?? 'plain text'}`} role="group">
        {children}
      </pre>
    </figure>
  );
}

/** What the class that names a block's language begins with. */
const LANGUAGE = 'language-';

function languageOf(node: HastElement | undefined): string | undefined {
  const code = node?.children.find((child) => child.type === 'element');
  const classes = code?.properties.className;
  const names = Array.isArray(classes) ? classes.filter((name) => typeof name === 'string') : [];
  return names.find((name) => name.startsWith(LANGUAGE))?.slice(LANGUAGE.length);
}

function textOf(node: HastElement | HastNode | undefined): string {
  if (node?.type === 'text') {
    return node.value;
  }
  return node?.type === 'element' ? node.children.map(textOf).join('') : '';
}
