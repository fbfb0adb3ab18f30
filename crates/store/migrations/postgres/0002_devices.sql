-- Enrolment keys, devices, their certificates, and what must never be trusted again.
-- devices and device_certificates are in the schema public, where the seeds' own queries look for them;
-- columns, enum and indexes that seeds 000 and 004 name are spelled and typed as they spell them.
-- A table devices that is there already (seed 000's) is completed and its rows are kept: see the guide
-- docs/guides/postgresql.md. The type device_status is made, or given its missing values, before this
-- transaction, because PostgreSQL does not use an enum's value in the transaction that adds it.

CREATE TABLE IF NOT EXISTS public.devices (id uuid PRIMARY KEY);

-- Rules of the former owner that we do not know are lifted: references to its own tables, and columns
-- that must be filled by whoever enrols a device.
DO $adopt$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT conname FROM pg_constraint c
        WHERE c.conrelid = 'public.devices'::regclass AND c.contype = 'f' AND EXISTS (
            SELECT 1 FROM pg_attribute a
            WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey) AND a.attname IN ('org_id', 'site_id'))
    LOOP
        EXECUTE format('ALTER TABLE public.devices DROP CONSTRAINT %I', found.conname);
    END LOOP;
    FOR found IN
        SELECT attname FROM pg_attribute a
        WHERE a.attrelid = 'public.devices'::regclass AND a.attnum > 0 AND NOT a.attisdropped
            AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND a.attname <> 'id'
            AND NOT EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisprimary
                AND a.attnum = ANY (i.indkey::int2[]))
    LOOP
        EXECUTE format('ALTER TABLE public.devices ALTER COLUMN %I DROP NOT NULL', found.attname);
    END LOOP;
END
$adopt$;

ALTER TABLE public.devices
    ADD COLUMN IF NOT EXISTS org_id uuid,
    ADD COLUMN IF NOT EXISTS site_id uuid,
    ADD COLUMN IF NOT EXISTS agent_id varchar(64),
    ADD COLUMN IF NOT EXISTS name text COLLATE "C",
    ADD COLUMN IF NOT EXISTS hostname text COLLATE "C",
    ADD COLUMN IF NOT EXISTS os_type text,
    ADD COLUMN IF NOT EXISTS os_version text,
    ADD COLUMN IF NOT EXISTS architecture text,
    ADD COLUMN IF NOT EXISTS agent_version text,
    ADD COLUMN IF NOT EXISTS hardware_serial text,
    ADD COLUMN IF NOT EXISTS status device_status,
    ADD COLUMN IF NOT EXISTS token_sha256 text,
    ADD COLUMN IF NOT EXISTS last_seen_at timestamptz,
    ADD COLUMN IF NOT EXISTS last_ip text,
    ADD COLUMN IF NOT EXISTS mtls_cert_serial_number varchar(128),
    ADD COLUMN IF NOT EXISTS mtls_cert_expires_at timestamp,
    ADD COLUMN IF NOT EXISTS mtls_cert_issued_at timestamp,
    ADD COLUMN IF NOT EXISTS mtls_cert_cf_id varchar(128),
    ADD COLUMN IF NOT EXISTS quarantined_at timestamp,
    ADD COLUMN IF NOT EXISTS quarantined_reason varchar(255),
    ADD COLUMN IF NOT EXISTS pending_key bytea,
    ADD COLUMN IF NOT EXISTS grant_until timestamptz,
    ADD COLUMN IF NOT EXISTS enrolled_at timestamptz,
    ADD COLUMN IF NOT EXISTS decommissioned_at timestamptz,
    ADD COLUMN IF NOT EXISTS revision bigint DEFAULT 0,
    -- The last one at which doors had to hear of it.
    ADD COLUMN IF NOT EXISTS trust_epoch bigint DEFAULT 0,
    -- What an adopted row said before its values were brought into our spelling.
    ADD COLUMN IF NOT EXISTS seed_values jsonb;

-- Columns of other types than ours are converted; organizations and sites that are not named by UUIDs
-- get one derived from their name.
DO $adopt$
DECLARE
    found record;
    uuid_pattern CONSTANT text := '^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}$';
