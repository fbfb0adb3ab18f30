//! Backups: reading the header of a file and what is inside never panics, takes no more memory than there
//! are octets, and a header that was read is written as it was.
#![no_main]

use countersign_ca::BackupHeader;
use countersign_store::inspect_archive;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(header) = BackupHeader::from_bytes(bytes) {
        assert!(bytes.starts_with(&header.to_bytes()));
    }
    if let Ok(facts) = inspect_archive(&mut &*bytes) {
        let columns = facts.tables.iter().map(|table| table.columns.len() as u64 * table.rows);
        assert!(columns.sum::<u64>() <= bytes.len() as u64);
    }
});
