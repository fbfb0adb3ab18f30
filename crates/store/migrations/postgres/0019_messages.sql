-- What devices sent over MQTT: what was taken, and what was set aside with the reason.

CREATE TABLE telemetry (
    id                 bigint PRIMARY KEY, -- in the order in which they were taken
    org_id             uuid NOT NULL REFERENCES tenants (id),
    device_id          uuid NOT NULL REFERENCES public.devices (id),
    certificate_issuer text COLLATE "C" NOT NULL,
    serial_number      text COLLATE "C" NOT NULL,
    topic              text COLLATE "C" NOT NULL,
    qos                bigint NOT NULL CHECK (qos BETWEEN 0 AND 2),
    duplicate_of       bigint, -- an earlier one of the same device, topic and payload
    received_at        timestamptz NOT NULL,
    sent_at            timestamptz, -- when the device says it was
    payload            text NOT NULL -- JSON, without secrets
);
CREATE INDEX telemetry_device_idx ON telemetry (device_id, id);
CREATE INDEX telemetry_org_idx ON telemetry (org_id, id);
CREATE INDEX telemetry_received_idx ON telemetry (received_at);

CREATE TABLE quarantine_messages (
    id                 bigint PRIMARY KEY,
    org_id             uuid REFERENCES tenants (id), -- none: the tenant is unknown here
    tenant             text COLLATE "C" NOT NULL, -- from the certificate, as the next four
    device_name        text COLLATE "C" NOT NULL,
    certificate_issuer text COLLATE "C" NOT NULL,
    serial_number      text COLLATE "C" NOT NULL,
    device_id          uuid REFERENCES public.devices (id), -- none: no such device is on record
    topic              text COLLATE "C" NOT NULL, -- as it was claimed
    qos                bigint NOT NULL CHECK (qos BETWEEN 0 AND 2),
    reason             text COLLATE "C" NOT NULL,
    received_at        timestamptz NOT NULL,
    payload            bytea NOT NULL, -- its beginning, without secrets
    payload_bytes      bigint NOT NULL, -- how long it was
    released_at        timestamptz,
    released_as        bigint, -- the telemetry that it became
    CHECK ((released_at IS NULL) = (released_as IS NULL))
);
CREATE INDEX quarantine_messages_device_idx ON quarantine_messages (tenant, device_name, id);
CREATE INDEX quarantine_messages_org_idx ON quarantine_messages (org_id, id);
CREATE INDEX quarantine_messages_received_idx ON quarantine_messages (received_at);
