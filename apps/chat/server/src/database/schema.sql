-- Version 1. Times are milliseconds since 1970. Everything a person owns is keyed by the person
-- first: the name of a message is chosen by its sender, so it is unique for that sender only, and
-- no query can reach over to somebody else by accident.

CREATE TABLE users (
    uuid          TEXT    NOT NULL PRIMARY KEY,
    email         TEXT    NOT NULL UNIQUE,
    name          TEXT    NOT NULL,
    password_hash TEXT    NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One sign-in on one device; its refresh tokens are a family that lives and dies together.
CREATE TABLE sign_ins (
    uuid       TEXT    NOT NULL PRIMARY KEY,
    user_uuid  TEXT    NOT NULL REFERENCES users (uuid) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX sign_ins_by_expiry ON sign_ins (expires_at);

CREATE TABLE refresh_tokens (
    hash         BLOB NOT NULL PRIMARY KEY,
    sign_in_uuid TEXT NOT NULL REFERENCES sign_ins (uuid) ON DELETE CASCADE,
    used_at      INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_tokens_by_sign_in ON refresh_tokens (sign_in_uuid);

CREATE TABLE conversations (
    user_uuid  TEXT    NOT NULL REFERENCES users (uuid) ON DELETE CASCADE,
    uuid       TEXT    NOT NULL,
    title      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (user_uuid, uuid)
) STRICT, WITHOUT ROWID;
CREATE INDEX conversations_newest_first ON conversations (user_uuid, updated_at DESC);

CREATE TABLE messages (
    position          INTEGER PRIMARY KEY AUTOINCREMENT,
    user_uuid         TEXT    NOT NULL,
    uuid              TEXT    NOT NULL,
    conversation_uuid TEXT    NOT NULL,
    role              TEXT    NOT NULL CHECK (role IN ('user', 'assistant')),
    content           TEXT    NOT NULL,
    error_code        TEXT,
    error_message     TEXT,
    reply_to          TEXT,
    created_at        INTEGER NOT NULL,
    UNIQUE (user_uuid, uuid),
    FOREIGN KEY (user_uuid, conversation_uuid)
        REFERENCES conversations (user_uuid, uuid) ON DELETE CASCADE
) STRICT;
CREATE INDEX messages_in_order ON messages (user_uuid, conversation_uuid, position);

-- A question (or a wish for another answer) and what has become of it. `send_id` is what makes a
-- repeated send recognisable.
CREATE TABLE jobs (
    position          INTEGER PRIMARY KEY AUTOINCREMENT,
    user_uuid         TEXT    NOT NULL,
    send_id           TEXT    NOT NULL,
    kind              TEXT    NOT NULL CHECK (kind IN ('generate', 'regenerate')),
    conversation_uuid TEXT    NOT NULL,
    question_uuid     TEXT    NOT NULL,
    answer_uuid       TEXT    NOT NULL,
    created_at        INTEGER NOT NULL,
    done_at           INTEGER,
    UNIQUE (user_uuid, send_id),
    FOREIGN KEY (user_uuid, conversation_uuid)
        REFERENCES conversations (user_uuid, uuid) ON DELETE CASCADE
) STRICT;
CREATE INDEX jobs_waiting ON jobs (position) WHERE done_at IS NULL;
CREATE INDEX jobs_waiting_of_user ON jobs (user_uuid) WHERE done_at IS NULL;

-- What is committed here and not yet in the mailbox. A row leaves once the mailbox has it.
CREATE TABLE publications (
    position  INTEGER PRIMARY KEY AUTOINCREMENT,
    user_uuid TEXT NOT NULL,
    key       TEXT NOT NULL,
    frame     TEXT NOT NULL,
    UNIQUE (user_uuid, key)
) STRICT;
