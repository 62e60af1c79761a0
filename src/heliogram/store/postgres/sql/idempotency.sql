-- name: find_key
-- What is known of a key.
SELECT fingerprint, ident, created, held, status, headers, sealed FROM idempotency
 WHERE account_id = :account AND key = :key;

-- name: put_key
-- A key for a request that is about to be handled, in place of what there was.
INSERT INTO idempotency (account_id, key, fingerprint, ident, created, held)
VALUES (:account, :key, :fingerprint, :ident, :now, :until)
ON CONFLICT (account_id, key) DO UPDATE
   SET fingerprint = excluded.fingerprint, ident = excluded.ident, created = excluded.created, held = excluded.held,
       status = NULL, headers = NULL, sealed = NULL;

-- name: hold_key
-- Somebody handles the request again. As long as there is no answer, its headers say who.
UPDATE idempotency SET held = :until, headers = :owner WHERE account_id = :account AND key = :key;

-- name: keep_answer
-- The answer to the request that holds the key; once more, it is the same.
UPDATE idempotency SET status = :status, headers = :headers, sealed = :sealed
 WHERE account_id = :account AND key = :key AND ident = :ident
   AND (status IS NULL AND coalesce(headers, '') = :owner OR sealed = :sealed AND status = :status);

-- name: free_key
-- The request was not done.
UPDATE idempotency SET held = NULL
 WHERE account_id = :account AND key = :key AND ident = :ident AND status IS NULL AND coalesce(headers, '') = :owner;

-- name: prune
-- Forgets some of the keys whose time is over, the oldest first.
DELETE FROM idempotency
 WHERE (account_id, key) IN (SELECT account_id, key FROM idempotency
                              WHERE created <= :before ORDER BY created LIMIT :most FOR UPDATE SKIP LOCKED);

-- name: let_go
-- Nobody handles a request any more: what a crash of the store's only user left behind.
UPDATE idempotency SET held = 0 WHERE status IS NULL AND held > 0;
