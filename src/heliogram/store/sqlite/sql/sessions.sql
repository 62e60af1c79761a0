-- name: end_session
-- Somebody signed out.
INSERT INTO ended_session (account_id, id, expires) VALUES (:account, :session, :expires)
    ON CONFLICT (account_id, id) DO NOTHING;

-- name: forget_most
-- Of more than so many of an account those that end first are forgotten.
DELETE FROM ended_session
 WHERE account_id = :account
   AND expires < (SELECT expires FROM ended_session INDEXED BY ended_session_by_end
                   WHERE account_id = :account ORDER BY expires DESC LIMIT 1 OFFSET :most);

-- name: is_session_ended
-- Whether somebody signed out of a session.
SELECT 1 FROM ended_session WHERE account_id = :account AND id = :session;

-- name: forget_sessions
-- Some of those that would be over by themselves.
DELETE FROM ended_session
 WHERE (account_id, id) IN (SELECT account_id, id FROM ended_session INDEXED BY ended_session_by_age
                             WHERE expires <= :now ORDER BY expires LIMIT :limit);
