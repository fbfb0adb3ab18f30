-- Certificates of services that came with their keys, from whichever CA.

ALTER TABLE service_certificates ADD COLUMN sealed_key bytea; -- null: whoever has the key, we have not
ALTER TABLE service_certificates ADD COLUMN chain text; -- PEM, the CAs above an imported one as they came with it
CREATE INDEX service_certificates_key_idx ON service_certificates (issued_at, id) WHERE sealed_key IS NOT NULL;
