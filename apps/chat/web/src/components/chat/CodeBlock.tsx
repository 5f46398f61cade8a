import { memo, useContext, useState } from 'react';
import { type Code, type CodePart, highlight, type Highlighter } from 'tetherline-markdown';
import { CopyButton } from '@/components/ui/CopyButton';
import { StreamingContext } from '@/contexts/StreamingContext';
import { useOverflow } from '@/hooks/use-overflow';
import { toJsx } from '@/lib/markdown/jsx';
import { highlighter } from '@/lib/markdown/typesetting';

/** A fenced block: its language, a button that copies it, and the highlighted code. */
export function CodeBlock({ language, code }: { language: string | undefined; code: string }) {
  const parts = useHighlighted(language, code);
  const overflow = useOverflow<HTMLPreElement>(`Code in ${language ?? 'plain text'}`);
  return (
    <figure className="code">
      <figcaption className="code__bar">
        <span>{language ?? 'text'}</span>
        <CopyButton text={() => code} label="Copy code" />
      </figcaption>
      <pre className="scroll" {...overflow}>
        <code className={language === undefined ? undefined : `hljs language-${language}`}>
          {parts.map((part, index) => (
            <Part key={index} part={part} />
          ))}
        </code>
      </pre>
    </figure>
  );
}

const Part = memo(function Part({ part }: { part: CodePart }) {
  return toJsx(part.content);
});

function useHighlighted(language: string | undefined, whole: string): readonly CodePart[] {
  const isStreaming = useContext(StreamingContext);
  // Until there is another line, what is written is on this one.
  const code = isStreaming ? whole.replace(/\n$/, '') : whole;
  const lowlight = highlighter.use()?.lowlight ?? null;
  const [shown, setShown] = useState<Shown>(NOTHING);
  const isSameReading = shown.language === language && shown.lowlight === lowlight;
  if (isSameReading && shown.code === code && shown.isStreaming === isStreaming) {
    return shown.parts;
  }
  const before = isSameReading ? shown.parts : NOTHING.parts;
  const parts = highlight(lowlight, { language, code, isStreaming }, before);
  setShown({ lowlight, language, code, isStreaming, parts });
  return parts;
}

interface Shown extends Code {
  lowlight: Highlighter | null;
  parts: readonly CodePart[];
}

const NOTHING: Shown = {
  lowlight: null,
  language: undefined,
  code: '',
  isStreaming: false,
  parts: [],
};
