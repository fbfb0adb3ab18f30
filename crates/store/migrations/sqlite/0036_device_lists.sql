-- Lists of devices by how they stand, and by a part of a name.

-- Most are online, and found by looking through the newest ones.
CREATE INDEX devices_status_idx ON devices (status, enrolled_at, id, org_id) WHERE status <> 'online';

-- Every name with the host name, by any three characters in a row, in any case. It follows devices by itself.
CREATE VIRTUAL TABLE device_search USING fts5 (device_id UNINDEXED, words, tokenize = 'trigram');
INSERT INTO device_search (device_id, words)
SELECT id, name || char(10) || hostname FROM devices ORDER BY enrolled_at, id;

CREATE TRIGGER devices_search_new AFTER INSERT ON devices
BEGIN
    INSERT INTO device_search (device_id, words) VALUES (NEW.id, NEW.name || char(10) || NEW.hostname);
END;

CREATE TRIGGER devices_search_changed AFTER UPDATE OF name, hostname ON devices
WHEN OLD.name <> NEW.name OR OLD.hostname <> NEW.hostname
BEGIN
    UPDATE device_search SET words = NEW.name || char(10) || NEW.hostname
    WHERE rowid = (SELECT rowid FROM device_search WHERE device_id = OLD.id
        AND device_search = '"' || replace(OLD.name || char(10) || OLD.hostname, '"', '""') || '"');
END;
