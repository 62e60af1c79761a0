-- What is asked for each of a campaign's recipients, narrower: among millions of devices each look-up reads pages that
-- no cache holds, and a row's texts cost as much as finding it.

-- How a device is sent to, as one number: six for each kind, two for each environment, one for the provider. NULL, and
-- so refused by `reachable`, for what is not in this list: a new kind needs a migration.
ALTER TABLE device ADD COLUMN manner INTEGER GENERATED ALWAYS AS (
  6 * CASE kind WHEN 'alert' THEN 0 WHEN 'voip' THEN 1 WHEN 'complication' THEN 2 WHEN 'fileProvider' THEN 3
                WHEN 'location' THEN 4 WHEN 'pushToTalk' THEN 5 WHEN 'liveActivityStart' THEN 6
                WHEN 'liveActivityUpdate' THEN 7 WHEN 'widgets' THEN 8 WHEN 'controls' THEN 9 END
  + 2 * CASE environment WHEN '' THEN 0 WHEN 'production' THEN 1 WHEN 'sandbox' THEN 2 END
  + CASE provider WHEN 'APN' THEN 0 WHEN 'FCM' THEN 1 END
) VIRTUAL;

DROP TRIGGER device_came;
DROP TRIGGER device_went;
DROP TRIGGER device_changed;
CREATE TABLE narrow_reachable (
  account_id BLOB NOT NULL,
  app_name TEXT NOT NULL,
  user_id BLOB NOT NULL,
  slot INTEGER NOT NULL,
  manner INTEGER NOT NULL,           -- the device's
  token BLOB NOT NULL,
  activity_id TEXT,
  PRIMARY KEY (account_id, app_name, user_id, slot)
) STRICT, WITHOUT ROWID;
INSERT INTO narrow_reachable (account_id, app_name, user_id, slot, manner, token, activity_id)
  SELECT account_id, app_name, user_id, slot,
         6 * CASE kind WHEN 'alert' THEN 0 WHEN 'voip' THEN 1 WHEN 'complication' THEN 2 WHEN 'fileProvider' THEN 3
                       WHEN 'location' THEN 4 WHEN 'pushToTalk' THEN 5 WHEN 'liveActivityStart' THEN 6
                       WHEN 'liveActivityUpdate' THEN 7 WHEN 'widgets' THEN 8 WHEN 'controls' THEN 9 END
         + 2 * CASE environment WHEN '' THEN 0 WHEN 'production' THEN 1 WHEN 'sandbox' THEN 2 END
         + CASE provider WHEN 'APN' THEN 0 WHEN 'FCM' THEN 1 END,
         token, activity_id
    FROM reachable ORDER BY account_id, app_name, user_id, slot;
DROP TABLE reachable;
ALTER TABLE narrow_reachable RENAME TO reachable;

CREATE TRIGGER device_came AFTER INSERT ON device WHEN new.state = 'active' BEGIN
  INSERT INTO reachable (account_id, app_name, user_id, slot, manner, token, activity_id)
    SELECT new.account_id, new.app_name, r.user_id, new.slot, new.manner, new.token, new.activity_id
      FROM registration r WHERE r.account_id = new.account_id AND r.id = new.registration_id;
END;

CREATE TRIGGER device_went AFTER DELETE ON device WHEN old.state = 'active' BEGIN
  DELETE FROM reachable
   WHERE account_id = old.account_id AND app_name = old.app_name AND slot = old.slot
     AND user_id = (SELECT r.user_id FROM registration r
                     WHERE r.account_id = old.account_id AND r.id = old.registration_id);
END;

CREATE TRIGGER device_changed
AFTER UPDATE OF account_id, registration_id, slot, app_name, provider, environment, kind, token, state, activity_id
ON device
WHEN (new.registration_id, new.slot, new.app_name, new.provider, new.environment, new.kind, new.token, new.state)
  <> (old.registration_id, old.slot, old.app_name, old.provider, old.environment, old.kind, old.token, old.state)
  OR new.activity_id IS NOT old.activity_id OR new.account_id <> old.account_id
BEGIN
  DELETE FROM reachable
   WHERE account_id = old.account_id AND app_name = old.app_name AND slot = old.slot
     AND user_id = (SELECT r.user_id FROM registration r
                     WHERE r.account_id = old.account_id AND r.id = old.registration_id);
  INSERT INTO reachable (account_id, app_name, user_id, slot, manner, token, activity_id)
    SELECT new.account_id, new.app_name, r.user_id, new.slot, new.manner, new.token, new.activity_id
      FROM registration r
     WHERE new.state = 'active' AND r.account_id = new.account_id AND r.id = new.registration_id;
END;

-- Whether there are the users that a send names: half the pages that they themselves take.
CREATE INDEX user_present ON user (account_id, id, deleted) WHERE deleted IS NULL;

-- The tokens of the sandbox, seldom many: where an app has a credential for production alone, only of these it has to
-- be known that they are no other's.
CREATE INDEX device_sandbox ON device (account_id, token, app_name, provider) WHERE environment = 'sandbox';
