-- name: app_is_default
-- 1 when this app is the account's default, 0 when another is.
SELECT is_default FROM app WHERE account_id = :account AND name = :app AND leaving IS NULL;

-- name: clear_default_app
-- No app is the account's default any more.
UPDATE app SET is_default = 0, updated = :at WHERE account_id = :account AND is_default = 1;

-- name: make_default_app
-- This app is the account's default.
UPDATE app SET is_default = 1, updated = :at WHERE account_id = :account AND name = :app;

-- name: make_default_credential
-- This credential is its app's default for its type.
UPDATE credential SET is_default = 1, updated = :at WHERE account_id = :account AND id = :id;

-- name: rotate
-- New content in place of the old; whoever was told of the old one's end is told anew.
UPDATE credential SET public = :public, sealed = :sealed, revision = revision + 1, warned = NULL, last_check = NULL,
       updated = :at
 WHERE account_id = :account AND id = :id;

-- name: reconnect
-- Every connection is to be opened anew.
UPDATE credential SET epoch = epoch + 1, updated = :at WHERE account_id = :account AND id = :id;

-- name: note_check
-- What the provider said of its content when it was last asked; content that is no more tells nothing.
UPDATE credential SET last_check = :check WHERE account_id = :account AND id = :id AND revision = :revision;

-- name: same_key
-- The account's good credentials that hold the same key: the same team and key id, or the same certificate.
SELECT account_id, id, app_name, type, form, public, is_default, created, updated, revision, epoch, revoked,
       last_check
  FROM credential
 WHERE account_id = :account AND revoked IS NULL
   AND (id = :id
        OR json_extract(public, '$.teamId') || '/' || json_extract(public, '$.keyId') = :key
        OR json_extract(public, '$.fingerprint') = :key)
 ORDER BY id;

-- name: revoke
-- It sends nothing any more, and is no default.
UPDATE credential SET revoked = :at, is_default = 0, updated = :at WHERE account_id = :account AND id = :id;

-- name: states
-- What the connections of the account's credentials must follow.
SELECT id, revision, epoch, revoked FROM credential WHERE account_id = :account;

-- name: ending
-- Good certificates of every account that end within the time, and of which less was said.
SELECT account_id, id, app_name, type, form, public, is_default, created, updated, revision, epoch, revoked,
       last_check
  FROM credential
 WHERE revoked IS NULL AND json_extract(public, '$.notAfter') < :before AND coalesce(warned, :days + 1) > :days;

-- name: warn
-- So many days before its end it was told.
UPDATE credential SET warned = :days WHERE account_id = :account AND id = :id;
