-- Since when an app is being removed: nobody sees it any more, and its registrations go in slices.
ALTER TABLE app ADD COLUMN leaving INTEGER;
CREATE INDEX app_leaving ON app (leaving, account_id, name) WHERE leaving IS NOT NULL;
