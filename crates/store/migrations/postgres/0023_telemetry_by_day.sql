-- Telemetry by day, so that what is no longer kept goes without looking at each row. What is there stays where it is,
-- as what belongs to no day; days are made ahead.

ALTER TABLE telemetry RENAME TO telemetry_of_no_day;
ALTER TABLE telemetry_of_no_day DROP CONSTRAINT telemetry_pkey;
ALTER TABLE telemetry_of_no_day ADD CONSTRAINT telemetry_of_no_day_pkey PRIMARY KEY (id, received_at);
ALTER INDEX telemetry_device_idx RENAME TO telemetry_of_no_day_device_idx;
ALTER INDEX telemetry_org_idx RENAME TO telemetry_of_no_day_org_idx;
ALTER INDEX telemetry_received_idx RENAME TO telemetry_of_no_day_received_idx;

CREATE TABLE telemetry (
    id                 bigint NOT NULL, -- in the order in which they were taken
    org_id             uuid NOT NULL REFERENCES tenants (id),
    device_id          uuid NOT NULL REFERENCES public.devices (id),
    certificate_issuer text COLLATE "C" NOT NULL,
    serial_number      text COLLATE "C" NOT NULL,
    topic              text COLLATE "C" NOT NULL,
    qos                bigint NOT NULL CONSTRAINT telemetry_qos_check CHECK (qos BETWEEN 0 AND 2),
    duplicate_of       bigint, -- an earlier one of the same device, topic and payload
    received_at        timestamptz NOT NULL,
    sent_at            timestamptz, -- when the device says it was
    payload            text NOT NULL, -- JSON, without secrets
    PRIMARY KEY (id, received_at)
) PARTITION BY RANGE (received_at);
CREATE INDEX telemetry_device_idx ON telemetry (device_id, id);
CREATE INDEX telemetry_org_idx ON telemetry (org_id, id);
CREATE INDEX telemetry_received_idx ON telemetry (received_at);
ALTER TABLE telemetry ATTACH PARTITION telemetry_of_no_day DEFAULT;
