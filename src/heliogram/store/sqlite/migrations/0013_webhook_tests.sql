-- A webhook is tested once at a time, by whichever process: until then nobody else begins.
ALTER TABLE webhook ADD COLUMN tested_until INTEGER;
