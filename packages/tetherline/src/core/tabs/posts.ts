import { STREAMS_KNOWN_MAX } from '../../generated/protocol.js';
import type { Have, Link } from '../connection/socket.js';
import type { Call } from '../engine/loop.js';
import type { Inbound } from '../messages/inbound.js';
import type { Session } from '../session.js';
import type { Message } from '../types.js';
import * as Tab from './kinds.js';
import { type Post, type Question, TabLink } from './tabs.js';

/** Does what another tab has posted. */
export function receivePost(
  [kind, from, to, a, b, c, payload, more]: Post,
  session: Session,
  inbound: Inbound,
  call: (into: Call) => void,
): void {
  const { link } = session;
  switch (kind) {
    case Tab.FRAME:
      if (link instanceof TabLink && link.leader === from) {
        inbound.receive(session, link.conn, payload);
      }
      return;
    case Tab.OUT:
      // By no later connection: what that tab sent before may be lost, and goes first on the next.
      if (link?.established && link.conn === a) {
        const [id, text] = payload as [string, string];
        call((engine, now) => link.passedOn?.add(id, text, () => engine.pass_on(now)));
      }
      return;
    case Tab.ASK: {
      const { have, id, at } = (more ?? {}) as Partial<Question>;
      // What it is missing of streams is here; the server need not say it again. Whoever does
      // not lead any more, or reads another history, has nothing to say.
      if (link?.established?.epoch === payload) {
        for (const text of inbound.streams?.frames(have) ?? []) {
          session.tabs?.post(Tab.FRAME, from, 0, 0, 0, text);
        }
      }
      return call((engine, now) => {
        const epoch = inbound.epochNumber(payload);
        const number = inbound.idNumber(id);
        const isInDoubt = claim(inbound, link, have, number !== 0);
        engine.ask(a, number, epoch, now);
        // Only the server can tell whose text is that of this history.
        if (isInDoubt && number === 0) {
          if (at?.[1]) {
            engine.ask(at[0], inbound.idNumber(at[1]), epoch, now);
          } else if (!inbound.streams) {
            engine.request_pending(now);
          }
        }
      });
    }
    case Tab.WELCOME:
      session.through = a;
      return inbound.welcome(session, from, to === 0 ? 1 : 0, payload as Message);
    default:
      return call((engine, now) => engine.tab(from, kind, a, b, c, now));
  }
}

/**
 * Another tab shows streams and has this of them. Then the server has to send them here, whether
 * anybody looks at them in this tab or not. Answers whether it has to be asked.
 */
function claim(
  { streams }: Inbound,
  link: Link | null,
  have: Have | undefined,
  proves: boolean,
): boolean {
  if (!have || !link || streams) {
    return streams?.claim(have ?? [], proves) ?? false;
  }
  const claims = [...(link.claims ?? []), ...have].map((each) => ({ ...each, check: true }));
  // Once each: a tab that repeats its question leaves the others' their room.
  const each = new Map(claims.map((claim) => [JSON.stringify(claim), claim]));
  link.claims = [...each.values()].slice(0, STREAMS_KNOWN_MAX);
  return true;
}

/**
 * Tells a tab, or all (0), that this one is connected, and where it is: `behind` is its position behind
 * 1, and 0 if the server checks no positions.
 */
export function postWelcome(
  { link, tabs }: Session,
  id: unknown,
  head: number,
  cursor: number,
  behind: number,
  to: number,
): void {
  if (link?.established) {
    const proved = behind > 0 && { position: behind - 1, position_id: id };
    const established = { ...link.established, head, cursor, ...proved };
    tabs?.post(Tab.WELCOME, to, link.conn, 0, 0, established);
  }
}
