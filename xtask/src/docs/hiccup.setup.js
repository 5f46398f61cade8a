// The backend of every tested snippet fails once: the first upgrade of each fake server, and the first
// request of each `fetch` that a test puts in, are answered with an empty 502, as by a proxy.
import { createFakeServer } from 'tetherline/testing';
import { vi } from 'vitest';

/** Until whoever met it has tried again, in ms. */
const PATIENCE_MS = 5_000;

const fake = createFakeServer();
// What all of them share; applications get no class.
const everyServer = Object.getPrototypeOf(fake);
const { connect, probe } = everyServer;
const { clock } = fake;
const { advance } = clock;
const upgrades = new WeakMap();
let isMet = false;

everyServer.connect = function (...asked) {
  if (upgrades.has(this)) {
    return connect.apply(this, asked);
  }
  upgrades.set(this, 'refused');
  isMet = true;
  const away = createFakeServer();
  away.cut();
  return connect.apply(away, asked);
};

everyServer.probe = function (token) {
  if (upgrades.get(this) !== 'refused') {
    return probe.call(this, token);
  }
  upgrades.set(this, 'asked why');
  return { status: 502, headers: {}, body: '' };
};

// What a test counts begins after that.
clock.advance = async (ms) => {
  await advance(0);
  if (isMet) {
    isMet = false;
    await advance(PATIENCE_MS);
  }
  await advance(ms);
};

const stubGlobal = vi.stubGlobal.bind(vi);
vi.stubGlobal = (name, value) => stubGlobal(name, name === 'fetch' ? failingOnce(value) : value);

function failingOnce(fetch) {
  let hasFailed = false;
  return (...request) => {
    if (hasFailed) {
      return fetch(...request);
    }
    hasFailed = true;
    isMet = true;
    return Promise.resolve(new globalThis.Response('', { status: 502 }));
  };
}
