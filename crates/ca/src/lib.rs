//! The issuing side of Countersign: keys at rest, the hierarchy, certificate profiles, the steps
//! prepare → lint → sign → check, and revocation lists.
//!
//! This crate may sign and may not decide: whether somebody gets a certificate, how serial numbers
//! are reserved and what is written down is the authority's business. It does no network and no
//! database I/O; the only files it touches are those of the key-encryption key and of a token's PIN,
//! and the module through which a token is spoken to ([`custody::pkcs11`]). It is linked by the
//! authority alone, so that an edge or an agent cannot mint a certificate. CAs elsewhere are asked in
//! [`upstream`], over a transport that is not of this crate.
//!
//! Templates decide what a certificate says ([`Profile`]); from a signing request only the public
//! key is used ([`VerifiedCsr`]). Everything follows RFC 5280 and is checked by named lints
//! ([`certificate_lints`], [`crl_lints`]) before it is signed.
//!
//! Start reading at [`Issuer`], then `profile.rs` and `lint.rs`.

pub mod anchor;
pub mod backup_file;
pub mod broker_password;
pub mod ca_certificate;
pub mod certificate;
pub mod crl;
mod crl_lint;
pub mod crl_read;
pub mod csr;
pub mod custody;
mod derivation;
pub mod describe;
pub mod distinguished_name;
pub mod encrypted_key;
pub mod facts;
pub mod foreign;
pub mod foreign_ca;
pub mod issuer;
pub mod key;
pub mod key_source;
mod lint;
mod name;
pub mod ocsp;
mod pbes2;
pub mod pem_blocks;
pub mod pkcs12;
pub mod profile;
pub mod public_key;
pub mod random;
pub mod root_file;
pub mod seal;
pub mod secret_file;
mod signed;
pub mod signed_crl;
mod tbs;
pub mod upstream;

pub use anchor::{AnchorFileError, SignedAnchor, public_key_from_pem};
pub use backup_file::{BackupFileError, BackupHeader, BackupReader, BackupWriter};
pub use broker_password::BrokerPassword;
pub use ca_certificate::{CaCertificate, CaCertificateError};
pub use certificate::{
    IssuedCertificate, PreparedCertificate, certificate_pem, certificates_from_pem, crl_pem, csr_pem,
    serial_of,
};
pub use crl::{CrlContents, CrlEntry, CrlError};
pub use crl_lint::crl_lints;
pub use crl_read::{CrlReadError, ReadCrl};
pub use csr::{CsrError, VerifiedCsr};
pub use custody::pkcs11::{KeyUri, KeyUriError, Token, TokenError, TokenKey, TokenSettings};
pub use custody::{Pace, Signer};
pub use describe::{CertificateDescription, CertificateFault, CertificateRole};
pub use distinguished_name::{DistinguishedName, NameAttribute, NameError};
pub use encrypted_key::{EncryptedKeyError, encrypted_key_pem, key_of_encrypted_pem};
pub use facts::CertificateFacts;
pub use foreign::{ForeignCertificate, ForeignCertificateError, purposes_of};
pub use foreign_ca::{ForeignCa, ForeignCaError};
pub use issuer::{CertificateRequest, IssueError, Issuer, IssuerKind, PrepareError, SignError};
pub use key::{KeyAlgorithm, KeyError, SigningKey, UnknownAlgorithm};
pub use key_source::KeySource;
pub use lint::{LintRow, certificate_lints, lint_names};
pub use pem_blocks::{PemBlock, pem_blocks};
pub use pkcs12::{Pkcs12Contents, Pkcs12Error, pkcs12};
pub use profile::{Profile, Publication, Purpose, ServerPurposes, ServiceNames};
pub use public_key::{PublicKey, SignatureError};
pub use random::{random_bytes, random_serial};
pub use root_file::{RootFile, RootFileError};
pub use seal::{KeyEncryptionKey, SealError, SealedKey};
pub use secret_file::{SecretError, SecretFile};
pub use signed_crl::{SignedCrl, SignedCrlError};