BEGIN
    FOR found IN
        SELECT a.attname, format_type(a.atttypid, NULL) AS type, t.typcategory AS category
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = 'public.devices'::regclass AND a.attnum > 0 AND NOT a.attisdropped
    LOOP
        IF found.attname = 'id' AND found.type <> 'uuid' THEN
            EXECUTE 'ALTER TABLE public.devices ALTER COLUMN id DROP DEFAULT,
                     ALTER COLUMN id TYPE uuid USING id::text::uuid';
        ELSIF found.attname IN ('org_id', 'site_id') AND found.type <> 'uuid' THEN
            EXECUTE format('UPDATE public.devices SET seed_values =
                coalesce(seed_values, ''{}'') || jsonb_build_object(%1$L, %1$I::text)', found.attname);
            EXECUTE format('ALTER TABLE public.devices ALTER COLUMN %1$I DROP DEFAULT,
                ALTER COLUMN %1$I TYPE uuid USING CASE WHEN %1$I::text ~ %2$L THEN %1$I::text::uuid
                    ELSE md5(%1$I::text)::uuid END', found.attname, uuid_pattern);
        ELSIF found.attname = 'status' AND found.type <> 'device_status' THEN
            EXECUTE 'UPDATE public.devices SET seed_values =
                coalesce(seed_values, ''{}'') || jsonb_build_object(''status'', status::text)';
            EXECUTE 'ALTER TABLE public.devices ALTER COLUMN status DROP DEFAULT,
                ALTER COLUMN status TYPE device_status USING CASE WHEN status::text IN
                    (''online'', ''offline'', ''maintenance'', ''decommissioned'', ''quarantined'', ''pending'')
                    THEN status::text::device_status ELSE ''offline''::device_status END';
        ELSIF found.attname IN ('hostname', 'name') THEN
            EXECUTE format('ALTER TABLE public.devices ALTER COLUMN %1$I TYPE text COLLATE "C" USING %1$I::text',
                found.attname);
        ELSIF found.attname IN ('os_version', 'architecture', 'agent_version', 'hardware_serial', 'last_ip',
                'token_sha256') AND found.type <> 'text' THEN
            EXECUTE format('ALTER TABLE public.devices ALTER COLUMN %1$I TYPE text USING %1$I::text',
                found.attname);
        ELSIF found.attname IN ('agent_id', 'os_type') AND found.category NOT IN ('S', 'E') THEN
            EXECUTE format('ALTER TABLE public.devices ALTER COLUMN %1$I TYPE text USING %1$I::text',
                found.attname);
        END IF;
    END LOOP;
    IF NOT EXISTS (SELECT 1 FROM pg_index WHERE indrelid = 'public.devices'::regclass AND indisprimary) THEN
        ALTER TABLE public.devices ADD PRIMARY KEY (id);
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid
            WHERE i.indrelid = 'public.devices'::regclass AND i.indisunique AND i.indpred IS NULL
                AND i.indnkeyatts = 1 AND a.attnum = i.indkey[0] AND a.attname = 'id') THEN
        CREATE UNIQUE INDEX devices_id_idx ON public.devices (id);
    END IF;
END
$adopt$;

-- Organizations become tenants, with the default settings; each gets the site every tenant has.
CREATE TEMPORARY TABLE adopted_orgs ON COMMIT DROP AS
    SELECT org_id AS id, max(seed_values ->> 'org_id') AS slug, max(seed_values ->> 'org_id') AS name
    FROM public.devices WHERE org_id IS NOT NULL GROUP BY org_id;

DO $adopt$
DECLARE
    fallback uuid;
BEGIN
    IF EXISTS (SELECT 1 FROM public.devices WHERE org_id IS NULL) THEN
        fallback := gen_random_uuid();
        INSERT INTO adopted_orgs VALUES (fallback, 'adopted', 'Adopted');
        UPDATE public.devices SET org_id = fallback WHERE org_id IS NULL;
    END IF;
    IF (SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('public.organizations')
            AND attname IN ('id', 'name', 'slug') AND NOT attisdropped) = 3 THEN
        UPDATE adopted_orgs a SET name = o.name::text, slug = lower(o.slug::text)
        FROM public.organizations o WHERE o.id::text = a.id::text;
    ELSIF (SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('public.organizations')
            AND attname IN ('id', 'name') AND NOT attisdropped) = 2 THEN
        UPDATE adopted_orgs a SET name = o.name::text FROM public.organizations o WHERE o.id::text = a.id::text;
    END IF;
    UPDATE adopted_orgs SET slug = NULL
        WHERE slug !~ '^[a-z0-9][a-z0-9-]{0,62}$' OR slug = 'default';
    UPDATE adopted_orgs a SET slug = NULL
        WHERE EXISTS (SELECT 1 FROM adopted_orgs b WHERE b.slug = a.slug AND b.id < a.id);
    UPDATE adopted_orgs SET slug = 'org-' || replace(id::text, '-', '') WHERE slug IS NULL;
    UPDATE adopted_orgs SET name = slug WHERE coalesce(name, '') = '';
END
$adopt$;

INSERT INTO tenants (id, slug, name, created_at, cert_lifetime_days, expired_cert_policy, enforcement,
    allow_server_generated_keys, allow_bearer_only_renewal, renewal_overlap_hours)
SELECT id, slug, name, date_trunc('milliseconds', now()), 90, 'auto_reissue', 'observe', 0, 0, 24
FROM adopted_orgs;

INSERT INTO sites (id, org_id, slug, name) SELECT gen_random_uuid(), id, 'default', 'Default' FROM adopted_orgs;
INSERT INTO sites (id, org_id, slug, name)
SELECT DISTINCT ON (site_id) site_id, org_id, 'site-' || replace(site_id::text, '-', ''),
    coalesce(seed_values ->> 'site_id', 'Site ' || site_id)
FROM public.devices WHERE site_id IS NOT NULL ORDER BY site_id, org_id;

DO $adopt$
BEGIN
    IF (SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('public.sites')
            AND attname IN ('id', 'name') AND NOT attisdropped) = 2 THEN
        UPDATE sites s SET name = theirs.name::text FROM public.sites theirs
        WHERE theirs.id::text = s.id::text AND coalesce(theirs.name::text, '') <> '';
    END IF;
    -- Agents that authenticate with a token whose SHA-256 is on record go on doing so.
    IF EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = 'public.devices'::regclass
            AND attname = 'agent_token_hash' AND NOT attisdropped) THEN
        UPDATE public.devices d SET token_sha256 = lower(agent_token_hash::text)
        WHERE token_sha256 IS NULL AND lower(agent_token_hash::text) ~ '^[0-9a-f]{64}$'
            AND NOT EXISTS (SELECT 1 FROM public.devices other
                WHERE other.agent_token_hash = d.agent_token_hash AND other.id <> d.id);
    END IF;
