// React looks for it when it is loaded: import this before anything that imports React's renderer.
import * as runtime from 'react-refresh/runtime';

runtime.injectIntoGlobalHook(window);

export { runtime };
