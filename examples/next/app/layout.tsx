import type { Metadata } from 'next';

import './globals.css';

export const metadata: Metadata = {
  title: 'Notes',
  description: 'People who write to each other, over one connection each',
};

export default function RootLayout({ children }: LayoutProps<'/'>) {
  return (
    <html lang="en">
      <body>{children}</body>
    </html>
  );
}