END
$adopt$;

-- Rows are completed; what had to be spelled in another way is kept in seed_values.
UPDATE public.devices d
SET site_id = (SELECT s.id FROM sites s WHERE s.org_id = d.org_id AND s.slug = 'default')
WHERE NOT EXISTS (SELECT 1 FROM sites s WHERE s.id = d.site_id AND s.org_id = d.org_id);

UPDATE public.devices SET
    agent_id = encode(sha256(convert_to('agent of ' || id, 'UTF8')), 'hex'),
    seed_values = CASE WHEN agent_id IS NULL THEN seed_values
        ELSE coalesce(seed_values, '{}') || jsonb_build_object('agent_id', agent_id) END
WHERE agent_id IS NULL OR agent_id !~ '^[0-9a-f]{64}$';

UPDATE public.devices SET status = 'offline',
    seed_values = CASE WHEN status IS NULL THEN seed_values
        ELSE coalesce(seed_values, '{}') || jsonb_build_object('status', status::text) END
WHERE status IS NULL OR status NOT IN
    ('online', 'offline', 'maintenance', 'decommissioned', 'quarantined', 'pending');

UPDATE public.devices SET
    mtls_cert_serial_number = nullif(left(ltrim(
        regexp_replace(lower(mtls_cert_serial_number), '[^0-9a-f]', '', 'g'), '0'), 40), ''),
    seed_values = coalesce(seed_values, '{}')
        || jsonb_build_object('mtls_cert_serial_number', mtls_cert_serial_number)
WHERE mtls_cert_serial_number !~ '^0*[1-9a-fA-F][0-9a-fA-F]{0,39}$';

UPDATE public.devices SET
    hostname = coalesce(hostname, ''),
    os_version = coalesce(os_version, ''),
    architecture = coalesce(architecture, ''),
    agent_version = coalesce(agent_version, ''),
    enrolled_at = coalesce(enrolled_at, date_trunc('milliseconds', now())),
    revision = coalesce(revision, 0),
    trust_epoch = coalesce(trust_epoch, 0);
UPDATE public.devices SET os_type = 'linux' WHERE os_type IS NULL;
UPDATE public.devices SET
    mtls_cert_issued_at = coalesce(mtls_cert_issued_at, least(mtls_cert_expires_at, enrolled_at)),
    mtls_cert_expires_at = coalesce(mtls_cert_expires_at, mtls_cert_issued_at, enrolled_at)
WHERE mtls_cert_serial_number IS NOT NULL;
UPDATE public.devices SET
    quarantined_at = coalesce(quarantined_at, date_trunc('milliseconds', now() AT TIME ZONE 'UTC')),
    quarantined_reason = coalesce(nullif(trim(quarantined_reason), ''), 'mtls_cert_expired')
