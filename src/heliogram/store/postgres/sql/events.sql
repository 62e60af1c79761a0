-- name: subscribed
-- What an account's webhooks want; none that is disabled.
SELECT types FROM webhook WHERE account_id = :account AND state <> 'disabled';

-- name: insert_event
-- Something that happened.
INSERT INTO event (account_id, id, type, at, data) VALUES (:account, :event, :type, :at, :data);

-- name: operation_now
-- How an operation stands in this transaction.
SELECT o.app_name, o.status, o.recipients, o.send_at_text, o.tags,
       coalesce(sum(c.sent), 0), coalesce(sum(c.failed), 0), coalesce(sum(c.unaddressable), 0),
       coalesce(sum(c.canceled), 0)
  FROM operation o
  LEFT JOIN chunk c ON c.account_id = o.account_id AND c.operation_id = o.id
 WHERE o.account_id = :account AND o.id = :operation
 GROUP BY o.account_id, o.id;
