import { vi } from 'vitest';

// What the quick start's code calls and leaves to the reader.
type Handle = (message: unknown) => void;

export const handleMessage = vi.fn<Handle>();
export const handleNewNotification = vi.fn<Handle>();
export const handleUpdateNotification = vi.fn<Handle>();
export const handleDeleteNotification = vi.fn<Handle>();
export const showErrorToast = vi.fn<(title: string, text: string) => void>();
export const showNotification = vi.fn<Handle>();
export const updateUI = vi.fn<Handle>();
export const updateCharts = vi.fn<Handle>();
