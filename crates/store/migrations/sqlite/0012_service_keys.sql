-- Certificates of services that came with their keys, from whichever CA.

ALTER TABLE service_certificates ADD COLUMN sealed_key BLOB; -- null: whoever has the key, we have not
ALTER TABLE service_certificates ADD COLUMN chain TEXT; -- PEM, the CAs above an imported one as they came with it
CREATE INDEX service_certificates_key_idx ON service_certificates (issued_at, id) WHERE sealed_key IS NOT NULL;
