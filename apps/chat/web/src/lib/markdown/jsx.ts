import type { Element, RootContent as HtmlContent } from 'hast';
import { type Components, toJsxRuntime } from 'hast-util-to-jsx-runtime';
import type { ComponentType, ReactElement, ReactNode } from 'react';
import { Fragment, jsx, jsxs } from 'react/jsx-runtime';

/** What a component that stands for an element gets. */
export interface ElementProps {
  node: Element;
  children?: ReactNode;
  href?: string;
  src?: string;
  alt?: string;
  checked?: boolean;
}

/** HTML as React elements; the components stand for the elements of their names. */
export function toJsx(
  children: HtmlContent[],
  components: Record<string, ComponentType<ElementProps>> = {},
): ReactElement {
  // The library's types look for a global namespace `JSX`, which React 19 does not have.
  return toJsxRuntime(
    { type: 'root', children },
    {
      Fragment,
      jsx,
      jsxs,
      components: components as Partial<Components>,
      ignoreInvalidStyle: true,
      passKeys: true,
      passNode: true,
    },
  ) as ReactElement;
}
