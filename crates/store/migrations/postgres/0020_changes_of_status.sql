-- A change of a row's status writes the row's every index again, so indexes of what hardly ever changes are elsewhere.

-- Certificates: what never changes is in one table and where each stands in another; device_certificates shows both
-- as it always did.

CREATE TABLE certificate_states (
    certificate_id    uuid PRIMARY KEY,
    device_uuid       uuid NOT NULL,
    status            text NOT NULL CHECK (status IN
        ('PENDING_ACTIVATION', 'ACTIVE', 'SUPERSEDED', 'REVOKED', 'EXPIRED')),
    not_after         timestamptz NOT NULL,
    confirm_before    timestamptz,
    superseded_until  timestamptz,
    revoked_at        timestamptz,
    revocation_reason text,
    CHECK ((status = 'REVOKED') = (revoked_at IS NOT NULL)),
    CHECK ((revoked_at IS NULL) = (revocation_reason IS NULL)),
    CHECK (status <> 'SUPERSEDED' OR superseded_until IS NOT NULL),
    CHECK (status <> 'PENDING_ACTIVATION' OR confirm_before IS NOT NULL)
);
INSERT INTO certificate_states
SELECT id, device_uuid, status, not_after, confirm_before, superseded_until, revoked_at, revocation_reason
FROM public.device_certificates;

-- The rest stays where it is: nothing is written anew. Indexes and checks go with their columns.
ALTER TABLE public.device_certificates RENAME TO issued_certificates;
ALTER TABLE public.issued_certificates SET SCHEMA countersign;
ALTER TABLE issued_certificates
    DROP COLUMN status, DROP COLUMN not_after, DROP COLUMN confirm_before, DROP COLUMN superseded_until,
    DROP COLUMN revoked_at, DROP COLUMN revocation_reason,
    DROP CONSTRAINT device_certificates_issuer_key_id_serial_number_key,
    ADD UNIQUE (serial_number, issuer_key_id);
DROP INDEX device_certificates_serial_idx;
ALTER INDEX device_certificates_device_idx RENAME TO issued_certificates_device_idx;
ALTER INDEX device_certificates_issued_idx RENAME TO issued_certificates_issued_idx;
ALTER INDEX device_certificates_tenant_idx RENAME TO issued_certificates_tenant_idx;
ALTER TABLE certificate_states
    ADD FOREIGN KEY (certificate_id) REFERENCES issued_certificates (id);
-- For seed 004's question: has this device an active certificate that has not ended?
CREATE INDEX issued_certificates_name_idx ON issued_certificates (tenant_id, device_id);

CREATE UNIQUE INDEX certificate_states_one_active_idx ON certificate_states (device_uuid)
    WHERE status = 'ACTIVE';
CREATE UNIQUE INDEX certificate_states_one_pending_idx ON certificate_states (device_uuid)
    WHERE status = 'PENDING_ACTIVATION';
CREATE INDEX certificate_states_end_idx ON certificate_states (not_after)
    WHERE status IN ('PENDING_ACTIVATION', 'ACTIVE', 'SUPERSEDED');
CREATE INDEX certificate_states_confirm_idx ON certificate_states (confirm_before)
    WHERE status = 'PENDING_ACTIVATION';
CREATE INDEX certificate_states_overlap_idx ON certificate_states (superseded_until)
    WHERE status = 'SUPERSEDED';

CREATE VIEW public.device_certificates AS
SELECT i.id, i.device_uuid, i.tenant_id, i.device_id, i.issuer_key_id, i.serial_number, i.spki_sha256, i.der,
    s.status, i.issued_at, s.not_after, s.confirm_before, s.superseded_until, s.revoked_at, s.revocation_reason
FROM issued_certificates i JOIN certificate_states s ON s.certificate_id = i.id;

-- Devices: by what they are looked for. The table devices stays whole for other programs, and whoever writes it, this
-- follows. A site is deleted so seldom that looking through all devices for it does no harm.
CREATE TABLE device_lookup (
    device_id    uuid PRIMARY KEY REFERENCES public.devices (id) ON DELETE CASCADE,
    org_id       uuid NOT NULL,
    site_id      uuid NOT NULL,
    agent_id     text COLLATE "C" NOT NULL UNIQUE,
    token_sha256 text COLLATE "C" UNIQUE,
    enrolled_at  timestamptz NOT NULL
);
INSERT INTO device_lookup
SELECT id, org_id, site_id, agent_id::text, token_sha256, enrolled_at FROM public.devices;
CREATE INDEX devices_enrolled_idx ON device_lookup (enrolled_at, device_id);
CREATE INDEX devices_org_enrolled_idx ON device_lookup (org_id, enrolled_at, device_id);
CREATE INDEX devices_site_idx ON device_lookup (site_id, enrolled_at, device_id);
DROP INDEX public.devices_agent_idx, public.devices_token_idx, public.devices_enrolled_idx,
    public.devices_org_enrolled_idx, public.devices_site_idx;

CREATE FUNCTION look_up_new_devices() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = countersign, public AS $$
BEGIN
    INSERT INTO device_lookup
    SELECT id, org_id, site_id, agent_id::text, token_sha256, enrolled_at FROM added;
    RETURN NULL;
END
$$;
CREATE TRIGGER devices_look_up_new AFTER INSERT ON public.devices
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION look_up_new_devices();

CREATE FUNCTION look_up_changed_device() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = countersign, public AS $$
BEGIN
    UPDATE device_lookup SET org_id = NEW.org_id, site_id = NEW.site_id, agent_id = NEW.agent_id::text,
        token_sha256 = NEW.token_sha256, enrolled_at = NEW.enrolled_at
    WHERE device_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER devices_look_up_changed
    AFTER UPDATE OF org_id, site_id, agent_id, token_sha256, enrolled_at ON public.devices
    FOR EACH ROW WHEN ((OLD.org_id, OLD.site_id, OLD.agent_id, OLD.token_sha256, OLD.enrolled_at)
        IS DISTINCT FROM (NEW.org_id, NEW.site_id, NEW.agent_id, NEW.token_sha256, NEW.enrolled_at))
    EXECUTE FUNCTION look_up_changed_device();

-- Compared byte by byte, and not as the database's language orders words, an index is written in half the time.
ALTER TABLE revocations ALTER COLUMN spki_sha256 TYPE text COLLATE "C";
ALTER TABLE denied_keys ALTER COLUMN spki_sha256 TYPE text COLLATE "C";
ALTER TABLE enrollment_keys ALTER COLUMN key_sha256 TYPE text COLLATE "C";
ALTER TABLE staged_tokens ALTER COLUMN token_sha256 TYPE text COLLATE "C";
ALTER TABLE audit_requests ALTER COLUMN request_id TYPE text COLLATE "C";
ALTER TABLE audit_entries
    ALTER COLUMN event TYPE text COLLATE "C",
    ALTER COLUMN actor TYPE text COLLATE "C",
    ALTER COLUMN device_id TYPE text COLLATE "C",
    ALTER COLUMN certificate_id TYPE text COLLATE "C";

-- These follow time, so that an index of ranges of rows finds as well and costs next to nothing to write.
DROP INDEX revocations_live_idx;
CREATE INDEX revocations_live_idx ON revocations USING brin (expires_at);
DROP INDEX audit_entries_at_idx;
CREATE INDEX audit_entries_at_idx ON audit_entries USING brin (at);

ANALYZE device_lookup;
ANALYZE certificate_states;
