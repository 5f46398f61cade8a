/** Frames of a stream. */
export const start = (uuid: string, attempt = 1) => ({
  type: 'message_start',
  message_uuid: uuid,
  attempt,
  ref: 'asked',
  conversation_uuid: 'c1',
});

export const delta = (uuid: string, offset: number, text: string, attempt = 1) => ({
  type: 'message_delta',
  message_uuid: uuid,
  attempt,
  offset,
  text,
});

/** What it becomes. */
export const end = (uuid: string, content: string, fields: object = {}) => ({
  type: 'message_generate',
  message_uuid: uuid,
  attempt: 1,
  status: 'complete',
  message: { uuid, content },
  ...fields,
});
