-- name: insert_first_account
-- The account that an instance starts with, unless there is one.
INSERT INTO account (id, name, created)
SELECT :id, :name, :created WHERE NOT EXISTS (SELECT 1 FROM account);

-- name: first_account
-- The account that an instance started with.
SELECT id, name, created FROM account ORDER BY created, id LIMIT 1;

-- name: insert_key
-- A new API key.
INSERT INTO api_key (account_id, id, name, hash, scopes, created, revoked)
VALUES (:account, :id, :name, :hash, :scopes, :created, :revoked);

-- name: list_keys
-- All keys of an account, newest first.
SELECT account_id, id, name, hash, scopes, created, revoked
  FROM api_key WHERE account_id = :account ORDER BY created DESC, id DESC;

-- name: revoke_key
-- Ends a key that is still good.
UPDATE api_key SET revoked = :at WHERE account_id = :account AND id = :id AND revoked IS NULL;

-- name: find_key
-- The key with this id, of whichever account.
SELECT account_id, id, name, hash, scopes, created, revoked FROM api_key WHERE id = :id;
