-- The few devices that are quarantined, by token: each direct send asks for them, and must not read every device it
-- names.
CREATE INDEX device_quarantined ON device (account_id, token, app_name, provider, kind, environment, state_reason)
 WHERE state = 'quarantined';
