-- Commands to devices, and how agents are to behave: the tenant's wishes, and what its devices say they go by.

CREATE TABLE commands (
    id           uuid PRIMARY KEY,
    device_id    uuid NOT NULL REFERENCES public.devices (id),
    type         text NOT NULL,
    payload      text, -- JSON
    status       text NOT NULL CHECK (status IN ('queued', 'delivered', 'completed', 'failed', 'expired')),
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    delivered_at timestamptz,
    finished_at  timestamptz,
    result       text, -- JSON
    error        text,
    CHECK ((status IN ('queued', 'delivered')) = (finished_at IS NULL)),
    CHECK (status <> 'delivered' OR delivered_at IS NOT NULL)
);
CREATE INDEX commands_device_idx ON commands (device_id, created_at, id);
CREATE INDEX commands_open_idx ON commands (device_id, created_at) WHERE status IN ('queued', 'delivered');
CREATE INDEX commands_waiting_idx ON commands (created_at) WHERE status = 'queued';
CREATE INDEX commands_end_idx ON commands (expires_at) WHERE status IN ('queued', 'delivered');
CREATE INDEX commands_finished_idx ON commands (finished_at) WHERE finished_at IS NOT NULL;

ALTER TABLE public.devices
    -- When the last open command of a device ends; null: it has none.
    ADD COLUMN IF NOT EXISTS commands_until timestamptz,
    -- What its agent said last: the version of the settings it goes by, and the hash of the CA
    -- certificates that it trusts, with the moment at which it first said so.
    ADD COLUMN IF NOT EXISTS reported_config_version bigint,
    ADD COLUMN IF NOT EXISTS reported_trust_bundle text,
    ADD COLUMN IF NOT EXISTS reported_trust_bundle_at timestamptz;

ALTER TABLE tenants
    ADD COLUMN heartbeat_interval_seconds bigint NOT NULL DEFAULT 60,
    ADD COLUMN metrics_interval_seconds bigint NOT NULL DEFAULT 30,
    ADD COLUMN agent_settings_version bigint NOT NULL DEFAULT 1;
