import { createContext } from 'react';

/** Whether the text around may still change. */
export const StreamingContext = createContext(false);
