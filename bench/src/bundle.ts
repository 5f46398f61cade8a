import { build } from 'esbuild';

const PAGES = ['dispatch', 'renders', 'burst', 'stream'];

/** As an application ships them: the built package, minified, React's production build. */
export async function bundlePages(sources: URL, folder: URL, minify = true): Promise<void> {
  await build({
    entryPoints: PAGES.map((page) => ({
      in: entry(sources, page),
      out: page,
    })),
    outdir: folder.pathname,
    bundle: true,
    minify,
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    // What streams in the chat is measured as the chat has it.
    alias: { '@': new URL('../../apps/chat/web/src', sources).pathname },
    // Its formulas would bring their faces along, and nothing that is measured has any.
    loader: { '.woff2': 'empty', '.woff': 'empty', '.ttf': 'empty' },
    define: { 'process.env.NODE_ENV': '"production"' },
    logLevel: 'warning',
    // The banners are for bundlers that split server from client components.
    logOverride: { 'ignored-directive': 'silent' },
  });
}

function entry(sources: URL, page: string): string {
  const extension = page === 'dispatch' ? 'ts' : 'tsx';
  return new URL(`pages/${page}-page.${extension}`, sources).pathname;
}
