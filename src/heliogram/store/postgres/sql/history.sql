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
-- What happened to a user's devices in all apps is forgotten. Names of apps are compared as this table's index has
-- them, here and below.
DELETE FROM device_history
 WHERE (account_id, app_name, user_id, slot, id)
    IN (SELECT h.account_id, h.app_name, h.user_id, h.slot, h.id
          FROM app a
          CROSS JOIN LATERAL (SELECT account_id, app_name, user_id, slot, id FROM device_history
                               WHERE account_id = a.account_id AND app_name = a.name COLLATE "default"
                                 AND user_id = :user OFFSET 0) h
         WHERE a.account_id = :account);

-- name: forget_app
-- A slice of what happened in an app is forgotten.
DELETE FROM device_history
 WHERE (account_id, app_name, user_id, slot, id)
    IN (SELECT account_id, app_name, user_id, slot, id FROM device_history
         WHERE account_id = :account AND app_name = :app ORDER BY user_id, slot, id LIMIT :limit);

-- name: forget_old
-- A slice of what happened long ago is forgotten.
DELETE FROM device_history
 WHERE (account_id, app_name, user_id, slot, id)
    IN (SELECT account_id, app_name, user_id, slot, id FROM device_history
         WHERE id < :before ORDER BY id LIMIT :limit);

-- name: entries_of_user
-- What happened to a user's devices, newest first. Few entries are kept of each: the index by age must not be read for
-- them.
SELECT h.id, h.app_name, h.user_id, h.slot, h.event, h.token, h.provider, h.kind, h.environment, h.reason, h.status,
       h.invalid_since, h.first_registered, h.last_registered, h.successor
  FROM app a
  CROSS JOIN LATERAL (SELECT * FROM device_history
                       WHERE account_id = a.account_id AND app_name = a.name COLLATE "default"
                                 AND user_id = :user OFFSET 0) h
 WHERE a.account_id = :account AND a.leaving IS NULL AND (:app::text IS NULL OR a.name = :app)
   AND h.id >= :low AND h.id < :before
 ORDER BY h.id DESC LIMIT :limit;

-- name: entries_of_token
-- What happened to a token, as APNs' bytes or as another provider's text, newest first.
SELECT h.id, h.app_name, h.user_id, h.slot, h.event, h.token, h.provider, h.kind, h.environment, h.reason, h.status,
       h.invalid_since, h.first_registered, h.last_registered, h.successor
  FROM (SELECT DISTINCT * FROM unnest(ARRAY[:digest, :other]::bytea[])) w (digest)
  CROSS JOIN LATERAL (SELECT * FROM device_history
                       WHERE account_id = :account AND digest = w.digest OFFSET 0) h
  CROSS JOIN LATERAL (SELECT name FROM app
                       WHERE account_id = :account AND name = h.app_name AND leaving IS NULL LIMIT 1) a
 WHERE h.id >= :low AND h.id < :before AND (:app::text IS NULL OR a.name = :app)
 ORDER BY h.id DESC LIMIT :limit;

-- name: living_of_user
-- The devices that a user has.
SELECT d.registration_id, d.slot, d.created, d.app_name, r.user_id, d.token, d.provider, d.kind, d.environment,
       d.learned
  FROM app a
  CROSS JOIN LATERAL (SELECT id, user_id FROM registration
                       WHERE account_id = a.account_id AND app_name = a.name AND user_id = :user LIMIT 1) r
  CROSS JOIN LATERAL (SELECT * FROM device WHERE account_id = a.account_id AND registration_id = r.id OFFSET 0) d
 WHERE a.account_id = :account AND a.leaving IS NULL AND (:app::text IS NULL OR a.name = :app);

-- name: living_with_token
-- The devices with a token.
SELECT d.registration_id, d.slot, d.created, d.app_name, r.user_id, d.token, d.provider, d.kind, d.environment,
       d.learned
  FROM (SELECT DISTINCT * FROM unnest(ARRAY[:token, :text]::bytea[])) w (token)
  CROSS JOIN LATERAL (SELECT * FROM device WHERE account_id = :account AND token = w.token OFFSET 0) d
  CROSS JOIN LATERAL (SELECT user_id FROM registration
                       WHERE account_id = :account AND id = d.registration_id LIMIT 1) r
  CROSS JOIN LATERAL (SELECT name FROM app
                       WHERE account_id = :account AND name = d.app_name AND leaving IS NULL LIMIT 1) a
 WHERE :app::text IS NULL OR a.name = :app;

-- name: arrivals
-- When devices of a user came from other users.
SELECT h.app_name, h.slot, h.id
  FROM app a
  CROSS JOIN LATERAL (SELECT app_name, slot, id, event FROM device_history
                       WHERE account_id = a.account_id AND app_name = a.name COLLATE "default"
                                 AND user_id = :user OFFSET 0) h
 WHERE a.account_id = :account AND h.event = 'MOVED_HERE';
