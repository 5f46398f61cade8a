import type { Loop } from '../core/engine/loop.js';
import type { Session } from '../core/session.js';
import { inspector, type Tap } from '../core/page/tap.js';
import { CONNECTION_ESTABLISHED, PONG } from '../generated/protocol.js';
import type { Client, Handler, Message, MessageMeta, TetherlineError } from '../index.js';
import { ClientRecord } from './client-record.js';
import { breakOff } from './faults.js';
import { recordOutput } from './outputs.js';
import type { HandlerRecord } from './records.js';

/** Remembers what the clients of this page do, from its first moment on. */
export class Recorder implements Tap {
  readonly #clients = new Map<Client, ClientRecord>();
  readonly #sessions = new WeakMap<Session, ClientRecord>();
  readonly #listeners = new Set<() => void>();
  /** Whose frame came last: what handlers are called for. */
  #current: ClientRecord | null = null;
  #version = 0;
  #isTelling = false;

  of(client: Client): ClientRecord {
    let record = this.#clients.get(client);
    if (!record) {
      record = new ClientRecord(client, () => this.#changed());
      this.#clients.set(client, record);
    }
    return record;
  }

  readonly getVersion = (): number => this.#version;

  /** Calls back once per frame, however much has changed. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  output(
    client: Client,
    session: Session,
    loop: Loop | undefined,
    output: number,
    a: number,
    b: number,
  ): void {
    const record = this.of(client);
    record.session = session;
    record.loop = loop;
    this.#sessions.set(session, record);
    recordOutput(record, session, output, a, b);
    record.tabs.follow(session);
    if (record.isCut) {
      queueMicrotask(() => breakOff(record));
    }
  }

  received(session: Session, data: unknown): void {
    const record = this.#sessions.get(session);
    this.#current = record ?? null;
    if (!record) {
      return;
    }
    const isShared = session.link !== null && 'leader' in session.link;
    const frame = record.frame('in', typeof data === 'string' ? data : '(binary)', isShared);
    if (frame?.type === PONG) {
      record.ends('ping', 'ping');
    } else if (frame?.type === CONNECTION_ESTABLISHED) {
      record.established = frame;
      record.moment('The server has accepted the connection.', 'good');
    }
  }

  notSent(client: Client, sent: unknown, { code, message, ref }: TetherlineError): void {
    const type = String((sent as Message | undefined)?.type);
    const which = ref === undefined ? type : `${type} (${ref})`;
    this.of(client).moment(`Send ${which} was not taken: ${code}. ${message}`, 'bad');
  }

  call(handler: Handler, message: Message, meta: MessageMeta): unknown {
    const record = this.#current?.handler(message.type, handler);
    return record ? measured(record, () => handler(message, meta)) : handler(message, meta);
  }

  #changed(): void {
    this.#version += 1;
    if (!this.#isTelling && this.#listeners.size > 0) {
      this.#isTelling = true;
      requestAnimationFrame(() => {
        this.#isTelling = false;
        this.#listeners.forEach((listener) => listener());
      });
    }
  }
}

/** One per page: whatever the client does is heard here, and nowhere else. */
export const recorder = new Recorder();
inspector.tap = recorder;

function measured(record: HandlerRecord, call: () => unknown): unknown {
  const startedAt = performance.now();
  record.calls += 1;
  try {
    const result = call();
    if (typeof (result as PromiseLike<unknown> | undefined)?.then === 'function') {
      record.pending += 1;
      (result as PromiseLike<unknown>).then(
        () => {
          record.pending -= 1;
        },
        (error: unknown) => {
          record.pending -= 1;
          failed(record, error);
        },
      );
    }
    return result;
  } catch (error) {
    failed(record, error);
    throw error;
  } finally {
    const took = performance.now() - startedAt;
    record.totalMs += took;
    record.longestMs = Math.max(record.longestMs, took);
  }
}

function failed(record: HandlerRecord, error: unknown): void {
  record.errors += 1;
  record.lastError = String(error);
}
