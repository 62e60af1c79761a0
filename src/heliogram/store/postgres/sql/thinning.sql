-- name: count_parts
-- How many result parts a chunk has that this attempt holds.
SELECT parts FROM chunk
 WHERE account_id = :account AND operation_id = :operation AND first = :first AND attempt = :attempt AND state = 1;

-- name: parts
-- What was recorded of a chunk, in the order it was.
SELECT sequence, packed FROM chunk_result
 WHERE account_id = :account AND operation_id = :operation AND first = :first ORDER BY part;

-- name: told
-- Up to which part every webhook of an account was told; none without a webhook.
SELECT min(result_cursor) FROM webhook WHERE account_id = :account AND state <> 'disabled';

-- name: delete_part
-- A part that says nothing any more.
DELETE FROM chunk_result
 WHERE account_id = :account AND operation_id = :operation AND first = :first AND sequence = :sequence;

-- name: replace_part
-- A part with less in it.
UPDATE chunk_result SET part = :part, packed = :packed
 WHERE account_id = :account AND operation_id = :operation AND first = :first AND sequence = :sequence;

-- name: renumber_part
-- A part that stays as it is.
UPDATE chunk_result SET part = :part
 WHERE account_id = :account AND operation_id = :operation AND first = :first AND sequence = :sequence;

-- name: set_parts
-- How many are left.
UPDATE chunk SET parts = :parts WHERE account_id = :account AND operation_id = :operation AND first = :first;
