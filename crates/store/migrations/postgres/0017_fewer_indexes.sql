-- A change of a whole fleet writes into every index of every row that it touches. These two are not needed.

-- A chain's own key, (chain, sequence), has the same order.
DROP INDEX audit_entries_chain_idx;

-- Every revoked certificate is in revocations, which nothing ever leaves, with its key unless it was merely
-- replaced; there its key is looked for.
INSERT INTO revocations (issuer_key_id, serial_number, spki_sha256, revoked_at, reason, expires_at)
SELECT issuer_key_id, serial_number,
    CASE WHEN revocation_reason = 'superseded' THEN NULL ELSE spki_sha256 END,
    revoked_at, revocation_reason, not_after
FROM device_certificates WHERE status = 'REVOKED'
ON CONFLICT (issuer_key_id, serial_number) DO NOTHING;
DROP INDEX device_certificates_revoked_key_idx;
