-- name: waiting
-- The chunks that are not done, and how many recipients of theirs have not ended.
SELECT count(*), coalesce(sum(size - sent - failed - unaddressable - canceled), 0)
  FROM chunk INDEXED BY chunk_due WHERE state < 2;

-- name: depths_wrong
-- Counts of waiting recipients that differ from their sum over the chunks: of each account, and of all.
WITH counted AS (SELECT account_id, sum(size - sent - failed - unaddressable - canceled) AS waiting
                   FROM chunk INDEXED BY chunk_due WHERE state < 2 GROUP BY account_id)
SELECT count(*)
  FROM (SELECT d.waiting AS told, coalesce(c.waiting, 0) AS true_sum
          FROM account a
          LEFT JOIN queue_depth d ON d.account_id = a.id
          LEFT JOIN counted c ON c.account_id = a.id
         UNION ALL
        SELECT (SELECT waiting FROM queue_depth WHERE account_id = x''),
               (SELECT coalesce(sum(waiting), 0) FROM counted))
 WHERE told IS NOT true_sum;

-- name: chunks_astray
-- Chunks of no operation, but for those that are being removed.
SELECT count(*) FROM chunk c
 WHERE NOT EXISTS (SELECT 1 FROM operation o WHERE o.account_id = c.account_id AND o.id = c.operation_id)
   AND NOT EXISTS (SELECT 1 FROM leaving l WHERE l.account_id = c.account_id AND l.operation_id = c.operation_id);

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

-- name: devices_out_of_reach
-- Devices that can be sent to, and nobody would find.
SELECT count(*)
  FROM device d
 CROSS JOIN registration r ON r.account_id = d.account_id AND r.id = d.registration_id
 WHERE d.state = 'active'
   AND NOT EXISTS (SELECT 1 FROM reachable f
                    WHERE f.account_id = d.account_id AND f.app_name = d.app_name AND f.user_id = r.user_id
                      AND f.slot = d.slot AND f.manner = d.manner AND f.token = d.token
                      AND f.activity_id IS d.activity_id);

-- name: reach_astray
-- What would be sent to, and is no such device.
SELECT count(*) FROM reachable f
 WHERE NOT EXISTS (SELECT 1
                     FROM registration r INDEXED BY registration_by_user
                    CROSS JOIN device d ON d.account_id = r.account_id AND d.registration_id = r.id
                    WHERE r.account_id = f.account_id AND r.app_name = f.app_name AND r.user_id = f.user_id
                      AND d.slot = f.slot AND d.state = 'active');

-- name: webhooks_ahead
-- Webhooks that were told more than there ever was.
SELECT count(*) FROM webhook
 WHERE event_cursor > coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'event'), 0)
    OR result_cursor > coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'chunk_result'), 0);

-- name: history_astray
-- What happened to devices of users that are deleted, or in apps that are gone.
SELECT count(*) FROM device_history h
 WHERE NOT EXISTS (SELECT 1 FROM user u
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
SELECT r.account_id, r.id, r.free_slots, (SELECT group_concat(d.slot) FROM device d
                             WHERE d.account_id = r.account_id AND d.registration_id = r.id)
  FROM registration r ORDER BY r.account_id DESC, r.id DESC LIMIT :limit;

-- name: oldest_registrations
-- The same behind one, the oldest first.
SELECT r.account_id, r.id, r.free_slots, (SELECT group_concat(d.slot) FROM device d
                             WHERE d.account_id = r.account_id AND d.registration_id = r.id)
  FROM registration r WHERE (r.account_id, r.id) > (:account, :id) ORDER BY r.account_id, r.id LIMIT :limit;
