import { act, screen, within } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Sidebar } from '@/components/chat/Sidebar';
import { periodOf } from '@/lib/time';
import { listLoaded } from '@/store/slices/conversationSlice';
import { givenChat } from './support/app';
import { ADA } from './support/chat-server';

const context = givenChat();

/** In this place's time, whatever that is. */
const at = (...date: [number, number, number, number?, number?]) => new Date(...date).toISOString();

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'] });
  vi.setSystemTime(new Date(2026, 10, 30, 23, 59, 30));
});

afterEach(() => {
  vi.useRealTimers();
});

function shown(): Record<string, string[]> {
  const list = screen.getByRole('navigation', { name: 'Conversations' });
  return Object.fromEntries(
    within(list)
      .getAllByRole('heading')
      .map((heading) => [
        heading.textContent,
        within(heading.parentElement!)
          .getAllByRole('link')
          .map((link) => link.querySelector('.sidebar__title')?.textContent ?? ''),
      ]),
  );
}

// It had a clock time for today and a day for all else, and kept saying so after midnight.
describe('the list of conversations', () => {
  const LIST = [
    { uuid: 'a', title: 'Just now', updated_at: at(2026, 10, 30, 23, 59) },
    { uuid: 'b', title: 'This morning', updated_at: at(2026, 10, 30, 0, 0) },
    { uuid: 'c', title: 'Last night', updated_at: at(2026, 10, 29, 23, 59) },
    { uuid: 'd', title: 'A week ago', updated_at: at(2026, 10, 23) },
    { uuid: 'e', title: 'Older', updated_at: at(2026, 10, 22) },
  ];

  function open() {
    context.render(<Sidebar user={ADA} loading={{ state: 'ready' }} onRetry={() => {}} />);
    act(() => void context.store.dispatch(listLoaded(LIST)));
  }

  it('is by day, which is another one after midnight', () => {
    open();
    expect(shown()).toEqual({
      Today: ['Just now', 'This morning'],
      Yesterday: ['Last night'],
      'Previous 7 days': ['A week ago'],
      'Previous 30 days': ['Older'],
    });
    act(() => void vi.advanceTimersByTime(31_000));
    expect(shown()).toEqual({
      Yesterday: ['Just now', 'This morning'],
      'Previous 7 days': ['Last night'],
      'Previous 30 days': ['A week ago', 'Older'],
    });
    // And after the next one, too.
    act(() => void vi.advanceTimersByTime(86_400_000));
    expect(shown()['Previous 7 days']).toEqual(['Just now', 'This morning', 'Last night']);
  });

  it('is so for a machine that slept over midnight', () => {
    open();
    vi.setSystemTime(new Date(2026, 11, 1, 9));
    act(() => void document.dispatchEvent(new Event('visibilitychange')));
    expect(shown().Yesterday).toEqual(['Just now', 'This morning']);
  });

  it('says exactly when', () => {
    open();
    const link = screen.getByRole('link', { name: /Just now/ });
    expect(link.title).toMatch(/2026/);
    expect(link.querySelector('time')?.dateTime).toBe(LIST[0]?.updated_at);
    // In the midst of a month the time of day says nothing.
    const shortly = (name: RegExp) => screen.getByRole('link', { name }).querySelector('time');
    expect(shortly(/Just now/)?.textContent).toMatch(/59/);
    expect(shortly(/Older/)?.textContent).toMatch(/22/);
  });
});

describe('a period', () => {
  const today = new Date(2026, 10, 30);

  it.each([
    ['Today', at(2026, 10, 30)],
    ['Today', at(2026, 11, 1)],
    ['Yesterday', at(2026, 10, 29)],
    ['Previous 7 days', at(2026, 10, 28, 23)],
    ['Previous 7 days', at(2026, 10, 23)],
    ['Previous 30 days', at(2026, 10, 22, 23, 59)],
    ['Previous 30 days', at(2026, 9, 31)],
    ['October', at(2026, 9, 30)],
    ['January', at(2026, 0, 1)],
    ['December 2025', at(2025, 11, 31)],
    ['Earlier', 'no time at all'],
  ])('is %s for %s', (label, iso) => {
    expect(periodOf(iso, today)).toBe(label);
  });
});
