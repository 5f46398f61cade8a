/** A message of a chat: what a backend publishes, and the server puts its header in front of. */
export const CHARACTERS = 255;

const SENTENCES = {
  ascii: 'The quick brown fox jumps over the lazy dog while nobody watches. ',
  other: 'Füchse — schnelle, braune 🦊 — springen über träge Hunde, 誰も見ていない間に。 ',
} as const;

export type Alphabet = keyof typeof SENTENCES;

/** One frame as the server writes it. */
export function chatFrame(seq: number, alphabet: Alphabet, type = 'message_generate'): string {
  return JSON.stringify({
    type,
    id: `01890000-0000-7000-8000-${String(seq).padStart(12, '0')}`,
    seq,
    timestamp: '2026-11-23T20:15:00.000Z',
    conversation_uuid: '3e0f7c5a-6c1b-4a53-9b50-6f6c2a1d9e77',
    message: SENTENCES[alphabet].repeat(5).slice(0, CHARACTERS),
  });
}
