-- Rotations of CAs, and what is measured before a step is taken.

CREATE TABLE ca_rotations (
    id             uuid PRIMARY KEY,
    old_key_id     text COLLATE "C" NOT NULL REFERENCES issuers (key_id),
    new_key_id     text COLLATE "C" NOT NULL UNIQUE REFERENCES issuers (key_id),
    step           text NOT NULL CHECK (step IN ('prepared', 'canary', 'active', 'retired', 'withdrawn')),
    canary         text, -- tenant:…, percent:… or devices:…
    prepared_at    timestamptz NOT NULL,
    prepared_epoch bigint NOT NULL, -- the one from which on doors trust the new CA
    activated_at   timestamptz,
    ended_at       timestamptz,
    renew_from     timestamptz, -- from when on devices are asked to follow
    renew_over     bigint, -- over how many milliseconds
    CHECK ((step = 'canary') = (canary IS NOT NULL)),
    CHECK ((step IN ('retired', 'withdrawn')) = (ended_at IS NOT NULL)),
    CHECK ((renew_from IS NULL) = (renew_over IS NULL))
);
CREATE UNIQUE INDEX ca_rotations_one_open_idx ON ca_rotations (old_key_id)
    WHERE step IN ('prepared', 'canary', 'active');

-- The devices that were chosen to go first, of a canary that is a number.
CREATE TABLE ca_rotation_devices (
    rotation_id uuid NOT NULL REFERENCES ca_rotations (id),
    device_id   uuid NOT NULL REFERENCES public.devices (id),
    PRIMARY KEY (rotation_id, device_id)
);

-- What every running authority says of the edges that are attached to it.
CREATE TABLE edge_reports (
    authority_id  uuid PRIMARY KEY,
    edges         bigint NOT NULL,
    applied_epoch bigint NOT NULL, -- the lowest that one of them enforces
    door_issuer   text COLLATE "C", -- who signed the certificate that its doors show
    at            timestamptz NOT NULL
);

-- Who signed a device's latest certificate.
ALTER TABLE public.devices ADD COLUMN certificate_issuer text COLLATE "C";
UPDATE public.devices SET certificate_issuer = (
    SELECT c.issuer_key_id FROM device_certificates c
    WHERE c.device_uuid = devices.id AND c.serial_number = devices.mtls_cert_serial_number
    ORDER BY c.issued_at DESC LIMIT 1
) WHERE mtls_cert_serial_number IS NOT NULL;
