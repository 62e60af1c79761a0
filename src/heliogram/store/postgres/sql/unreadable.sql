-- name: due_keys
-- What is due in a shard, the longest due first.
SELECT account_id, operation_id, first FROM chunk
 WHERE lane = :lane AND shard = :shard AND state < 2 AND due <= :now ORDER BY due LIMIT :limit;

-- name: recipients
-- Who is in a chunk.
SELECT packed FROM chunk_recipients WHERE account_id = :account AND operation_id = :operation AND first = :first;

-- name: operation
-- All that a claim reads of an operation.
SELECT spec, created, send_at, status, canceled FROM operation WHERE account_id = :account AND id = :operation;

-- name: parts
-- What was recorded of a chunk, in the order it was.
SELECT packed FROM chunk_result
 WHERE account_id = :account AND operation_id = :operation AND first = :first ORDER BY part;

-- name: chunk
-- A chunk that is not done.
SELECT size, sent, failed, unaddressable, canceled, parts, attempt FROM chunk
 WHERE account_id = :account AND operation_id = :operation AND first = :first AND state < 2 FOR NO KEY UPDATE;

-- name: fail_rest
-- Ends a chunk: whoever had not ended has failed.
UPDATE chunk
   SET state = 2, due = :at, parts = :parts, failed = size - sent - unaddressable - canceled,
       updated = greatest(updated, :at), held = NULL, worker = '', attempt = attempt + 1
 WHERE account_id = :account AND operation_id = :operation AND first = :first;

-- name: insert_part
-- A result part.
INSERT INTO chunk_result (account_id, operation_id, first, part, attempt, packed)
VALUES (:account, :operation, :first, :parts, :attempt, :packed);

-- name: begin_operation
-- A scheduled operation ends as one that has begun.
UPDATE operation SET status = 'PROCESSING', updated = greatest(updated, :at)
 WHERE account_id = :account AND id = :operation AND status = 'SCHEDULED';

-- name: put_off
-- Lets a chunk wait.
UPDATE chunk SET state = 0, due = :due, worker = ''
 WHERE account_id = :account AND operation_id = :operation AND first = :first AND state < 2;
