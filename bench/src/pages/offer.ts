import type { DispatchFigure, DispatchSize } from './dispatch.js';
import type { RendersPage } from './renders-page.js';

export interface DispatchPage {
  readonly measure: (size: DispatchSize) => Promise<DispatchFigure[]>;
}

declare global {
  /** What a page lets its benchmark call. */
  var offered: DispatchPage & RendersPage;
}

export function offer(page: DispatchPage | RendersPage): void {
  Object.assign(globalThis, { offered: page });
}
