import { measureDispatch } from './dispatch.js';
import { offer } from './offer.js';

// A message, unlike a timer, is not delayed when there are many of them.
const turn = () =>
  new Promise<void>((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });

offer({ measure: (size) => measureDispatch(size, turn) });
