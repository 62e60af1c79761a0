-- name: want
-- Somebody looks at an account for so long (ms); whether nobody had for a while, and how far it was told.
SELECT fresh, told_to FROM want_activity(:account, :for_ms);

-- name: senders
-- The nodes that send, as far as they have been heard of lately.
SELECT id FROM node WHERE 'worker' = ANY (string_to_array(roles, ',')) AND seen > now_ms() - :silence::bigint;

-- name: wanted
-- Accounts that somebody looks at.
SELECT account_id FROM activity_wanted WHERE until > now_ms() ORDER BY until DESC, account_id LIMIT :limit::bigint;

-- name: tell
-- What a node knows of an account since it told last; whether anybody wants to know.
SELECT tell_activity(:account, :node, :number, :name, :outcomes, :body);

-- name: told
-- What was told of an account after a turn.
SELECT turn, node, name, greatest(now_ms() - at, 0), last, outcomes, body FROM activity_told
 WHERE account_id = :account AND turn > :turn ORDER BY turn LIMIT :limit::bigint;

-- name: forget
-- What is older than the window, but for the newest outcomes, which stay for longer. The time is asked for once: so
-- the index by age is read up to it.
DELETE FROM activity_told
 WHERE (account_id, turn) IN
       (SELECT t.account_id, t.turn
          FROM (SELECT account_id, turn, at, outcomes, last FROM activity_told
                 WHERE at < (SELECT now_ms() - :window::bigint) OFFSET 0) t
          CROSS JOIN LATERAL (SELECT last FROM activity_wanted WHERE account_id = t.account_id LIMIT 1) w
         WHERE t.outcomes = 0 OR t.last <= w.last - :kept::bigint OR t.at < (SELECT now_ms() - :day::bigint));
