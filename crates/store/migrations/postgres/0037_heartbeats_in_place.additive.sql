-- A heartbeat changes a row in its place: no index follows the time of the last one.

-- A time that last_seen_at is not before. Whoever looks for silent devices moves it on.
ALTER TABLE public.devices ADD COLUMN last_seen_floor timestamptz NOT NULL DEFAULT 'epoch';
DROP INDEX public.devices_silent_idx;
CREATE INDEX devices_silent_idx ON public.devices (last_seen_floor) WHERE status = 'online';

-- Room for the next version of a row beside the one before.
ALTER TABLE public.devices SET (fillfactor = 80);
