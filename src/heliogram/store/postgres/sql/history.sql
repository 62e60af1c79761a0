-- name: newest
-- The newest entries of a device.
SELECT id, event, digest, reason FROM device_history
 WHERE account_id = :account AND app_name = :app AND user_id = :user AND slot = :slot
 ORDER BY id DESC LIMIT :limit;

-- name: insert_entry
-- One more entry.
INSERT INTO device_history (account_id, app_name, user_id, slot, id, event, token, digest, provider, kind, environment,
                            reason, status, invalid_since, first_registered, last_registered, successor)
VALUES (:account, :app, :user, :slot, :id, :event, :token, :digest, :provider, :kind, :environment,
        :reason, :status, :invalid_since, :first_registered, :last_registered, :successor);

-- name: delete_older
-- A device has as many entries as are kept: those up to one go.
DELETE FROM device_history
 WHERE account_id = :account AND app_name = :app AND user_id = :user AND slot = :slot AND id <= :id;

-- name: forget_token
-- What happened to a token in its place is forgotten.
DELETE FROM device_history
 WHERE account_id = :account AND app_name = :app AND user_id = :user AND slot = :slot AND digest = :digest;

-- name: forget_user
-- What happened to a user's devices in all apps is forgotten.
DELETE FROM device_history
 WHERE account_id = :account AND app_name IN (SELECT name FROM app WHERE account_id = :account) AND user_id = :user;

-- name: forget_app
-- A slice of what happened in an app is forgotten.
DELETE FROM device_history
 WHERE (account_id, app_name, user_id, slot, id)
    IN (SELECT account_id, app_name, user_id, slot, id FROM device_history
         WHERE account_id = :account AND app_name = :app LIMIT :limit);

-- name: forget_old
-- A slice of what happened long ago is forgotten.
DELETE FROM device_history
 WHERE (account_id, app_name, user_id, slot, id)
    IN (SELECT account_id, app_name, user_id, slot, id FROM device_history
         WHERE id < :before ORDER BY id LIMIT :limit);

-- name: entries_of_user
-- What happened to a user's devices, newest first.
SELECT id, app_name, user_id, slot, event, token, provider, kind, environment, reason, status, invalid_since,
       first_registered, last_registered, successor
  FROM device_history
 WHERE account_id = :account AND user_id = :user AND id >= :low AND id < :before
   AND app_name IN (SELECT name FROM app
                     WHERE account_id = :account AND leaving IS NULL AND (:app::text IS NULL OR name = :app))
 ORDER BY id DESC LIMIT :limit;

-- name: entries_of_token
-- What happened to a token, as APNs' bytes or as another provider's text, newest first.
SELECT id, app_name, user_id, slot, event, token, provider, kind, environment, reason, status, invalid_since,
       first_registered, last_registered, successor
  FROM device_history
 WHERE account_id = :account AND digest IN (:digest, :other) AND id >= :low AND id < :before
   AND app_name IN (SELECT name FROM app
                     WHERE account_id = :account AND leaving IS NULL AND (:app::text IS NULL OR name = :app))
 ORDER BY id DESC LIMIT :limit;

-- name: living_of_user
-- The devices that a user has.
SELECT d.registration_id, d.slot, d.created, d.app_name, r.user_id, d.token, d.provider, d.kind, d.environment,
       d.learned
  FROM registration r
  JOIN device d ON d.account_id = r.account_id AND d.registration_id = r.id
 WHERE r.account_id = :account AND r.user_id = :user
   AND r.app_name IN (SELECT name FROM app
                       WHERE account_id = :account AND leaving IS NULL AND (:app::text IS NULL OR name = :app));

-- name: living_with_token
-- The devices with a token.
SELECT d.registration_id, d.slot, d.created, d.app_name, r.user_id, d.token, d.provider, d.kind, d.environment,
       d.learned
  FROM device d
  JOIN registration r ON r.account_id = d.account_id AND r.id = d.registration_id
 WHERE d.account_id = :account AND d.token IN (:token, :text)
   AND d.app_name IN (SELECT name FROM app
                       WHERE account_id = :account AND leaving IS NULL AND (:app::text IS NULL OR name = :app));

-- name: arrivals
-- When devices of a user came from other users.
SELECT app_name, slot, id FROM device_history
 WHERE account_id = :account AND app_name IN (SELECT name FROM app WHERE account_id = :account) AND user_id = :user
   AND event = 'MOVED_HERE';
