import { act, renderHook } from '@testing-library/react';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { useTheme } from '@/hooks/use-theme';

const KEY = 'tetherline-chat.theme';
const shown = () => document.documentElement.dataset.theme ?? 'system';

afterEach(() => {
  delete document.documentElement.dataset.theme;
});

/** What another tab does, as this one is told. */
function chosenElsewhere(theme: string) {
  localStorage.setItem(KEY, theme);
  act(() => void window.dispatchEvent(new StorageEvent('storage', { key: KEY, newValue: theme })));
}

// A choice in one tab reached the others with their next reload.
describe('the theme', () => {
  it('that another tab chooses is shown in this one', () => {
    const { result } = renderHook(useTheme);
    for (const theme of ['dark', 'light', 'system']) {
      chosenElsewhere(theme);
      expect([shown(), result.current.theme]).toEqual([theme, theme]);
    }
  });

  it('that was chosen while the page was cached is shown when it comes back', () => {
    renderHook(useTheme);
    localStorage.setItem(KEY, 'dark');
    act(() => {
      window.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }));
    });
    expect(shown()).toBe('dark');
  });

  it('holds in its own tab where storage is refused', () => {
    const refused = () => {
      throw new DOMException('denied', 'SecurityError');
    };
    vi.spyOn(window, 'localStorage', 'get').mockImplementation(refused);
    const { result } = renderHook(useTheme);
    act(() => result.current.setTheme('dark'));
    act(() => void window.dispatchEvent(new StorageEvent('storage', { key: null })));
    expect([shown(), result.current.theme]).toEqual(['dark', 'dark']);
  });
});
