-- What the provider said of a credential when it was last asked: JSON of at (ms), ok, reason and message.
ALTER TABLE credential ADD COLUMN last_check TEXT;
