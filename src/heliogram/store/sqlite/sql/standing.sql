-- name: tell_answers
-- What the provider said last to some credentials, unless something later is known; of those that are there.
INSERT INTO credential_answer (account_id, credential_id, answered, status, reason, succeeded)
SELECT c.account_id, c.id, j.value ->> 'answered', j.value ->> 'status', j.value ->> 'reason', j.value ->> 'succeeded'
  FROM json_each(:rows) j
  JOIN credential c ON c.account_id = unhex(j.value ->> 'account') AND c.id = unhex(j.value ->> 'credential')
 WHERE true
 ORDER BY c.account_id, c.id
    ON CONFLICT (account_id, credential_id) DO UPDATE
   SET status = CASE WHEN excluded.answered >= answered THEN excluded.status ELSE status END,
       reason = CASE WHEN excluded.answered >= answered THEN excluded.reason ELSE reason END,
       answered = max(answered, excluded.answered),
       succeeded = coalesce(max(succeeded, excluded.succeeded), succeeded, excluded.succeeded);

-- name: trouble_over
-- What a process said of credentials that fail holds no more.
DELETE FROM credential_trouble WHERE node = :node;

-- name: tell_troubles
-- Which credentials fail, as a process knows it; of those that are there.
INSERT INTO credential_trouble (account_id, credential_id, node, reason, since, probe_at, seen)
SELECT c.account_id, c.id, :node, j.value ->> 'reason', j.value ->> 'since', j.value ->> 'probeAt', :at
  FROM json_each(:rows) j
  JOIN credential c ON c.account_id = unhex(j.value ->> 'account') AND c.id = unhex(j.value ->> 'credential')
 WHERE true
 ORDER BY c.account_id, c.id
    ON CONFLICT (account_id, credential_id, node) DO UPDATE
   SET reason = excluded.reason, since = excluded.since, probe_at = excluded.probe_at, seen = excluded.seen;

-- name: answers
-- What the provider said last to the account's credentials.
SELECT credential_id, answered, status, reason, succeeded FROM credential_answer WHERE account_id = :account;

-- name: troubles
-- Which of the account's credentials fail, as processes said since then, without one of them; the longest first.
SELECT credential_id, reason, since, probe_at FROM credential_trouble
 WHERE account_id = :account AND seen >= :alive AND node <> :but ORDER BY since, reason;

-- name: forget_troubles
-- What processes said that are gone.
DELETE FROM credential_trouble WHERE seen < :before;
