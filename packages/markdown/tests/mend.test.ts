import { describe, expect, it } from 'vitest';

import { mend } from '../src/index.js';

describe('what is half written', () => {
  it.each([
    ['a **bold', 'a **bold**'],
    ['see [the page](https://exam', 'see the page'],
    ['a `code', 'a `code`'],
    ['Here it is:\n-', 'Here it is:'],
    ['Here it is:\n**', 'Here it is:'],
    ['Text\n\n#', 'Text\n'],
    ['Text\n\n2', 'Text\n'],
    ['| Na', '| Na\n|---|'],
    ['Look:\n\n| a | b |\n|--', 'Look:\n\n| a | b |\n|---|---|'],
    ['| a |\n|---|\n| x', '| a |\n|---|\n| x'],
    ['it costs $5 ~ 6 <b', 'it costs $5 ~ 6 <b'],
  ])('%j is shown as %j', (text, mended) => {
    expect(mend(text)).toBe(mended);
  });
});
