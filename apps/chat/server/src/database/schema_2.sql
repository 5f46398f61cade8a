-- Version 2. Conversations are trees: a message follows its parent, and siblings are versions of each
-- other. Answers grow in attempts, and may end otherwise than whole.

ALTER TABLE messages ADD COLUMN parent TEXT;
ALTER TABLE messages ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
-- The attempt that an answer's text is from; a question has none, nor has an answer of version 1.
ALTER TABLE messages ADD COLUMN attempt INTEGER;
ALTER TABLE messages ADD COLUMN status TEXT NOT NULL DEFAULT 'complete'
    CHECK (status IN ('complete', 'stopped', 'failed', 'interrupted'));
UPDATE messages SET status = 'failed' WHERE error_code IS NOT NULL;

-- An answer followed its question. A question followed the answer to the question before it, even
-- one that is still to come.
UPDATE messages SET parent = reply_to WHERE role = 'assistant';
UPDATE messages AS m SET parent = (
    SELECT coalesce(
        (SELECT a.uuid FROM messages a
         WHERE a.user_uuid = q.user_uuid AND a.reply_to = q.uuid LIMIT 1),
        (SELECT j.answer_uuid FROM jobs j
         WHERE j.user_uuid = q.user_uuid AND j.question_uuid = q.uuid LIMIT 1),
        q.uuid)
    FROM messages q
    WHERE q.user_uuid = m.user_uuid AND q.conversation_uuid = m.conversation_uuid
      AND q.role = 'user' AND q.position < m.position
    ORDER BY q.position DESC LIMIT 1
) WHERE role = 'user';
ALTER TABLE messages DROP COLUMN reply_to;
CREATE INDEX messages_by_parent ON messages (user_uuid, conversation_uuid, parent, position);

ALTER TABLE jobs ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
-- The attempt that was begun. After a crash it tells what is to be ended from what is to be begun.
ALTER TABLE jobs ADD COLUMN attempt INTEGER;
ALTER TABLE jobs ADD COLUMN stopped_at INTEGER;
CREATE INDEX jobs_waiting_of_answer ON jobs (user_uuid, answer_uuid) WHERE done_at IS NULL;

-- A publication that ends an answer names it, and says with what. `frame` is the same message whole,
-- for a mailbox that does not know the answer (any more).
ALTER TABLE publications ADD COLUMN message_uuid TEXT;
ALTER TABLE publications ADD COLUMN attempt INTEGER;
ALTER TABLE publications ADD COLUMN ending TEXT;
