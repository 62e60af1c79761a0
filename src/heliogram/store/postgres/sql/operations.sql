-- name: insert_operation
-- An accepted send.
INSERT INTO operation (account_id, id, app_name, spec, lane, recipients, status, created, updated,
                       send_at, send_at_text, tags)
VALUES (:account, :operation, :app, :spec, :lane, :recipients, :status, :created, :updated,
        :send_at, :send_at_text, :tags);

-- name: insert_chunk
-- Some of its recipients, waiting or leased.
INSERT INTO chunk (account_id, operation_id, first, size, lane, shard, state, due, attempt, worker, claimed, parts,
                   sent, failed, unaddressable, canceled, updated, flow, starts)
VALUES (:account, :operation, :first, :size, :lane, :shard, :state, :due, :attempt, :worker, :claimed, 0,
        0, 0, 0, 0, :updated, :flow, :starts);

-- name: insert_recipients
-- A chunk's packed recipients.
INSERT INTO chunk_recipients (account_id, operation_id, first, packed) VALUES (:account, :operation, :first, :packed);

-- name: insert_fingerprints
-- Four bytes for each user among a chunk's recipients.
INSERT INTO chunk_user (account_id, operation_id, first, fingerprints) VALUES (:account, :operation, :first, :prints);

-- name: get_operation
-- An operation with its counters, the sum over its chunks.
SELECT o.account_id, o.id, o.spec, o.lane, o.recipients, o.status, o.created, greatest(o.updated, max(c.updated)),
       o.finished, o.send_at, o.send_at_text, o.tags, o.canceled,
       sum(c.sent), sum(c.failed), sum(c.unaddressable), sum(c.canceled)
  FROM operation o
  JOIN chunk c ON c.account_id = o.account_id AND c.operation_id = o.id
 WHERE o.account_id = :account AND o.id = :operation
 GROUP BY o.account_id, o.id;

-- name: list_operations
-- The ids of operations and their tags, newest first.
SELECT id, tags FROM operation
 WHERE account_id = :account AND id >= :low AND id < :before
 ORDER BY id DESC LIMIT :limit;

-- name: list_operations_of_status
-- The same for operations of one status.
SELECT id, tags FROM operation
 WHERE account_id = :account AND status = :status AND id >= :low AND id < :before
 ORDER BY id DESC LIMIT :limit;

-- name: chunk_of
-- The chunk that holds a recipient.
SELECT c.first, c.size, r.packed, o.spec, o.status, o.created, o.send_at_text, o.tags
  FROM chunk c
  JOIN chunk_recipients r
    ON r.account_id = c.account_id AND r.operation_id = c.operation_id AND r.first = c.first
  JOIN operation o ON o.account_id = c.account_id AND o.id = c.operation_id
 WHERE c.account_id = :account AND c.operation_id = :operation AND c.first <= :sequence
 ORDER BY c.first DESC LIMIT 1;

-- name: parts
-- What was recorded of a chunk, in the order it was.
SELECT packed FROM chunk_result
 WHERE account_id = :account AND operation_id = :operation AND first = :first ORDER BY part;

-- name: chunks_newest_first
-- Chunks of the newest operations first, within one from its first recipient on; at most those that one page may skip.
SELECT c.operation_id, c.first, c.size, c.sent, c.failed + c.unaddressable, c.canceled, o.status, o.tags
  FROM (SELECT account_id, operation_id, first, size, sent, failed, unaddressable, canceled FROM chunk
         WHERE account_id = :account AND operation_id >= :low AND operation_id <= :high
         ORDER BY operation_id DESC, first LIMIT :looks + 1) c
  JOIN operation o ON o.account_id = c.account_id AND o.id = c.operation_id
 ORDER BY c.operation_id DESC, c.first;

-- name: chunks_of_user_newest_first
-- The same for the chunks that may hold a user, among so many chunks with users.
SELECT c.operation_id, c.first, c.size, c.sent, c.failed + c.unaddressable, c.canceled, o.status, o.tags
  FROM (SELECT account_id, operation_id, first, fingerprints FROM chunk_user
         WHERE account_id = :account AND operation_id >= :low AND operation_id <= :high
         ORDER BY operation_id DESC, first LIMIT :looks) u
  JOIN chunk c ON c.account_id = u.account_id AND c.operation_id = u.operation_id AND c.first = u.first
  JOIN operation o ON o.account_id = c.account_id AND o.id = c.operation_id
 WHERE position(:fingerprint in u.fingerprints) > 0
 ORDER BY u.operation_id DESC, u.first;

-- name: last_looked_at
-- The last of these, where there are so many.
SELECT c.operation_id, c.first, c.size
  FROM (SELECT account_id, operation_id, first FROM chunk_user
         WHERE account_id = :account AND operation_id >= :low AND operation_id <= :high
         ORDER BY operation_id DESC, first LIMIT 1 OFFSET :looks - 1) u
  JOIN chunk c ON c.account_id = u.account_id AND c.operation_id = u.operation_id AND c.first = u.first;
