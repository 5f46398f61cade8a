/** So many bytes are one character. */
const FREQUENT = 89;

/** The engine's bytes from what scripts/build-engine.mjs has written. */
export function decode(text: string): Uint8Array<ArrayBuffer> {
  const order = new Set<number>();
  for (let index = 0; index < 2 * FREQUENT; index += 2) {
    order.add(parseInt(text.slice(index, index + 2), 16));
  }
  for (let byte = 0; byte < 256; byte++) {
    order.add(byte);
  }
  const bytes = [...order];
  const decoded: number[] = [];
  let page = 0;
  for (let index = 2 * FREQUENT; index < text.length; index++) {
    const code = text.charCodeAt(index);
    const place = code - (code < 92 ? 35 : 36);
    if (place < FREQUENT) {
      decoded.push(bytes[page + place] ?? 0);
      page = 0;
    } else {
      page = FREQUENT * (place - FREQUENT + 1);
    }
  }
  return new Uint8Array(decoded);
}
