-- name: app_exists
-- 1 when the account has the app, and it is not being removed.
SELECT 1 FROM app WHERE account_id = :account AND name = :app AND leaving IS NULL;

-- name: same_token
-- The account's devices with this token, under whichever apps: at most one a provider, kind and environment of each.
SELECT d.app_name, d.provider, d.kind, d.registration_id, r.user_id, d.slot, d.environment, d.learned, d.state,
       d.installation_id, d.activity_id, d.registered_at, d.token, d.created
  FROM device d
  JOIN registration r ON r.account_id = d.account_id AND r.id = d.registration_id
 WHERE d.account_id = :account AND d.token = :token;

-- name: same_installation
-- The device that is this installation's token of a kind and activity.
SELECT d.app_name, d.provider, d.kind, d.registration_id, r.user_id, d.slot, d.environment, d.learned, d.state,
       d.installation_id, d.activity_id, d.registered_at, d.token, d.created
  FROM device d
  JOIN registration r ON r.account_id = d.account_id AND r.id = d.registration_id
 WHERE d.account_id = :account AND d.app_name = :app AND d.installation_id = :installation AND d.kind = :kind
   AND coalesce(d.activity_id, '') = coalesce(:activity::text, '');

-- name: credentials_of_app
-- What may be shown of an app's credentials.
SELECT form, public FROM credential WHERE account_id = :account AND app_name = :app;

-- name: renew_device
-- The app handed us the token again; what it does not say this time is kept. Nothing that an index holds.
UPDATE device
   SET state = 'active', state_reason = NULL, registered_at = greatest(registered_at, :at),
       app_version = coalesce(:app_version, app_version), locale = coalesce(:locale, locale),
       time_zone = coalesce(:time_zone, time_zone)
 WHERE account_id = :account AND registration_id = :registration AND slot = :slot;

-- name: place_device
-- The token is of another environment, installation or activity than was known: what indexes hold.
UPDATE device
   SET environment = :environment, learned = :learned, installation_id = :installation, activity_id = :activity
 WHERE account_id = :account AND registration_id = :registration AND slot = :slot;

-- name: move_device
-- The token is another user's now, who first registered it just now: when others did is not theirs to know.
UPDATE device
   SET registration_id = :to_registration, slot = :to_slot, created = :at,
       user_id = (SELECT user_id FROM registration WHERE account_id = :account AND id = :to_registration)
 WHERE account_id = :account AND registration_id = :registration AND slot = :slot;

-- name: find_registration
-- A user's registration in an app, with its free slots.
SELECT id, free_slots FROM registration WHERE account_id = :account AND app_name = :app AND user_id = :user;

-- name: insert_registration
-- A user's first device in an app. The user's row is written, too: so nobody deletes the user at the same moment.
WITH theirs AS (UPDATE app_user SET updated = updated WHERE account_id = :account AND id = :user)
INSERT INTO registration (account_id, id, app_name, user_id, free_slots, created, updated)
VALUES (:account, :registration, :app, :user, :free, :at, :at);

-- name: set_free_slots
-- A slot was taken or given back.
UPDATE registration SET free_slots = :free, updated = greatest(updated, :at)
 WHERE account_id = :account AND id = :registration;

-- name: touch_registration
-- Something about one of its devices has changed.
UPDATE registration SET updated = greatest(updated, :at) WHERE account_id = :account AND id = :registration;

-- name: free_slots
-- The free slots of a registration.
SELECT free_slots FROM registration WHERE account_id = :account AND id = :registration;

-- name: insert_device
-- A device in its slot.
INSERT INTO device (account_id, registration_id, slot, app_name, user_id, provider, environment, kind, token, state,
                    registered_at, created, installation_id, activity_id, app_version, locale, time_zone)
VALUES (:account, :registration, :slot, :app, :user, :provider, :environment, :kind, :token, 'active',
        :at, :at, :installation, :activity, :app_version, :locale, :time_zone);

-- name: oldest_device
-- The least recently registered device of a registration.
SELECT slot FROM device WHERE account_id = :account AND registration_id = :registration
 ORDER BY registered_at, created, slot LIMIT 1;

-- name: delete_device
-- Takes a device out of its slot and says what it was.
DELETE FROM device WHERE account_id = :account AND registration_id = :registration AND slot = :slot
RETURNING app_name, provider, environment, kind, token, created, registered_at;

-- name: delete_registration
-- A registration, its devices gone, and whose it was.
DELETE FROM registration WHERE account_id = :account AND id = :registration RETURNING app_name, user_id;

-- name: owner
-- The app and the user of a registration.
SELECT app_name, user_id FROM registration WHERE account_id = :account AND id = :registration;

-- name: dead_devices
-- The devices with a token that died, if they were registered before that; the other environment's stays.
SELECT registration_id, slot, environment, kind, registered_at FROM device
 WHERE account_id = :account AND token = :token AND app_name = :app AND provider = :provider
   AND (:before::bigint IS NULL OR registered_at < :before)
   AND (:environment::text IS NULL OR environment IN ('', :environment))
   AND (:kind::text IS NULL OR kind = :kind)
 ORDER BY kind, environment;

