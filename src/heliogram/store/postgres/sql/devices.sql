-- name: renew
-- The app hands over a token that is known just so: one round trip for what happens at each of its starts. No row when
-- anything about it is new, or another device has the token, too: then the job does it. What is added to `state` keeps
-- the planner from an index of all that can be sent to, which it takes to be as good where there were few devices.
WITH renewed AS (
  UPDATE device d
     SET registered_at = greatest(d.registered_at, :at),
         app_version = coalesce(:app_version, d.app_version), locale = coalesce(:locale, d.locale),
         time_zone = coalesce(:time_zone, d.time_zone)
   WHERE d.account_id = :account AND d.token = :token AND d.app_name = :app AND d.provider = :provider
     AND d.kind = :kind AND d.state || '' = 'active'
     AND (:environment = '' OR (d.environment = :environment AND d.learned = 0))
     AND (:installation::text IS NULL OR d.installation_id = :installation)
     AND (:activity::text IS NULL OR d.activity_id = :activity)
     AND (:user::bytea IS NULL OR d.user_id = :user)
     AND (:external::text IS NULL
          OR EXISTS (SELECT 1 FROM app_user u
                      WHERE u.account_id = :account AND u.id = d.user_id AND u.external_id = :external
                        AND u.deleted IS NULL))
     AND (SELECT count(*) FROM device other WHERE other.account_id = :account AND other.token = :token) = 1
     AND EXISTS (SELECT 1 FROM app WHERE account_id = :account AND name = :app AND leaving IS NULL)
     AND NOT EXISTS (SELECT 1 FROM refused_token t
                      WHERE t.account_id = :account AND t.app_name = :app AND t.token = :token)
  RETURNING d.registration_id, d.user_id, d.slot
), touched AS (
  UPDATE registration r SET updated = greatest(r.updated, :at)
    FROM renewed WHERE r.account_id = :account AND r.id = renewed.registration_id
)
SELECT registration_id, user_id, slot FROM renewed;

-- name: reserve_new_key
-- A key that nobody has used, for a request that is about to be handled, and some keys whose time is over forgotten: one
-- round trip. No row when the key is there, but for this same request's: the statement may be run twice.
WITH forgotten AS (
  DELETE FROM idempotency
   WHERE (account_id, key) IN (SELECT account_id, key FROM idempotency
                                WHERE created <= :before AND (account_id, key) <> (:account, :key)
                                ORDER BY created LIMIT :most FOR UPDATE SKIP LOCKED)
)
INSERT INTO idempotency (account_id, key, fingerprint, ident, created, held)
VALUES (:account, :key, :fingerprint, :ident, :now, :until)
ON CONFLICT (account_id, key) DO UPDATE SET held = excluded.held
 WHERE idempotency.ident = excluded.ident AND idempotency.status IS NULL AND idempotency.held = excluded.held
RETURNING 1;
