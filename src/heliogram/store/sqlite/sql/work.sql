-- name: due_chunks
-- What is due in one shard, the longest due first: not done, and neither leased nor its lease still good.
SELECT c.account_id, c.operation_id, c.first, c.attempt, r.packed, o.spec, o.created
  FROM (SELECT account_id, operation_id, first, attempt, due FROM chunk
         WHERE lane = :lane AND shard = :shard AND state < 2 AND due <= :now
         ORDER BY due LIMIT :limit) c
  JOIN chunk_recipients r
    ON r.account_id = c.account_id AND r.operation_id = c.operation_id AND r.first = c.first
  JOIN operation o ON o.account_id = c.account_id AND o.id = c.operation_id
 ORDER BY c.due, c.operation_id, c.first;

-- name: claim_chunk
-- Hands a chunk to a worker; the attempt fences off whoever had it before.
UPDATE chunk SET state = 1, attempt = attempt + 1, due = :until, worker = :worker
 WHERE account_id = :account AND operation_id = :operation AND first = :first;

-- name: next_due
-- When the next chunk of a shard falls due or its lease expires.
SELECT min(due) FROM chunk WHERE lane = :lane AND shard = :shard AND state < 2;

-- name: extend_lease
-- Keeps a lease alive.
UPDATE chunk SET due = :until
 WHERE account_id = :account AND operation_id = :operation AND first = :first AND attempt = :attempt AND state = 1;

-- name: count_part
-- The chunk's counters with one more part, and that part's number.
UPDATE chunk
   SET parts = parts + 1, sent = :sent, failed = :failed, unaddressable = :unaddressable, canceled = :canceled,
       updated = max(updated, :at)
 WHERE account_id = :account AND operation_id = :operation AND first = :first AND attempt = :attempt AND state = 1
RETURNING parts;

-- name: insert_part
-- A result part.
INSERT INTO chunk_result (account_id, operation_id, first, part, attempt, packed)
VALUES (:account, :operation, :first, :part, :attempt, :packed);

-- name: parts
-- What was recorded of a chunk, in the order it was.
SELECT packed FROM chunk_result
 WHERE account_id = :account AND operation_id = :operation AND first = :first ORDER BY part;

-- name: finish_chunk
-- The chunk is done.
UPDATE chunk SET state = 2, due = :at, updated = max(updated, :at)
 WHERE account_id = :account AND operation_id = :operation AND first = :first AND attempt = :attempt AND state = 1;

-- name: complete_operation
-- The operation is completed once all its chunks are done.
UPDATE operation SET status = 'COMPLETED', finished = :at, updated = max(updated, :at)
 WHERE account_id = :account AND id = :operation AND status = 'PROCESSING'
   AND NOT EXISTS (SELECT 1 FROM chunk
                    WHERE account_id = :account AND operation_id = :operation AND state < 2);

-- name: release_chunk
-- Gives a chunk back until it falls due.
UPDATE chunk SET state = 0, due = :due, worker = ''
 WHERE account_id = :account AND operation_id = :operation AND first = :first AND attempt = :attempt AND state = 1;

-- name: release_all
-- Gives every leased chunk back at once: what a crash of the store's only user left behind.
UPDATE chunk INDEXED BY chunk_due SET state = 0, due = :now, worker = '' WHERE state < 2 AND state = 1;