-- name: quarantine
-- Nothing is sent to the token until it is registered anew; the other environment's goes on.
UPDATE device SET state = 'quarantined', state_reason = :reason
 WHERE account_id = :account AND token = :token AND app_name = :app AND provider = :provider
   AND registered_at <= :at
   AND (:environment::text IS NULL OR environment IN ('', :environment))
   AND (:kind::text IS NULL OR kind = :kind)
RETURNING registration_id, environment, kind, slot;

-- name: learn_environment
-- Which environment an APNs token is of, told by APNs; only where nobody has said it.
UPDATE device SET environment = :environment, learned = 1
 WHERE account_id = :account AND token = :token AND app_name = :app AND provider = 'APN' AND environment = ''
RETURNING registration_id, slot, kind;

-- name: get_registration
-- A registration, unless its app is being removed.
SELECT account_id, id, app_name, user_id, created, updated FROM registration
 WHERE account_id = :account AND id = :registration
   AND app_name IN (SELECT name FROM app WHERE account_id = :account AND leaving IS NULL);

-- name: list_registrations
-- A user's registrations, newest first: the one in each of the account's few apps.
SELECT r.account_id, r.id, r.app_name, r.user_id, r.created, r.updated
  FROM app a
  CROSS JOIN LATERAL (SELECT account_id, id, app_name, user_id, created, updated FROM registration
                       WHERE account_id = a.account_id AND app_name = a.name AND user_id = :user LIMIT 1) r
 WHERE a.account_id = :account AND a.leaving IS NULL AND (:app::text IS NULL OR a.name = :app)
   AND r.id >= :low AND r.id < :before
 ORDER BY r.id DESC LIMIT :limit;

-- name: registrations_with
-- The registrations in which a token is, as APNs' bytes or as another provider's text, newest first.
SELECT r.account_id, r.id, r.app_name, r.user_id, r.created, r.updated
  FROM (SELECT DISTINCT d.registration_id
          FROM unnest(ARRAY[:token, :text]::bytea[]) w (token)
          CROSS JOIN LATERAL (SELECT registration_id FROM device
                               WHERE account_id = :account AND token = w.token OFFSET 0) d) d
  CROSS JOIN LATERAL (SELECT account_id, id, app_name, user_id, created, updated FROM registration
                       WHERE account_id = :account AND id = d.registration_id LIMIT 1) r
  CROSS JOIN LATERAL (SELECT name FROM app
                       WHERE account_id = :account AND name = r.app_name AND leaving IS NULL LIMIT 1) a
 WHERE r.id >= :low AND r.id < :before AND (:app::text IS NULL OR a.name = :app)
 ORDER BY r.id DESC LIMIT :limit;

-- name: devices
-- The devices of a registration.
SELECT slot, token, provider, environment, kind, state, state_reason, registered_at, created,
       learned, installation_id, activity_id, app_version, locale, time_zone
  FROM device WHERE account_id = :account AND registration_id = :registration ORDER BY slot;

-- name: devices_of_users
-- What can be sent to of many users' devices in an app, from one index, a user's in the order of their slots. As a
-- condition `user_id = ANY (…)` would be no key to the index where few devices were when this was planned: all of the
-- app's would be read. LATERAL with OFFSET looks up one after another, here and below.
SELECT d.user_id, d.slot, d.token, d.provider || ' ' || d.environment || ' ' || d.kind
  FROM unnest(:users::bytea[]) w (user_id)
  CROSS JOIN LATERAL (SELECT user_id, slot, token, provider, environment, kind FROM device
                       WHERE account_id = :account AND app_name = :app AND user_id = w.user_id AND state = 'active'
                         AND (:kind::text IS NULL OR kind = :kind)
                         AND (:activity::text IS NULL OR activity_id = :activity)
                       ORDER BY slot OFFSET 0) d
 ORDER BY d.user_id, d.slot;

-- name: token_environments
-- The known environments of many APNs tokens. All of it is in the index: the devices themselves are not read. Of an
-- account without devices none are looked up, here and below.
SELECT d.token, d.environment
  FROM unnest(:tokens::bytea[]) w (token)
  CROSS JOIN LATERAL (SELECT token, environment FROM device
                       WHERE account_id = :account AND token = w.token AND app_name = :app AND provider = 'APN'
                         AND environment <> '' OFFSET 0) d
 WHERE (SELECT true FROM device WHERE account_id = :account LIMIT 1);

-- name: sandbox_tokens
-- Which of many APNs tokens are known to be the sandbox's.
SELECT d.token
  FROM unnest(:tokens::bytea[]) w (token)
  CROSS JOIN LATERAL (SELECT token FROM device
                       WHERE account_id = :account AND token = w.token AND app_name = :app AND provider = 'APN'
                         AND environment = 'sandbox' OFFSET 0) d
 WHERE (SELECT true FROM device WHERE account_id = :account LIMIT 1);

-- name: later_environments
-- The same for those that are in both, the latest registered last.
SELECT d.token, d.environment
  FROM unnest(:tokens::bytea[]) w (token)
  CROSS JOIN LATERAL (SELECT token, environment, registered_at FROM device
                       WHERE account_id = :account AND token = w.token AND app_name = :app AND provider = 'APN'
                         AND environment <> '' OFFSET 0) d
 WHERE (SELECT true FROM device WHERE account_id = :account LIMIT 1)
 ORDER BY d.registered_at;
