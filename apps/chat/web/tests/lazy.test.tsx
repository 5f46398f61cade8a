import { act, render, screen } from '@testing-library/react';
import { expect, it, vi } from 'vitest';
import { lazy } from '@/lib/lazy';

it('a part of the page is fetched when it is needed, once for all, and then shown', async () => {
  const fetch = vi.fn(() => Promise.resolve('here'));
  const part = lazy(fetch);
  const Part = () => <p>{part.use() ?? 'not yet'}</p>;
  expect(fetch).not.toHaveBeenCalled();
  render(
    <>
      <Part />
      <Part />
    </>,
  );
  expect(screen.getAllByText('not yet')).toHaveLength(2);
  expect(await screen.findAllByText('here')).toHaveLength(2);
  expect(fetch).toHaveBeenCalledOnce();
});

it('a part that could not be fetched is fetched when the network is back', async () => {
  const fetch = vi.fn<() => Promise<string>>();
  fetch.mockRejectedValueOnce(new TypeError('Failed to fetch')).mockResolvedValueOnce('here');
  const part = lazy(fetch);
  const Part = () => <p>{part.use() ?? 'not yet'}</p>;
  render(<Part />);
  await act(() => part.load());
  screen.getByText('not yet');
  window.dispatchEvent(new Event('online'));
  await screen.findByText('here');
});
