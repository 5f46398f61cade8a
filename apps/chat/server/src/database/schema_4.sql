-- Version 4. A person's sign-ins are bounded in number, and forgotten by no clock.

DROP INDEX sign_ins_by_expiry;
CREATE INDEX sign_ins_of_user ON sign_ins (user_uuid, expires_at);
