-- A webhook is tested once at a time, on whichever node: until then nobody else begins.
ALTER TABLE webhook ADD COLUMN tested_until bigint;
