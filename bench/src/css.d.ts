/** Styles that come with what the chat imports. */
declare module '*.css';
