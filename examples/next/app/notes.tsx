'use client';

import { useEffect, useState } from 'react';
import type { MessageOf } from 'tetherline';
import { useConnection, useWebSocketContext } from 'tetherline/react';

type Note = MessageOf<'note_new'>;

/** What has come since the page was opened. */
export function Notes({ user }: { user: string }) {
  const { registerHandlers, send } = useWebSocketContext();
  const waiting = useConnection((snapshot) => snapshot.outboxLength);
  const [notes, setNotes] = useState<Note[]>([]);
  const [to, setTo] = useState('');
  const [text, setText] = useState('');
  const [problem, setProblem] = useState('');

  useEffect(
    () => registerHandlers({ note_new: (note) => setNotes((notes) => [...notes, note]) }),
    [registerHandlers],
  );

  const write = () => {
    setText('');
    // Resolves when the backend has taken it, be it after hours without a network.
    send({ type: 'note', to, text }).then(
      () => setProblem(''),
      (error: unknown) => setProblem(`"${text}" was not taken: ${reason(error)}`),
    );
  };

  return (
    <>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          write();
        }}
      >
        <label>
          To
          <input
            name="to"
            value={to}
            onChange={(event) => setTo(event.target.value)}
            required
            pattern="[a-z0-9]{1,32}"
            title="Small letters and digits"
          />
        </label>
        <label>
          Note
          <input
            name="text"
            value={text}
            onChange={(event) => setText(event.target.value)}
            required
            maxLength={500}
          />
        </label>
        <button>Send</button>
      </form>
      <p role="status" aria-label="Outbox" className="hint">
        {waiting > 0 && `${waiting} waiting to be sent`}
      </p>
      {problem && <p role="alert">{problem}</p>}
      <ol aria-label="Notes" aria-live="polite">
        {notes.map((note) => (
          <li key={note.id} className={note.from === user ? 'mine' : undefined}>
            <b>{note.from === user ? `to ${note.to}` : note.from}</b> {note.text}
          </li>
        ))}
      </ol>
      {notes.length === 0 && <p className="hint">Nothing has come yet.</p>}
    </>
  );
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
