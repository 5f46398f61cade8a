import 'katex/dist/katex.min.css';

export { renderToString } from 'katex';
