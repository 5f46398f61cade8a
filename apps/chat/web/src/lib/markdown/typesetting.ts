import { lazy } from '@/lib/lazy';

/** Sets formulas. */
export const typesetter = lazy(() => import('@/lib/markdown/katex'));

/** Knows the words of programming languages. */
export const highlighter = lazy(() => import('@/lib/markdown/lowlight'));
