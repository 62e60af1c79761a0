-- name: insert_key
-- A new API key.
INSERT INTO api_key (account_id, id, name, hash, scopes, created, revoked, expires, lifetime)
VALUES (:account, :id, :name, :hash, :scopes, :created, :revoked, :expires, :lifetime);

-- name: count_good
-- How many keys of an account are good at a moment.
SELECT count(*) FROM api_key
 WHERE account_id = :account AND revoked IS NULL AND (expires IS NULL OR expires > :at);

-- name: get_key
-- A key of an account.
SELECT account_id, id, name, hash, scopes, created, revoked, expires, last_used, lifetime
  FROM api_key WHERE account_id = :account AND id = :id;

-- name: list_keys
-- Keys of an account, newest first.
SELECT account_id, id, name, hash, scopes, created, revoked, expires, last_used, lifetime
  FROM api_key
 WHERE account_id = :account AND id >= :low AND id < :before
 ORDER BY id DESC LIMIT :limit;

-- name: is_last_admin
-- 1 when the key is good and may do everything, and no other good key of its account may.
SELECT 1 FROM api_key k
 WHERE account_id = :account AND id = :id AND revoked IS NULL AND (expires IS NULL OR expires > :at)
   AND ' ' || scopes || ' ' LIKE '% admin %'
   AND NOT EXISTS (
     SELECT 1 FROM api_key other
      WHERE other.account_id = :account AND other.id <> k.id AND other.revoked IS NULL
        AND (other.expires IS NULL OR other.expires > :at) AND ' ' || other.scopes || ' ' LIKE '% admin %');

-- name: revoke_key
-- Ends a key that was not revoked before.
UPDATE api_key SET revoked = :at WHERE account_id = :account AND id = :id AND revoked IS NULL;

-- name: end_key
-- Lets a key that is good at a moment end at a later one, if it would not end before.
UPDATE api_key SET expires = min(coalesce(expires, :ends), :ends)
 WHERE account_id = :account AND id = :id AND revoked IS NULL AND (expires IS NULL OR expires > :at);

-- name: renew_key
-- Another secret for a key whose secret nobody was told.
UPDATE api_key SET hash = :hash WHERE account_id = :account AND id = :id AND hash = :before;

-- name: find_caller
-- The key with this id, of whichever account, and that account.
SELECT k.account_id, k.id, k.name, k.hash, k.scopes, k.created, k.revoked, k.expires, k.last_used, k.lifetime,
       a.id, a.name, a.created, a.limits, a.disabled
  FROM api_key k JOIN account a ON a.id = k.account_id WHERE k.id = :id;

-- name: touch_key
-- Notes that a key was used, a minute or more after the last note.
UPDATE api_key SET last_used = :at
 WHERE account_id = :account AND id = :id AND (last_used IS NULL OR last_used <= :at - 60000);

-- name: prune_keys
-- Removes keys that ended long ago, a slice at a time.
DELETE FROM api_key
 WHERE account_id = :account
   AND id IN (SELECT id FROM api_key
               WHERE account_id = :account AND (revoked < :before OR expires < :before) ORDER BY id LIMIT :limit);
