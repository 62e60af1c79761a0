-- name: insert_event
-- An event; the same again changes nothing.
INSERT INTO audit (account_id, id, at, actor, action, subject, detail)
VALUES (:account, :id, :at, :actor, :action, :subject, :detail)
ON CONFLICT (account_id, id) DO NOTHING;

-- name: list_events
-- Events of an account, newest first.
SELECT id, at, actor, action, subject, detail
  FROM audit
 WHERE account_id = :account AND id >= :low AND id < :before
   AND (:action::text IS NULL OR action = :action)
   AND (:actor::text IS NULL OR actor = :actor)
   AND (:subject::text IS NULL OR subject = :subject)
 ORDER BY id DESC LIMIT :limit;

-- name: prune_events
-- Removes the oldest events of an account, a slice at a time.
DELETE FROM audit
 WHERE (account_id, id) IN
       (SELECT account_id, id FROM audit WHERE account_id = :account AND id < :before ORDER BY id LIMIT :limit);
