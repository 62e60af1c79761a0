-- name: tell_answers
-- What the provider said last to some credentials, unless something later is known; of those that are there.
INSERT INTO credential_answer AS a (account_id, credential_id, answered, status, reason, succeeded)
SELECT c.account_id, c.id, j.answered, j.status, j.reason, j.succeeded
  FROM json_to_recordset(:rows::json)
       AS j (account text, credential text, answered bigint, status integer, reason text, succeeded bigint)
  JOIN credential c ON c.account_id = decode(j.account, 'hex') AND c.id = decode(j.credential, 'hex')
 ORDER BY c.account_id, c.id
    ON CONFLICT (account_id, credential_id) DO UPDATE
   SET status = CASE WHEN excluded.answered >= a.answered THEN excluded.status ELSE a.status END,
       reason = CASE WHEN excluded.answered >= a.answered THEN excluded.reason ELSE a.reason END,
       answered = greatest(a.answered, excluded.answered),
       succeeded = greatest(a.succeeded, excluded.succeeded);

-- name: trouble_over
-- What a node said of credentials that fail holds no more.
DELETE FROM credential_trouble WHERE node = :node;

-- name: tell_troubles
-- Which credentials fail, as a node knows it; of those that are there.
INSERT INTO credential_trouble (account_id, credential_id, node, reason, since, probe_at, seen)
SELECT c.account_id, c.id, :node::bytea, j.reason, j.since, j."probeAt", :at::bigint
  FROM json_to_recordset(:rows::json)
       AS j (account text, credential text, reason text, since bigint, "probeAt" bigint)
  JOIN credential c ON c.account_id = decode(j.account, 'hex') AND c.id = decode(j.credential, 'hex')
 ORDER BY c.account_id, c.id
    ON CONFLICT (account_id, credential_id, node) DO UPDATE
   SET reason = excluded.reason, since = excluded.since, probe_at = excluded.probe_at, seen = excluded.seen;

-- name: answers
-- What the provider said last to the account's credentials.
SELECT credential_id, answered, status, reason, succeeded FROM credential_answer WHERE account_id = :account;

-- name: troubles
-- Which of the account's credentials fail, as nodes said since then, without one of them; the longest first.
SELECT credential_id, reason, since, probe_at FROM credential_trouble
 WHERE account_id = :account AND seen >= :alive AND node <> :but ORDER BY since, reason COLLATE "C";

-- name: forget_troubles
-- What nodes said that are gone.
DELETE FROM credential_trouble WHERE seen < :before;
