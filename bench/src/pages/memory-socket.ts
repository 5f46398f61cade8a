import type { WebSocketConstructor, WebSocketLike } from 'tetherline';

/**
 * A socket without a network, so that only what happens after a frame has come is measured. It plays
 * the server's part of getting connected.
 */
export class MemorySocket implements WebSocketLike {
  static latest: MemorySocket | undefined;
  onopen: WebSocketLike['onopen'] = null;
  onmessage: WebSocketLike['onmessage'] = null;
  onclose: WebSocketLike['onclose'] = null;
  onerror: WebSocketLike['onerror'] = null;
  /** How many frames were sent, acknowledgements most of all. */
  sent = 0;

  constructor() {
    MemorySocket.latest = this;
    queueMicrotask(() => {
      this.onopen?.(undefined as never);
      this.receive(ESTABLISHED);
    });
  }

  receive(data: string): void {
    this.onmessage?.({ data });
  }

  send(text: string): void {
    this.sent += 1;
    if (text.startsWith('{"type":"get_pending"')) {
      queueMicrotask(() => this.receive(COMPLETE));
    }
  }

  close(): void {
    this.onmessage = null;
  }
}

export const MemoryWebSocket: WebSocketConstructor = MemorySocket;

export const ESTABLISHED = JSON.stringify({
  type: 'connection_established',
  connection_id: 'bench',
  user_uuid: 'reader',
  protocol: 'tetherline.v1',
  epoch: 'bench',
  head: 0,
  cursor: 0,
  heartbeat_interval_ms: 30_000,
  token_expires_in_ms: 3_600_000,
  limits: { message_bytes_max: 65_536 },
});

export const COMPLETE = JSON.stringify({
  type: 'pending_check_complete',
  data: { delivered: 0, head: 0, recovered: true, streams: [] },
});
