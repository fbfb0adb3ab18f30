//! The CRLs of the installation's CAs, each the latest of its scope, and those that are wanted anew.

use countersign_core::crl_scope::CrlScope;
use countersign_core::ids::IssuerKeyId;
use countersign_core::time::Timestamp;

use super::revocations::RevocationRow;
use crate::error::StoreError;
use crate::row::{FromRow, Number, Row};
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const TABLE: &str = "crls";
const WANTED: &str = "crl_wanted";

/// A signed CRL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlRow {
    /// Who signed it.
    pub issuer: IssuerKeyId,
    /// What it is about.
    pub scope: CrlScope,
    /// Its number, from [`Writing::next_crl_numbers`].
    pub number: u64,
    /// From when it speaks.
    pub this_update: Timestamp,
    /// By when the next one comes.
    pub next_update: Timestamp,
    /// The CRL itself, DER.
    pub der: Vec<u8>,
}

impl FromRow for CrlRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            issuer: row.parsed("issuer_key_id")?,
            scope: row.parsed("shard")?,
            number: row.number("number")?,
            this_update: row.time("this_update")?,
            next_update: row.time("next_update")?,
            der: row.bytes("der")?,
        })
    }
}

/// One list of one issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CrlName {
    /// Who signs it.
    pub issuer: IssuerKeyId,
    /// What it is about.
    pub scope: CrlScope,
}

impl FromRow for CrlName {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self { issuer: row.parsed("issuer_key_id")?, scope: row.parsed("shard")? })
    }
}

/// When a list was made, and until when it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrlDate {
    /// Which list.
    pub list: CrlName,
    /// From when it speaks.
    pub this_update: Timestamp,
    /// When the next one is due.
    pub next_update: Timestamp,
}

impl FromRow for CrlDate {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            list: CrlName::from_row(row)?,
            this_update: row.time("this_update")?,
            next_update: row.time("next_update")?,
        })
    }
}

/// A mark that something was revoked which a shard's list does not have yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrlMark {
    /// Which list.
    pub list: CrlName,
    mark: i64,
}

impl FromRow for CrlMark {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self { list: CrlName::from_row(row)?, mark: row.number("mark")? })
    }
}

impl Reading<'_> {
    /// The latest CRL of an issuer and scope.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn latest_crl(&mut self, list: CrlName) -> Result<Option<CrlRow>, StoreError> {
        sql(TABLE, "SELECT * FROM crls WHERE issuer_key_id = $1 AND shard = $2")
            .bind(list.issuer)
            .bind(list.scope)
            .optional(&mut self.connection)
            .await
    }

    /// When each list on record was made, and until when it lasts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn crl_dates(&mut self) -> Result<Vec<CrlDate>, StoreError> {
        let text = "SELECT issuer_key_id, shard, this_update, next_update FROM crls
                    ORDER BY issuer_key_id, shard";
        sql(TABLE, text).all(&mut self.connection).await
    }

    /// The highest number among an issuer's lists of shards; zero when there are none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn highest_shard_number(&mut self, issuer: IssuerKeyId) -> Result<u64, StoreError> {
        let Number(number) = sql(
            TABLE,
            "SELECT coalesce(max(number), 0) AS number FROM crls WHERE issuer_key_id = $1 AND shard <> 'all'",
        )
        .bind(issuer)
        .one(&mut self.connection)
        .await?;
        Ok(number)
    }

    /// What was revoked and is not on its shard's list yet; of one issuer, or of all.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn crl_marks(&mut self, issuer: Option<IssuerKeyId>) -> Result<Vec<CrlMark>, StoreError> {
        sql(
            WANTED,
            "SELECT issuer_key_id, shard, mark FROM crl_wanted WHERE CAST($1 AS text) IS NULL OR issuer_key_id = $1
             ORDER BY issuer_key_id, shard",
        )
        .bind(issuer)
        .all(&mut self.connection)
        .await
    }

    /// What the next CRL of this scope lists: every revoked certificate that has not yet been on a CRL
    /// issued after its end (RFC 5280 section 3.3).
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn crl_entries(
        &mut self,
        list: CrlName,
        now: Timestamp,
    ) -> Result<Vec<RevocationRow>, StoreError> {
        let since = self.latest_crl(list).await?.map(|crl| crl.this_update);
        let text = match list.scope {
            CrlScope::Whole => {
                "SELECT * FROM revocations
                 WHERE issuer_key_id = $1 AND $2 = 'all' AND revoked_at <= $3
                     AND (expires_at >= $4 OR revoked_at >= $4)"
            }
            CrlScope::Shard(_) => {
                "SELECT * FROM revocations
                 WHERE issuer_key_id = $1 AND substr(serial_number, length(serial_number) - 1) = $2
                     AND revoked_at <= $3 AND (expires_at >= $4 OR revoked_at >= $4)"
            }
        };
        sql("revocations", text)
            .bind(list.issuer)
            .bind(list.scope)
            .bind(now)
            .bind(since.unwrap_or(Timestamp::from_millis(i64::MIN)))
            .all(&mut self.connection)
            .await
    }
}

impl Writing<'_> {
    /// Takes the issuer's next `count` CRL numbers, higher than any that was ever committed, and gives
    /// the first of them.
    ///
    /// # Errors
    /// [`StoreError`], also when the issuer is unknown.
    pub async fn next_crl_numbers(&mut self, issuer: IssuerKeyId, count: u32) -> Result<u64, StoreError> {
        let Number(last) = sql(
            "issuers",
            "UPDATE issuers SET crl_number = crl_number + $2 WHERE key_id = $1 RETURNING crl_number AS number",
        )
        .bind(issuer)
        .bind(count)
        .one(&mut self.connection)
        .await?;
        Ok(last - u64::from(count) + 1)
    }

    /// Records a CRL as the latest of its scope; `false`, and no change, when a later one is on record.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn save_crl(&mut self, crl: &CrlRow) -> Result<bool, StoreError> {
        sql(
            TABLE,
            "INSERT INTO crls (issuer_key_id, shard, number, this_update, next_update, der)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (issuer_key_id, shard) DO UPDATE SET number = excluded.number,
                 this_update = excluded.this_update, next_update = excluded.next_update, der = excluded.der
             WHERE excluded.number > crls.number",
        )
        .bind(crl.issuer)
        .bind(crl.scope)
        .bind(crl.number)
        .bind(crl.this_update)
        .bind(crl.next_update)
        .bind(crl.der.as_slice())
        .changed(&mut self.connection)
        .await
    }

    /// Removes a mark: the list on record has what it stood for.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn clear_crl_mark(&mut self, mark: &CrlMark) -> Result<(), StoreError> {
        sql(WANTED, "DELETE FROM crl_wanted WHERE issuer_key_id = $1 AND shard = $2 AND mark = $3")
            .bind(mark.list.issuer)
            .bind(mark.list.scope)
            .bind(mark.mark)
            .run(&mut self.connection)
            .await
            .map(|_at_most_one| ())
    }
}