WHERE status = 'quarantined';
UPDATE public.devices SET quarantined_reason = NULL
WHERE trim(quarantined_reason) = '' OR quarantined_reason ~ '[[:cntrl:]]';
UPDATE public.devices SET decommissioned_at = coalesce(decommissioned_at, date_trunc('milliseconds', now()))
WHERE status = 'decommissioned';

-- Names: what is allowed of the name, or else of the host name; the second of a name gets a suffix.
UPDATE public.devices SET seed_values = coalesce(seed_values, '{}') || jsonb_build_object('name', name)
WHERE name IS NOT NULL AND name !~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$';
UPDATE public.devices SET name = regexp_replace(regexp_replace(
    left(coalesce(nullif(name, ''), hostname), 100), '[^A-Za-z0-9._-]', '-', 'g'),
    '^[^A-Za-z0-9]+|[^A-Za-z0-9]+$', '', 'g')
WHERE name IS NULL OR name !~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$';
UPDATE public.devices SET name = rtrim('device-' || name, '-')
WHERE name = '' OR name ~* '^(service_|countersign|admin$)';
UPDATE public.devices d SET name = left(d.name, 90) || '-' || replace(d.id::text, '-', '')
WHERE EXISTS (SELECT 1 FROM public.devices other
    WHERE other.org_id = d.org_id AND other.name = d.name AND other.id < d.id);

ALTER TABLE public.devices
    ALTER COLUMN org_id SET NOT NULL,
    ALTER COLUMN site_id SET NOT NULL,
    ALTER COLUMN agent_id SET NOT NULL,
    ALTER COLUMN name SET NOT NULL,
    ALTER COLUMN hostname SET NOT NULL,
    ALTER COLUMN os_type SET NOT NULL,
    ALTER COLUMN os_version SET NOT NULL,
    ALTER COLUMN architecture SET NOT NULL,
    ALTER COLUMN agent_version SET NOT NULL,
    ALTER COLUMN status SET NOT NULL,
    ALTER COLUMN enrolled_at SET NOT NULL,
    ALTER COLUMN revision SET NOT NULL,
    ALTER COLUMN trust_epoch SET NOT NULL,
    ADD FOREIGN KEY (org_id) REFERENCES tenants (id),
    ADD FOREIGN KEY (site_id) REFERENCES sites (id);

CREATE INDEX IF NOT EXISTS devices_mtls_cert_expires_idx ON public.devices (mtls_cert_expires_at)
    WHERE mtls_cert_expires_at IS NOT NULL AND status NOT IN ('decommissioned');
CREATE INDEX IF NOT EXISTS devices_quarantined_idx ON public.devices (org_id, status)
    WHERE status = 'quarantined';
CREATE UNIQUE INDEX devices_org_name_idx ON public.devices (org_id, name);
CREATE UNIQUE INDEX devices_agent_idx ON public.devices (agent_id);
CREATE UNIQUE INDEX devices_token_idx ON public.devices (token_sha256);
CREATE INDEX devices_barred_idx ON public.devices (status, quarantined_at)
    WHERE status IN ('quarantined', 'decommissioned');
CREATE INDEX devices_enrolled_idx ON public.devices (enrolled_at, id);
CREATE INDEX devices_org_enrolled_idx ON public.devices (org_id, enrolled_at, id);
CREATE INDEX devices_silent_idx ON public.devices (last_seen_at) WHERE status = 'online';
CREATE INDEX devices_trust_epoch_idx ON public.devices (trust_epoch) WHERE trust_epoch <> 0;
CREATE INDEX devices_grant_idx ON public.devices (grant_until) WHERE grant_until IS NOT NULL;

CREATE TABLE enrollment_keys (
    id           uuid PRIMARY KEY,
    key_sha256   text NOT NULL UNIQUE,
    org_id       uuid NOT NULL REFERENCES tenants (id),
    site_id      uuid NOT NULL REFERENCES sites (id),
    max_uses     bigint NOT NULL,
    uses         bigint NOT NULL CHECK (uses BETWEEN 0 AND max_uses),
    expires_at   timestamptz NOT NULL,
    approval     text NOT NULL CHECK (approval IN ('not_needed', 'required')),
    name_pattern text,
    device_id    uuid REFERENCES public.devices (id),
    spki_sha256  text,
    networks     text NOT NULL,
    created_at   timestamptz NOT NULL,
    created_by   uuid REFERENCES users (id),
    revoked_at   timestamptz
);
CREATE INDEX enrollment_keys_org_idx ON enrollment_keys (org_id, created_at);

