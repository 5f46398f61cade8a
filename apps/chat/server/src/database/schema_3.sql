-- Version 3. A publication is kept for a while after the mailbox has it, with its position there. If the
-- mailbox comes back from a backup that is older than this database, it is brought there again.

ALTER TABLE publications ADD COLUMN sent_at INTEGER;
ALTER TABLE publications ADD COLUMN seq INTEGER;
ALTER TABLE publications ADD COLUMN is_again INTEGER NOT NULL DEFAULT 0;
CREATE INDEX publications_unsent ON publications (position) WHERE sent_at IS NULL;
CREATE INDEX publications_sent ON publications (sent_at) WHERE sent_at IS NOT NULL;
