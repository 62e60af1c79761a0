-- What sending asks of a user, in one place and nothing else: which of the devices there are can be sent to. Found by
-- way of registration and device it takes twice as many pages, each of them another one with millions of users.
CREATE TABLE reachable (
  account_id BLOB NOT NULL,
  app_name TEXT NOT NULL,
  user_id BLOB NOT NULL,
  slot INTEGER NOT NULL,
  provider TEXT NOT NULL,
  environment TEXT NOT NULL,         -- '' while it is not known
  kind TEXT NOT NULL,
  token BLOB NOT NULL,
  activity_id TEXT,
  PRIMARY KEY (account_id, app_name, user_id, slot)
) STRICT, WITHOUT ROWID;
INSERT INTO reachable (account_id, app_name, user_id, slot, provider, environment, kind, token, activity_id)
  SELECT r.account_id, r.app_name, r.user_id, d.slot, d.provider, d.environment, d.kind, d.token, d.activity_id
    FROM registration r INDEXED BY registration_by_user
   CROSS JOIN device d ON d.account_id = r.account_id AND d.registration_id = r.id
   WHERE d.state = 'active'
   ORDER BY r.account_id, r.app_name, r.user_id, d.slot;

-- Kept by triggers, so that no statement can forget it. A registration is there before its devices and after them.
CREATE TRIGGER device_came AFTER INSERT ON device WHEN new.state = 'active' BEGIN
  INSERT INTO reachable (account_id, app_name, user_id, slot, provider, environment, kind, token, activity_id)
    SELECT new.account_id, new.app_name, r.user_id, new.slot, new.provider, new.environment, new.kind, new.token,
           new.activity_id
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
  INSERT INTO reachable (account_id, app_name, user_id, slot, provider, environment, kind, token, activity_id)
    SELECT new.account_id, new.app_name, r.user_id, new.slot, new.provider, new.environment, new.kind, new.token,
           new.activity_id
      FROM registration r
     WHERE new.state = 'active' AND r.account_id = new.account_id AND r.id = new.registration_id;
END;
