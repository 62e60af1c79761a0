-- name: chunk_to_cancel
-- The chunk that holds a recipient, and where it stands: so it stays until this transaction has ended.
SELECT c.first, c.size, c.state, c.attempt, c.claimed, r.packed, o.status, o.canceled
  FROM chunk c
  JOIN chunk_recipients r
    ON r.account_id = c.account_id AND r.operation_id = c.operation_id AND r.first = c.first
  JOIN operation o ON o.account_id = c.account_id AND o.id = c.operation_id
 WHERE c.account_id = :account AND c.operation_id = :operation
   AND c.first = (SELECT max(first) FROM chunk
                   WHERE account_id = :account AND operation_id = :operation AND first <= :sequence)
   FOR NO KEY UPDATE OF c;

-- name: operation_to_cancel
-- Where an operation stands. Whoever ends or gives back a chunk of it, or cancels of it, waits from here on.
SELECT status, canceled FROM operation WHERE account_id = :account AND id = :operation FOR NO KEY UPDATE;

-- name: waiting_chunks
-- The chunks of an operation that no worker holds and that are not done; nobody can take them any more.
SELECT first FROM chunk
 WHERE account_id = :account AND operation_id = :operation AND state = 0
 ORDER BY first FOR NO KEY UPDATE;

-- name: ask_to_stop
-- From here on nothing of the operation is handed to a worker.
UPDATE operation SET canceled = :at, updated = greatest(updated, :at) WHERE account_id = :account AND id = :operation;

-- name: parts_with_attempts
-- What was recorded of a chunk, in the order it was, and by which attempts.
SELECT attempt, packed FROM chunk_result
 WHERE account_id = :account AND operation_id = :operation AND first = :first ORDER BY part;

-- name: count_canceled
-- One more part with canceled recipients, and that part's number.
UPDATE chunk SET parts = parts + 1, canceled = canceled + :canceled, updated = greatest(updated, :at)
 WHERE account_id = :account AND operation_id = :operation AND first = :first
RETURNING parts, attempt;

-- name: insert_part
-- A result part.
INSERT INTO chunk_result (account_id, operation_id, first, part, attempt, packed)
VALUES (:account, :operation, :first, :part, :attempt, :packed);

-- name: chunk_size
-- How many recipients a chunk has.
SELECT size FROM chunk WHERE account_id = :account AND operation_id = :operation AND first = :first;

-- name: end_chunk
-- Nothing of the chunk is left to do.
UPDATE chunk SET state = 2, due = :at, worker = '', updated = greatest(updated, :at)
 WHERE account_id = :account AND operation_id = :operation AND first = :first AND state < 2;

-- name: end_operation
-- An operation ends with its last chunk: as CANCELED if it was stopped in time for anybody, or everybody was canceled.
UPDATE operation
   SET status = CASE
         WHEN (SELECT CASE WHEN operation.canceled IS NULL THEN sum(c.canceled) = operation.recipients
                           ELSE sum(c.canceled) > 0 END
                 FROM chunk c WHERE c.account_id = operation.account_id AND c.operation_id = operation.id)
         THEN 'CANCELED' ELSE 'COMPLETED' END,
       finished = :at, updated = greatest(updated, :at)
 WHERE account_id = :account AND id = :operation AND finished IS NULL
   AND NOT EXISTS (SELECT 1 FROM chunk
                    WHERE account_id = :account AND operation_id = :operation AND state < 2)
RETURNING status;

-- name: canceled_operations
-- Which of some operations were asked to stop.
SELECT o.id
  FROM (SELECT decode(w.value ->> 0, 'hex') AS account_id, decode(w.value ->> 1, 'hex') AS id
          FROM json_array_elements((:wanted)::text::json) w) w
  CROSS JOIN LATERAL (SELECT id, canceled FROM operation
                       WHERE account_id = w.account_id AND id = w.id LIMIT 1) o
 WHERE o.canceled IS NOT NULL;
