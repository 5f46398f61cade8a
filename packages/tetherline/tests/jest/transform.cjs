const { transformSync } = require('esbuild');

module.exports = {
  process: (source, path) =>
    transformSync(source, {
      loader: path.endsWith('x') ? 'tsx' : 'ts',
      format: 'cjs',
      target: 'es2022',
      jsx: 'automatic',
      sourcefile: path,
      sourcemap: 'inline',
      logOverride: { 'ignored-directive': 'silent' },
    }),
};
