-- name: waiting
-- The chunks that are not done, and how many recipients of theirs have not ended.
SELECT count(*), coalesce(sum(size - sent - failed - unaddressable - canceled), 0)
  FROM chunk WHERE state < 2;

-- name: depths_wrong
-- Counts of waiting recipients that differ from their sum over the chunks: of each account, and of all.
WITH depth AS (SELECT account_id, sum(waiting)::bigint AS waiting FROM queue_depth GROUP BY account_id),
     counted AS (SELECT account_id, sum(size - sent - failed - unaddressable - canceled) AS waiting
                   FROM chunk WHERE state < 2 GROUP BY account_id)
SELECT count(*)
  FROM (SELECT coalesce(d.waiting, 0) AS told, coalesce(c.waiting, 0) AS true_sum
          FROM account a
          LEFT JOIN depth d ON d.account_id = a.id
          LEFT JOIN counted c ON c.account_id = a.id
         UNION ALL
        SELECT (SELECT coalesce(sum(waiting), 0) FROM depth WHERE account_id = ''),
               (SELECT coalesce(sum(waiting), 0) FROM counted)) both_sums
 WHERE told <> true_sum;

-- name: chunks_astray
-- Chunks of no operation, but for those that are being removed.
SELECT count(*) FROM chunk c
 WHERE NOT EXISTS (SELECT 1 FROM operation o WHERE o.account_id = c.account_id AND o.id = c.operation_id)
   AND NOT EXISTS (SELECT 1 FROM leaving l WHERE l.account_id = c.account_id AND l.operation_id = c.operation_id)
   AND NOT EXISTS (SELECT 1 FROM going g WHERE c.operation_id >= g.low AND c.operation_id < g.high);

-- name: chunks_without_recipients
-- Chunks that nobody is in.
SELECT count(*) FROM chunk c
 WHERE NOT EXISTS (SELECT 1 FROM chunk_recipients r
                    WHERE r.account_id = c.account_id AND r.operation_id = c.operation_id AND r.first = c.first);

-- name: recipients_astray
-- Recipients of no chunk.
SELECT count(*) FROM chunk_recipients r
 WHERE NOT EXISTS (SELECT 1 FROM chunk c
                    WHERE c.account_id = r.account_id AND c.operation_id = r.operation_id AND c.first = r.first);

-- name: results_astray
-- Result parts of no chunk.
SELECT count(*) FROM chunk_result r
 WHERE NOT EXISTS (SELECT 1 FROM chunk c
                    WHERE c.account_id = r.account_id AND c.operation_id = r.operation_id AND c.first = r.first);

-- name: fingerprints_astray
-- Fingerprints of no chunk.
SELECT count(*) FROM chunk_user u
 WHERE NOT EXISTS (SELECT 1 FROM chunk c
                    WHERE c.account_id = u.account_id AND c.operation_id = u.operation_id AND c.first = u.first);

-- name: webhooks_ahead
-- Webhooks that were told more than there ever was.
SELECT count(*) FROM webhook
 WHERE greatest(event_cursor, result_cursor)
     > (SELECT (pg_snapshot_xmax(pg_current_snapshot())::text::bigint + base) << 20 FROM numbering);

-- name: history_astray
-- What happened to devices of users that are deleted, or in apps that are gone.
SELECT count(*) FROM device_history h
 WHERE NOT EXISTS (SELECT 1 FROM app_user u
                    WHERE u.account_id = h.account_id AND u.id = h.user_id AND u.deleted IS NULL)
    OR NOT EXISTS (SELECT 1 FROM app a WHERE a.account_id = h.account_id AND a.name = h.app_name);

-- name: newest_operations
-- Operations, the newest first.
SELECT account_id, id, recipients, status, finished FROM operation ORDER BY account_id DESC, id DESC LIMIT :limit;

-- name: oldest_operations
-- Operations behind one, the oldest first.
SELECT account_id, id, recipients, status, finished FROM operation
 WHERE (account_id, id) > (:account, :id) ORDER BY account_id, id LIMIT :limit;

-- name: chunks_of
-- The chunks of an operation with their recipients.
SELECT c.first, c.size, c.state, c.parts, c.sent, c.failed, c.unaddressable, c.canceled, r.packed
  FROM chunk c
  LEFT JOIN chunk_recipients r
    ON r.account_id = c.account_id AND r.operation_id = c.operation_id AND r.first = c.first
 WHERE c.account_id = :account AND c.operation_id = :operation ORDER BY c.first;

-- name: parts_of
-- What was recorded of a chunk, in the order it was.
SELECT part, packed FROM chunk_result
 WHERE account_id = :account AND operation_id = :operation AND first = :first ORDER BY part;

-- name: newest_registrations
-- Registrations with their free slots and those that devices have, the newest first.
SELECT r.account_id, r.id, r.free_slots, (SELECT string_agg(d.slot::text, ',') FROM device d
                             WHERE d.account_id = r.account_id AND d.registration_id = r.id)
  FROM registration r ORDER BY r.account_id DESC, r.id DESC LIMIT :limit;

-- name: oldest_registrations
-- The same behind one, the oldest first.
SELECT r.account_id, r.id, r.free_slots, (SELECT string_agg(d.slot::text, ',') FROM device d
                             WHERE d.account_id = r.account_id AND d.registration_id = r.id)
  FROM registration r WHERE (r.account_id, r.id) > (:account, :id) ORDER BY r.account_id, r.id LIMIT :limit;
