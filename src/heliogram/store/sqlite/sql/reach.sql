-- What sending finds devices by, put right by `heliogram check --repair`. The other store has no such table.

-- name: entries_astray
-- What would be sent to, and is no such device.
SELECT account_id, app_name, user_id, slot FROM reachable f
 WHERE NOT EXISTS (SELECT 1
                     FROM registration r INDEXED BY registration_by_user
                    CROSS JOIN device d ON d.account_id = r.account_id AND d.registration_id = r.id
                    WHERE r.account_id = f.account_id AND r.app_name = f.app_name AND r.user_id = f.user_id
                      AND d.slot = f.slot AND d.state = 'active')
 LIMIT :limit;

-- name: devices_missed
-- Devices that can be sent to, where nobody would find them, or not as what they are.
SELECT d.account_id, d.registration_id, d.slot
  FROM device d
 CROSS JOIN registration r ON r.account_id = d.account_id AND r.id = d.registration_id
 WHERE d.state = 'active' AND d.manner IS NOT NULL
   AND NOT EXISTS (SELECT 1 FROM reachable f
                    WHERE f.account_id = d.account_id AND f.app_name = d.app_name AND f.user_id = r.user_id
                      AND f.slot = d.slot AND f.manner = d.manner AND f.token = d.token
                      AND f.activity_id IS d.activity_id)
 LIMIT :limit;

-- name: delete_entry
-- An entry, if there is still no such device.
DELETE FROM reachable
 WHERE account_id = ? AND app_name = ? AND user_id = ? AND slot = ?
   AND NOT EXISTS (SELECT 1
                     FROM registration r
                    CROSS JOIN device d ON d.account_id = r.account_id AND d.registration_id = r.id
                    WHERE r.account_id = reachable.account_id AND r.app_name = reachable.app_name
                      AND r.user_id = reachable.user_id AND d.slot = reachable.slot AND d.state = 'active');

-- name: put_entry
-- The entry of a device, if it can still be sent to.
INSERT INTO reachable (account_id, app_name, user_id, slot, manner, token, activity_id)
SELECT d.account_id, d.app_name, r.user_id, d.slot, d.manner, d.token, d.activity_id
  FROM device d
 CROSS JOIN registration r ON r.account_id = d.account_id AND r.id = d.registration_id
 WHERE d.account_id = ? AND d.registration_id = ? AND d.slot = ? AND d.state = 'active'
    ON CONFLICT (account_id, app_name, user_id, slot)
    DO UPDATE SET manner = excluded.manner, token = excluded.token, activity_id = excluded.activity_id;
