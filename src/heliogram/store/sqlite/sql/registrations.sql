-- Without statistics SQLite takes any index that begins with the account for a good one: INDEXED BY and CROSS JOIN
-- say which it is and what comes first.

-- name: app_exists
-- 1 when the account has the app.
SELECT 1 FROM app WHERE account_id = :account AND name = :app;

-- name: user_exists
-- 1 when the account has the user.
SELECT 1 FROM user WHERE account_id = :account AND id = :user AND deleted IS NULL;

-- name: insert_user
-- A new user.
INSERT INTO user (account_id, id, created, updated) VALUES (:account, :user, :at, :at);

-- name: same_token
-- The app's devices with this token, at most one an environment.
SELECT d.registration_id, r.user_id, d.slot, d.environment, d.registered_at, d.created
  FROM device d INDEXED BY device_by_token
  JOIN registration r ON r.account_id = d.account_id AND r.id = d.registration_id
 WHERE d.account_id = :account AND d.app_name = :app AND d.token = :token
   AND d.provider = :provider AND d.kind = :kind;

-- name: renew_device
-- The app handed us the token again.
UPDATE device
   SET environment = :environment, state = 'active', state_reason = NULL,
       registered_at = max(registered_at, :at)
 WHERE account_id = :account AND registration_id = :registration AND slot = :slot;

-- name: find_registration
-- A user's registration in an app, with its free slots.
SELECT id, free_slots FROM registration WHERE account_id = :account AND app_name = :app AND user_id = :user;

-- name: insert_registration
-- A user's first device in an app.
INSERT INTO registration (account_id, id, app_name, user_id, free_slots, created, updated)
VALUES (:account, :registration, :app, :user, :free, :at, :at);

-- name: set_free_slots
-- A slot was taken or given back.
UPDATE registration SET free_slots = :free, updated = max(updated, :at)
 WHERE account_id = :account AND id = :registration;

-- name: touch_registration
-- Something about one of its devices has changed.
UPDATE registration SET updated = max(updated, :at) WHERE account_id = :account AND id = :registration;

-- name: free_slots
-- The free slots of a registration.
SELECT free_slots FROM registration WHERE account_id = :account AND id = :registration;

-- name: insert_device
-- A device in its slot.
INSERT INTO device (account_id, registration_id, slot, app_name, provider, environment, kind, token, state,
                    registered_at, created)
VALUES (:account, :registration, :slot, :app, :provider, :environment, :kind, :token, 'active', :at, :created);

-- name: oldest_device
-- The least recently registered device of a registration.
SELECT slot, token FROM device WHERE account_id = :account AND registration_id = :registration
 ORDER BY registered_at, created, slot LIMIT 1;

-- name: delete_device
-- Takes a device out of its slot.
DELETE FROM device WHERE account_id = :account AND registration_id = :registration AND slot = :slot;

-- name: delete_devices
-- All devices of a registration.
DELETE FROM device WHERE account_id = :account AND registration_id = :registration;

-- name: delete_registration
-- A registration, its devices gone.
DELETE FROM registration WHERE account_id = :account AND id = :registration;

-- name: dead_devices
-- The devices with a token that died, if they were registered before that.
SELECT registration_id, slot FROM device INDEXED BY device_by_token
 WHERE account_id = :account AND app_name = :app AND token = :token AND provider = :provider
   AND (:before IS NULL OR registered_at < :before)
 ORDER BY kind, environment;

-- name: quarantine
-- Nothing is sent to the token until it is registered anew.
UPDATE device INDEXED BY device_by_token SET state = 'quarantined', state_reason = :reason
 WHERE account_id = :account AND app_name = :app AND token = :token AND provider = :provider
   AND registered_at <= :at
RETURNING registration_id;

-- name: get_registration
-- A registration.
SELECT account_id, id, app_name, user_id, created, updated FROM registration
 WHERE account_id = :account AND id = :registration;

-- name: list_registrations
-- A user's registrations, newest first.
SELECT account_id, id, app_name, user_id, created, updated
  FROM registration INDEXED BY registration_by_user
 WHERE account_id = :account AND user_id = :user AND id >= :low AND id < :before
   AND app_name IN (SELECT name FROM app WHERE account_id = :account AND (:app IS NULL OR name = :app))
 ORDER BY id DESC LIMIT :limit;

-- name: devices
-- The devices of a registration.
SELECT slot, token, provider, environment, kind, state, state_reason, registered_at, created
  FROM device WHERE account_id = :account AND registration_id = :registration ORDER BY slot;

-- name: devices_of_users
-- What can be sent to of many users' devices in an app.
SELECT r.user_id, d.slot, d.token, d.provider, d.environment, d.kind, d.state, d.state_reason, d.registered_at,
       d.created
  FROM carray(:users) w
 CROSS JOIN registration r ON r.account_id = :account AND r.app_name = :app AND r.user_id = w.value
 CROSS JOIN device d ON d.account_id = r.account_id AND d.registration_id = r.id
 WHERE d.state = 'active'
 ORDER BY r.user_id, d.slot;

-- name: present_users
-- Which of many users the account has.
SELECT u.id FROM carray(:users) w CROSS JOIN user u ON u.account_id = :account AND u.id = w.value
 WHERE u.deleted IS NULL;

-- name: token_environments
-- The known environments of many APNs tokens, the latest registered last.
SELECT d.token, d.environment
  FROM carray(:tokens) w
 CROSS JOIN device d INDEXED BY device_by_token
    ON d.account_id = :account AND d.app_name = :app AND d.token = w.value
 WHERE d.provider = 'APN' AND d.environment <> ''
 ORDER BY d.registered_at;
