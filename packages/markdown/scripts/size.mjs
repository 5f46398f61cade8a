// What an application pays, by itself and with the parser that it stands on, against the budgets.
import { bundled, compare } from '../../tetherline/scripts/sizes.mjs';

const BUDGETS = { 'tetherline-markdown': 4_000, 'and its parser': 47_000 };
const PARSER = ['remark-*', 'remend', 'unified'];

const everything = "export * from 'tetherline-markdown'";
const own = await bundled(everything, PARSER);
compare(
  { 'tetherline-markdown': own, 'and its parser': (await bundled(everything, [])) - own },
  BUDGETS,
);
