//! Certificates that are watched: where, what was seen of them, and what somebody accepted.

use countersign_core::ids::{MonitorName, SpkiSha256};
use countersign_core::time::Timestamp;

use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const TABLE: &str = "monitors";

/// A certificate by its key and its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateMark {
    /// Its key.
    pub spki: SpkiSha256,
    /// Its serial number as it stands there, hex; a stranger's may be of any length.
    pub serial: String,
}

/// What was seen of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenCertificate {
    /// Which one.
    pub mark: CertificateMark,
    /// Its subject.
    pub subject: String,
    /// Its issuer.
    pub issuer: String,
    /// First valid moment.
    pub not_before: Timestamp,
    /// Last valid moment.
    pub not_after: Timestamp,
    /// When it was first seen there.
    pub first_seen_at: Timestamp,
    /// When it was last seen there.
    pub last_seen_at: Timestamp,
}

/// A key that somebody accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedPin {
    /// The key.
    pub pin: SpkiSha256,
    /// The configured pin that it takes the place of; `None`: none was configured.
    pub instead_of: Option<SpkiSha256>,
    /// When.
    pub at: Timestamp,
}

/// A certificate that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonitorRow {
    /// What people call it.
    pub name: MonitorName,
    /// Where it is looked for.
    pub place: String,
    /// When an authority last went to look.
    pub looked_at: Timestamp,
    /// What was seen last; `None`: nothing yet.
    pub seen: Option<SeenCertificate>,
    /// The certificate that is taken to be right as long as no key is pinned.
    pub expected: Option<CertificateMark>,
    /// The key that somebody accepted.
    pub accepted: Option<AcceptedPin>,
    /// Since when it is another one than it should be.
    pub changed_at: Option<Timestamp>,
    /// Since when it cannot be looked at, and why.
    pub unreachable: Option<(Timestamp, String)>,
}

impl FromRow for MonitorRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let seen = match row.optional_parsed("spki_sha256")? {
            None => None,
            Some(spki) => Some(SeenCertificate {
                mark: CertificateMark { spki, serial: row.text("serial_number")? },
                subject: row.text("subject")?,
                issuer: row.text("issuer")?,
                not_before: row.time("not_before")?,
                not_after: row.time("not_after")?,
                first_seen_at: row.time("first_seen_at")?,
                last_seen_at: row.time("last_seen_at")?,
            }),
        };
        let expected = match row.optional_parsed("expected_spki")? {
            None => None,
            Some(spki) => Some(CertificateMark { spki, serial: row.text("expected_serial")? }),
        };
        let accepted = match row.optional_parsed("accepted_pin")? {
            None => None,
            Some(pin) => Some(AcceptedPin {
                pin,
                instead_of: row.optional_parsed("accepted_for")?,
                at: row.time("accepted_at")?,
            }),
        };
        Ok(Self {
            name: row.parsed("name")?,
            place: row.text("place")?,
            looked_at: row.time("looked_at")?,
            seen,
            expected,
            accepted,
            changed_at: row.optional_time("changed_at")?,
            unreachable: row.optional_time("unreachable_at")?.zip(row.optional_text("problem")?),
        })
    }
}

impl Reading<'_> {
    /// What is known of a watched certificate.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn monitor(
        &mut self,
        name: &MonitorName,
        place: &str,
    ) -> Result<Option<MonitorRow>, StoreError> {
        sql(TABLE, "SELECT * FROM monitors WHERE name = $1 AND place = $2")
            .bind(name)
            .bind(place)
            .optional(&mut self.connection)
            .await
    }
}

impl Writing<'_> {
    /// Records what is known of a watched certificate, in the place of what was.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_monitor(&mut self, row: &MonitorRow) -> Result<(), StoreError> {
        let (seen, expected, accepted) = (row.seen.as_ref(), row.expected.as_ref(), row.accepted.as_ref());
        let unreachable = row.unreachable.as_ref();
        sql(
            TABLE,
            "INSERT INTO monitors (name, place, looked_at, spki_sha256, serial_number, subject, issuer,
                 not_before, not_after, first_seen_at, last_seen_at, expected_spki, expected_serial,
                 accepted_pin, accepted_for, accepted_at, changed_at, unreachable_at, problem)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
             ON CONFLICT (name, place) DO UPDATE SET looked_at = excluded.looked_at,
                 spki_sha256 = excluded.spki_sha256, serial_number = excluded.serial_number,
                 subject = excluded.subject, issuer = excluded.issuer, not_before = excluded.not_before,
                 not_after = excluded.not_after, first_seen_at = excluded.first_seen_at,
                 last_seen_at = excluded.last_seen_at, expected_spki = excluded.expected_spki,
                 expected_serial = excluded.expected_serial, accepted_pin = excluded.accepted_pin,
                 accepted_for = excluded.accepted_for, accepted_at = excluded.accepted_at,
                 changed_at = excluded.changed_at, unreachable_at = excluded.unreachable_at,
                 problem = excluded.problem",
        )
        .bind(&row.name)
        .bind(row.place.as_str())
        .bind(row.looked_at)
        .bind(seen.map(|seen| seen.mark.spki))
        .bind(seen.map(|seen| seen.mark.serial.as_str()))
        .bind(seen.map(|seen| seen.subject.as_str()))
        .bind(seen.map(|seen| seen.issuer.as_str()))
        .bind(seen.map(|seen| seen.not_before))
        .bind(seen.map(|seen| seen.not_after))
        .bind(seen.map(|seen| seen.first_seen_at))
        .bind(seen.map(|seen| seen.last_seen_at))
        .bind(expected.map(|expected| expected.spki))
        .bind(expected.map(|expected| expected.serial.as_str()))
        .bind(accepted.map(|accepted| accepted.pin))
        .bind(accepted.and_then(|accepted| accepted.instead_of))
        .bind(accepted.map(|accepted| accepted.at))
        .bind(row.changed_at)
        .bind(unreachable.map(|(at, _problem)| *at))
        .bind(unreachable.map(|(_at, problem)| problem.as_str()))
        .run(&mut self.connection)
        .await
        .map(|_one| ())
    }

    /// Forgets what nobody has looked at since a moment: it is not configured any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_monitors(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        sql(TABLE, "DELETE FROM monitors WHERE looked_at < $1").bind(before).run(&mut self.connection).await
    }
}
