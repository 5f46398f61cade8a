import type { DispatchFigure, DispatchSize } from './dispatch.js';
import type { RendersPage } from './renders-page.js';
import type { StreamPage } from './stream-page.js';

export interface DispatchPage {
  readonly measure: (size: DispatchSize) => Promise<DispatchFigure[]>;
}

declare global {
  /** What a page lets its benchmark call. */
  var offered: DispatchPage & RendersPage & StreamPage;
}

export function offer(page: DispatchPage | RendersPage | StreamPage): void {
  Object.assign(globalThis, { offered: page });
}
