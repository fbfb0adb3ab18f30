-- Lists of devices by how they stand, and by a part of a name.

-- Most are online, and found by looking through the newest ones.
CREATE INDEX devices_status_idx ON public.devices (status, enrolled_at, id, org_id) WHERE status <> 'online';

-- Every name with the host name, in lower case.
ALTER TABLE device_lookup ADD COLUMN words text COLLATE "C" NOT NULL DEFAULT '';
UPDATE device_lookup l SET words = lower(d.name || E'\n' || d.hostname) FROM public.devices d WHERE d.id = l.device_id;

CREATE OR REPLACE FUNCTION look_up_new_devices() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = countersign, public AS $$
BEGIN
    INSERT INTO device_lookup
    SELECT id, org_id, site_id, agent_id::text, token_sha256, enrolled_at, lower(name || E'\n' || hostname) FROM added;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION look_up_changed_device() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = countersign, public AS $$
BEGIN
    UPDATE device_lookup SET org_id = NEW.org_id, site_id = NEW.site_id, agent_id = NEW.agent_id::text,
        token_sha256 = NEW.token_sha256, enrolled_at = NEW.enrolled_at, words = lower(NEW.name || E'\n' || NEW.hostname)
    WHERE device_id = NEW.id;
    RETURN NULL;
END
$$;
DROP TRIGGER devices_look_up_changed ON public.devices;
CREATE TRIGGER devices_look_up_changed
    AFTER UPDATE OF org_id, site_id, agent_id, token_sha256, enrolled_at, name, hostname ON public.devices
    FOR EACH ROW WHEN (
        (OLD.org_id, OLD.site_id, OLD.agent_id, OLD.token_sha256, OLD.enrolled_at, OLD.name, OLD.hostname)
        IS DISTINCT FROM
        (NEW.org_id, NEW.site_id, NEW.agent_id, NEW.token_sha256, NEW.enrolled_at, NEW.name, NEW.hostname))
    EXECUTE FUNCTION look_up_changed_device();

-- By any three characters in a row, where the server has the extension and lets us have it; without it a search
-- looks through all names.
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX device_lookup_words_idx ON device_lookup USING gin (words gin_trgm_ops);
EXCEPTION WHEN OTHERS THEN
    RAISE NOTICE 'names are not indexed: %', SQLERRM;
END
$$;
ANALYZE device_lookup;