-- tenant_id is the tenant's slug and device_id the device's name, as in seed 004.
CREATE TABLE public.device_certificates (
    id                uuid PRIMARY KEY,
    device_uuid       uuid NOT NULL REFERENCES public.devices (id),
    tenant_id         text COLLATE "C" NOT NULL,
    device_id         text COLLATE "C" NOT NULL,
    issuer_key_id     text COLLATE "C" NOT NULL,
    serial_number     text COLLATE "C" NOT NULL,
    spki_sha256       text NOT NULL,
    der               bytea NOT NULL,
    status            text NOT NULL CHECK (status IN
        ('PENDING_ACTIVATION', 'ACTIVE', 'SUPERSEDED', 'REVOKED', 'EXPIRED')),
    issued_at         timestamptz NOT NULL,
    not_after         timestamptz NOT NULL,
    confirm_before    timestamptz,
    superseded_until  timestamptz,
    revoked_at        timestamptz,
    revocation_reason text,
    UNIQUE (issuer_key_id, serial_number),
    CHECK ((status = 'REVOKED') = (revoked_at IS NOT NULL)),
    CHECK ((revoked_at IS NULL) = (revocation_reason IS NULL)),
    CHECK (status <> 'SUPERSEDED' OR superseded_until IS NOT NULL),
    CHECK (status <> 'PENDING_ACTIVATION' OR confirm_before IS NOT NULL)
);
CREATE UNIQUE INDEX device_certificates_one_active_idx ON public.device_certificates (device_uuid)
    WHERE status = 'ACTIVE';
CREATE UNIQUE INDEX device_certificates_one_pending_idx ON public.device_certificates (device_uuid)
    WHERE status = 'PENDING_ACTIVATION';
CREATE INDEX device_certificates_device_idx ON public.device_certificates (device_uuid, issued_at, id);
CREATE INDEX device_certificates_issued_idx ON public.device_certificates (issued_at, id);
CREATE INDEX device_certificates_tenant_idx ON public.device_certificates (tenant_id, issued_at, id);
-- Seed 004's question: has this device an active certificate that has not ended?
CREATE INDEX device_certificates_active_idx ON public.device_certificates (tenant_id, device_id)
    WHERE status = 'ACTIVE';
CREATE INDEX device_certificates_serial_idx ON public.device_certificates (serial_number);
CREATE INDEX device_certificates_revoked_key_idx ON public.device_certificates (spki_sha256)
    WHERE status = 'REVOKED';
CREATE INDEX device_certificates_end_idx ON public.device_certificates (not_after)
    WHERE status IN ('PENDING_ACTIVATION', 'ACTIVE', 'SUPERSEDED');
CREATE INDEX device_certificates_confirm_idx ON public.device_certificates (confirm_before)
    WHERE status = 'PENDING_ACTIVATION';
CREATE INDEX device_certificates_overlap_idx ON public.device_certificates (superseded_until)
    WHERE status = 'SUPERSEDED';

-- Serials reserved for certificates that are about to be signed.
CREATE TABLE issuance_intents (
    issuer_key_id text COLLATE "C" NOT NULL,
    serial_number text COLLATE "C" NOT NULL,
    device_id     uuid, -- no reference: at an enrolment the intent is there before the device
    profile       text NOT NULL,
    at            timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    PRIMARY KEY (issuer_key_id, serial_number)
);

-- What is on CRLs and in the deny set, with or without a certificate row.
CREATE TABLE revocations (
    issuer_key_id text COLLATE "C" NOT NULL,
    serial_number text COLLATE "C" NOT NULL,
    spki_sha256   text,
    revoked_at    timestamptz NOT NULL,
    reason        text NOT NULL,
    expires_at    timestamptz NOT NULL,
    PRIMARY KEY (issuer_key_id, serial_number)
);
CREATE INDEX revocations_live_idx ON revocations (expires_at);
CREATE INDEX revocations_key_idx ON revocations (spki_sha256) WHERE spki_sha256 IS NOT NULL;

CREATE TABLE denied_keys (
    spki_sha256 text PRIMARY KEY,
    org_id      uuid NOT NULL REFERENCES tenants (id),
    device_id   uuid NOT NULL REFERENCES public.devices (id),
    at          timestamptz NOT NULL
);
CREATE INDEX denied_keys_device_idx ON denied_keys (device_id);

CREATE TABLE denied_traits (
    org_id uuid NOT NULL REFERENCES tenants (id),
    kind   text NOT NULL CHECK (kind IN ('hostname', 'hardware_serial')),
    value  text COLLATE "C" NOT NULL,
    PRIMARY KEY (org_id, kind, value)
);

CREATE TABLE challenges (
    id         uuid PRIMARY KEY,
    device_id  uuid NOT NULL REFERENCES public.devices (id),
    nonce      text NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX challenges_device_idx ON challenges (device_id);
