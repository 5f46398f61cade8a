import { memo, useMemo } from 'react';
import { useOverflow } from '@/hooks/use-overflow';
import { typesetter } from '@/lib/markdown/typesetting';

interface Props {
  /** In TeX. */
  source: string;
  isDisplay: boolean;
}

/** Largest size that a formula may ask for, in em. */
const SIZE_MAX = 20;

/** Mathematics, typeset; what cannot be, or not yet, is shown as it was written. */
export const Formula = memo(function Formula({ source, isDisplay }: Props) {
  const katex = typesetter.use();
  const html = useMemo(() => {
    try {
      return katex?.renderToString(source, {
        displayMode: isDisplay,
        maxSize: SIZE_MAX,
        strict: false,
      });
    } catch {
      return undefined;
    }
  }, [katex, source, isDisplay]);
  const overflow = useOverflow<HTMLSpanElement>('Formula');

  if (html === undefined) {
    return <code className={isDisplay ? 'formula formula--block' : 'formula'}>{source}</code>;
  }
  // The typesetter escapes what it shows, and takes no command that links, loads or has HTML.
  const typeset = { dangerouslySetInnerHTML: { __html: html } };
  return isDisplay ? (
    <span className="formula formula--block scroll" {...overflow}>
      <span className="formula__content" {...typeset} />
    </span>
  ) : (
    <span className="formula" {...typeset} />
  );
});
