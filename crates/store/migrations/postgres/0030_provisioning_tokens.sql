-- Provisioning tokens: what devices without a certificate show at the MQTT door's token listener.

CREATE TABLE provisioning_tokens (
    serial_number text COLLATE "C" PRIMARY KEY, -- its name; it says nothing of the token
    device_id     uuid NOT NULL REFERENCES public.devices (id),
    token_sha256  text COLLATE "C" NOT NULL,
    set_at        timestamptz NOT NULL,
    ended_at      timestamptz -- replaced or removed: the sessions that it opened end
);
CREATE UNIQUE INDEX provisioning_tokens_device_idx ON provisioning_tokens (device_id) WHERE ended_at IS NULL;
CREATE INDEX provisioning_tokens_ended_idx ON provisioning_tokens (ended_at) WHERE ended_at IS NOT NULL;
