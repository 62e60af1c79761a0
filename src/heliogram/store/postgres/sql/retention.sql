-- name: first_leaving
-- An operation that is gone, of which something is left; not of a day that is going as a whole.
SELECT l.account_id, l.operation_id FROM leaving l
 WHERE NOT EXISTS (SELECT 1 FROM going g WHERE l.operation_id >= g.low AND l.operation_id < g.high) LIMIT 1;

-- name: ended_operations
-- What ended longest ago, from a place on.
SELECT finished, account_id, id FROM operation
 WHERE finished <= :before AND (finished, account_id, id) > (:finished, :account, :operation)
 ORDER BY finished, account_id, id LIMIT :limit;

-- name: delete_operation
-- From here on nobody sees it.
DELETE FROM operation WHERE account_id = :account AND id = :operation;

-- name: keep_leaving
-- The rest of it is removed later.
INSERT INTO leaving (account_id, operation_id) VALUES (:account, :operation) ON CONFLICT DO NOTHING;

-- name: delete_leaving
-- Nothing of it is left.
DELETE FROM leaving WHERE account_id = :account AND operation_id = :operation;

-- name: chunks_of
-- The chunks of an operation, with the bytes of their recipients and fingerprints.
SELECT c.first, length(r.packed), length(u.fingerprints)
  FROM chunk c
  LEFT JOIN chunk_recipients r
    ON r.account_id = c.account_id AND r.operation_id = c.operation_id AND r.first = c.first
  LEFT JOIN chunk_user u ON u.account_id = c.account_id AND u.operation_id = c.operation_id AND u.first = c.first
 WHERE c.account_id = :account AND c.operation_id = :operation
 ORDER BY c.first LIMIT :limit;

-- name: parts_of
-- The result parts of a chunk, with their bytes.
SELECT sequence, length(packed) FROM chunk_result
 WHERE account_id = :account AND operation_id = :operation AND first = :first
 ORDER BY part LIMIT :limit;

-- name: delete_part
-- A result part.
DELETE FROM chunk_result
 WHERE account_id = :account AND operation_id = :operation AND first = :first AND sequence = :sequence;

-- name: delete_recipients
-- A chunk's recipients.
DELETE FROM chunk_recipients WHERE account_id = :account AND operation_id = :operation AND first = :first;

-- name: delete_fingerprints
-- Its users' fingerprints.
DELETE FROM chunk_user WHERE account_id = :account AND operation_id = :operation AND first = :first;

-- name: delete_chunk
-- The chunk itself, last.
DELETE FROM chunk WHERE account_id = :account AND operation_id = :operation AND first = :first;

-- name: readers
-- The webhooks of an account that are still to be told, and how far they are with results.
SELECT id, types, result_cursor FROM webhook WHERE account_id = :account AND state <> 'disabled';

-- name: last_part_of
-- The last result part of an operation. The sum keeps the planner from walking the account's parts from their end.
SELECT max(sequence + 0) FROM chunk_result WHERE account_id = :account AND operation_id = :operation;

-- name: untold
-- How the recipients ended of those chunks of which a webhook was told nothing.
SELECT coalesce(sum(c.sent), 0), coalesce(sum(c.failed + c.unaddressable), 0), coalesce(sum(c.canceled), 0)
  FROM chunk c
 WHERE c.account_id = :account AND c.operation_id = :operation
   AND NOT EXISTS (SELECT 1 FROM chunk_result r
                    WHERE r.account_id = c.account_id AND r.operation_id = c.operation_id AND r.first = c.first
                      AND r.sequence <= :told);

-- name: count_skipped
-- Events that were given up.
UPDATE webhook SET skipped = skipped + :skipped WHERE account_id = :account AND id = :webhook;

-- name: deleted_users
-- Users that were deleted longest ago.
SELECT account_id, id FROM app_user WHERE deleted <= :before ORDER BY deleted LIMIT :limit;

-- name: delete_user
-- The entry of a deleted user.
DELETE FROM app_user WHERE account_id = :account AND id = :user;
