//! Trust on its way to an edge elsewhere: one message, whole or by what changed, in one spelling.
//!
//! Everything that an edge must not be deceived about is in the bytes that are signed: for which edge they
//! are, by which authority, and where they stand in the order of its messages.
//!
//! Layout: `CSTS`, format 1, then as [`TrustMessage::encode`] writes it. Numbers are big-endian; lists are in
//! ascending order without repetition, and certificates name their issuers by their place in a table of
//! those that occur. So a message has one encoding, and [`TrustMessage::decode`] refuses any other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imbl::HashSet;
use thiserror::Error;
use uuid::Uuid;

use super::bytes::{Reader, Writer};
use super::changes::{Edits, TrustChanges};
use super::{
    Bar, Binding, BlockResponse, DeviceKey, ListKind, RuleAction, RuleList, RuleSource, SnapshotVersion,
    TenantService, TenantTrust, TrustedIssuer, UnprovedPeriod,
};
use crate::guest::ForeignTrust;
use crate::identity::TrustDomain;
use crate::ids::{AuthorityId, CertificateRef, EdgeName, IssuerKeyId, SerialNumber, SpkiSha256, Tenant};
use crate::settings::Enforcement;
use crate::time::Timestamp;

const MAGIC: &[u8; 4] = b"CSTS";
const FORMAT: u8 = 1;

/// The longest message that is read: more than two million revoked certificates.
pub const MESSAGE_LIMIT: usize = 128 << 20;

/// What the signature is over besides the message: it signs nothing that could mean something elsewhere.
pub const SIGNED_PREFIX: &[u8] = b"countersign trust message\0";

/// One message of an authority to an edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustMessage {
    /// The edge that it is for: another's holds what is another's business.
    pub edge: EdgeName,
    /// Who counts the positions: one run of one authority.
    pub authority: AuthorityId,
    /// After which position it comes; `None`: after any, it is whole.
    pub base: Option<u64>,
    /// Its position. A message that says nothing new has the one of its base, and says that this still
    /// holds at [`Self::made_at`].
    pub position: u64,
    /// The version of the snapshot that it makes.
    pub version: SnapshotVersion,
    /// When it was signed.
    pub made_at: Timestamp,
    /// The installation.
    pub trust_domain: TrustDomain,
    /// What changed since the base; of a whole one, everything.
    pub changes: TrustChanges,
}

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// Longer than any that is sent.
    #[error("longer than {MESSAGE_LIMIT} bytes")]
    TooLong,
    /// Not the beginning of one, or of another format.
    #[error("not a trust message of format {FORMAT}")]
    Format,
    /// It ends early, or a count in it is too large.
    #[error("cut off")]
    CutOff,
    /// Something follows it.
    #[error("more follows its end")]
    TooMuch,
    /// A part of it is none.
    #[error("invalid {0}")]
    Invalid(&'static str),
    /// It could be written in another way.
    #[error("{0} not in its one order")]
    Order(&'static str),
}

impl TrustMessage {
    /// The message's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.fixed(MAGIC);
        w.byte(FORMAT);
        w.text(self.edge.as_str());
        w.fixed(self.authority.uuid().as_bytes());
        w.byte(u8::from(self.base.is_some()));
        w.number(self.base.unwrap_or_default());
        w.number(self.position);
        w.number(self.version.generation);
        w.number(self.version.epoch);
        w.time(self.made_at);
        w.text(self.trust_domain.as_str());
        encode_changes(&mut w, &self.changes);
        w.0
    }

    /// Reads a message.
    ///
    /// # Errors
    /// Fails closed: whatever is not exactly what [`Self::encode`] writes is refused.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.len() > MESSAGE_LIMIT {
            return Err(WireError::TooLong);
        }
        let r = &mut Reader::new(bytes);
        if r.take(MAGIC.len())? != MAGIC || r.byte()? != FORMAT {
            return Err(WireError::Format);
        }
        let edge = r.parsed("edge")?;
        let authority = AuthorityId::from(Uuid::from_bytes(r.fixed()?));
        let base = match (r.byte()?, r.number()?) {
            (0, 0) => None,
            (1, base) => Some(base),
            _ => return Err(WireError::Invalid("base")),
        };
        let position = r.number()?;
        let version = SnapshotVersion { generation: r.number()?, epoch: r.number()? };
        let made_at = r.time()?;
        let trust_domain = r.parsed("trust domain")?;
        let changes = decode_changes(r)?;
        if !r.is_at_end() {
            return Err(WireError::TooMuch);
        }
        Ok(Self { edge, authority, base, position, version, made_at, trust_domain, changes })
    }
}

fn encode_changes(w: &mut Writer, changes: &TrustChanges) {
    let TrustChanges {
        device_issuers,
        service_issuers,
        foreign_trusts,
        rules,
        lists,
        unproved,
        tenants,
        barred,
        bindings,
        superseded,
        denied,
        pending,
        proved,
        denied_keys,
    } = changes;
    let named = [denied, pending, proved].into_iter().flat_map(Edits::keys);
    let named = named.chain(bindings.keys()).chain(superseded.keys());
    let issuers: BTreeSet<IssuerKeyId> = named.map(|reference| reference.issuer).collect();
    w.count(issuers.len());
    issuers.iter().for_each(|issuer| w.fixed(issuer.as_bytes()));
    let places: BTreeMap<IssuerKeyId, usize> = issuers.into_iter().zip(0..).collect();
    let reference = |w: &mut Writer, key: &CertificateRef| {
        w.count(places.get(&key.issuer).copied().unwrap_or_default());
        short(w, key.serial.as_bytes());
    };
    for issuers in [device_issuers, service_issuers] {
        whole(w, issuers.as_ref(), |w, issuers| list(w, issuers.iter(), issuers.len(), encode_issuer));
    }
    whole(w, foreign_trusts.as_ref(), |w, trusts| list(w, trusts.iter(), trusts.len(), encode_foreign));
    whole(w, rules.as_ref(), |w, rules| list(w, rules.iter(), rules.len(), encode_rule));
    whole(w, lists.as_ref(), |w, lists| list(w, lists.iter(), lists.len(), encode_list));
    whole(w, unproved.as_ref(), |w, unproved| {
        list(w, unproved.iter(), unproved.len(), |w, (issuer, periods)| {
            w.fixed(issuer.as_bytes());
            list(w, periods.iter(), periods.len(), |w, period| {
                w.time(period.from);
                w.time(period.until);
            });
        });
    });
    edits(w, tenants, |w, tenant| w.text(tenant.as_str()), encode_tenant);
    edits(w, barred, encode_device, |w, bar| {
        w.byte(match bar {
            Bar::Quarantined => 0,
            Bar::Decommissioned => 1,
        });
    });
    edits(w, bindings, reference, encode_binding);
    edits(w, superseded, reference, |w, until| w.time(*until));
    for certificates in [denied, pending, proved] {
        edits(w, certificates, reference, |_w, ()| {});
    }
    edits(w, denied_keys, |w, key| w.fixed(key.as_bytes()), |_w, ()| {});
}

fn decode_changes(r: &mut Reader<'_>) -> Result<TrustChanges, WireError> {
    let count = r.count(32)?;
    let mut issuers = Vec::with_capacity(count);
    for _ in 0..count {
        issuers.push(IssuerKeyId::from(r.fixed::<32>()?));
    }
    ascending(&issuers, "issuers")?;
    let mut used = vec![false; count];
    let mut reference = |r: &mut Reader<'_>| -> Result<CertificateRef, WireError> {
        let place = usize::try_from(u32::from_be_bytes(r.fixed()?)).unwrap_or(usize::MAX);
        let (Some(issuer), Some(used)) = (issuers.get(place), used.get_mut(place)) else {
            return Err(WireError::Invalid("issuer"));
        };
        *used = true;
        Ok(CertificateRef { issuer: *issuer, serial: decode_serial(r)? })
    };
    let changes = TrustChanges {
        device_issuers: if_whole(r, |r| Ok(items(r, 33, decode_issuer)?.into()))?,
        service_issuers: if_whole(r, |r| Ok(items(r, 33, decode_issuer)?.into()))?,
        foreign_trusts: if_whole(r, |r| Ok(items(r, 8, decode_foreign)?.into()))?,
        rules: if_whole(r, |r| Ok(items(r, 9, decode_rule)?.into()))?,
        lists: if_whole(r, |r| Ok(items(r, 9, decode_list)?.into()))?,
        unproved: if_whole(r, |r| {
            let periods = items(r, 36, |r| Ok((IssuerKeyId::from(r.fixed::<32>()?), periods(r)?)))?;
            keyed(periods, "unproved periods")
        })?,
        tenants: read_edits(r, (5, "tenants"), |r| r.parsed("tenant"), decode_tenant)?,
        barred: read_edits(r, (9, "devices"), decode_device, |r| match r.byte()? {
            0 => Ok(Bar::Quarantined),
            1 => Ok(Bar::Decommissioned),
            _ => Err(WireError::Invalid("bar")),
        })?,
        bindings: read_edits(r, (6, "bindings"), &mut reference, decode_binding)?,
        superseded: read_edits(r, (6, "superseded"), &mut reference, |r| r.time())?,
        denied: read_edits(r, (6, "denied"), &mut reference, |_r| Ok(()))?,
        pending: read_edits(r, (6, "pending"), &mut reference, |_r| Ok(()))?,
        proved: read_edits(r, (6, "proved"), &mut reference, |_r| Ok(()))?,
        denied_keys: read_edits(
            r,
            (33, "denied keys"),
            |r| Ok(SpkiSha256::from(r.fixed::<32>()?)),
            |_r| Ok(()),
        )?,
    };
    if used.iter().all(|used| *used) { Ok(changes) } else { Err(WireError::Order("issuers")) }
}

/// Something that is sent whole or not at all.
fn whole<T>(w: &mut Writer, value: Option<&T>, encode: impl FnOnce(&mut Writer, &T)) {
    w.byte(u8::from(value.is_some()));
    if let Some(value) = value {
        encode(w, value);
    }
}

fn if_whole<T>(
    r: &mut Reader<'_>,
    decode: impl FnOnce(&mut Reader<'_>) -> Result<T, WireError>,
) -> Result<Option<T>, WireError> {
    match r.byte()? {
        0 => Ok(None),
        1 => decode(r).map(Some),
        _ => Err(WireError::Invalid("flag")),
    }
}

fn list<T>(
    w: &mut Writer,
    items: impl Iterator<Item = T>,
    count: usize,
    mut encode: impl FnMut(&mut Writer, T),
) {
    w.count(count);
    items.for_each(|item| encode(w, item));
}

fn items<T>(
    r: &mut Reader<'_>,
    least: usize,
    mut decode: impl FnMut(&mut Reader<'_>) -> Result<T, WireError>,
) -> Result<Vec<T>, WireError> {
    let count = r.count(least)?;
    (0..count).map(|_| decode(r)).collect()
}

fn edits<K, V>(
    w: &mut Writer,
    edits: &Edits<K, V>,
    key: impl Fn(&mut Writer, &K),
    value: impl Fn(&mut Writer, &V),
) {
    list(w, edits.iter(), edits.len(), |w, (name, now)| {
        w.byte(u8::from(now.is_some()));
        key(w, name);
        if let Some(now) = now {
            value(w, now);
        }
    });
}

fn read_edits<K: Ord, V>(
    r: &mut Reader<'_>,
    (least, what): (usize, &'static str),
    mut key: impl FnMut(&mut Reader<'_>) -> Result<K, WireError>,
    mut value: impl FnMut(&mut Reader<'_>) -> Result<V, WireError>,
) -> Result<Edits<K, V>, WireError> {
    let read = items(r, least, |r| {
        let is_there = match r.byte()? {
            0 => false,
            1 => true,
            _ => return Err(WireError::Invalid("flag")),
        };
        let key = key(r)?;
        Ok((key, if is_there { Some(value(r)?) } else { None }))
    })?;
    Edits::in_order(read).ok_or(WireError::Order(what))
}

/// A map of what must be in ascending order.
fn keyed<K: Ord, V>(pairs: Vec<(K, V)>, what: &'static str) -> Result<BTreeMap<K, V>, WireError> {
    let in_order = pairs.iter().zip(pairs.iter().skip(1)).all(|((one, _), (next, _))| one < next);
    if in_order { Ok(pairs.into_iter().collect()) } else { Err(WireError::Order(what)) }
}

fn ascending<T: Ord>(items: &[T], what: &'static str) -> Result<(), WireError> {
    let in_order = items.iter().zip(items.iter().skip(1)).all(|(one, next)| one < next);
    if in_order { Ok(()) } else { Err(WireError::Order(what)) }
}

fn short(w: &mut Writer, bytes: &[u8]) {
    w.byte(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
    w.fixed(bytes);
}

fn decode_serial(r: &mut Reader<'_>) -> Result<SerialNumber, WireError> {
    let length = usize::from(r.byte()?);
    let bytes = r.take(length)?;
    let serial = SerialNumber::from_be_bytes(bytes).ok().filter(|serial| serial.as_bytes() == bytes);
    serial.ok_or(WireError::Invalid("serial number"))
}

fn encode_issuer(w: &mut Writer, issuer: &TrustedIssuer) {
    w.fixed(issuer.key_id.as_bytes());
    w.bytes(&issuer.certificate);
    whole(w, issuer.tenants.as_ref(), |w, tenants| {
        let tenants: BTreeSet<&Tenant> = tenants.iter().collect();
        list(w, tenants.iter(), tenants.len(), |w, tenant| w.text(tenant.as_str()));
    });
}

fn decode_issuer(r: &mut Reader<'_>) -> Result<TrustedIssuer, WireError> {
    Ok(TrustedIssuer {
        key_id: r.fixed::<32>()?.into(),
        certificate: Arc::from(r.bytes()?),
        tenants: if_whole(r, |r| {
            let tenants: Vec<Tenant> = items(r, 5, |r| r.parsed("tenant"))?;
            ascending(&tenants, "tenants")?;
            Ok(tenants.into_iter().collect::<HashSet<_>>())
        })?,
    })
}

fn encode_foreign(w: &mut Writer, trust: &ForeignTrust) {
    w.text(trust.name.as_str());
    list(w, trust.anchors.iter(), trust.anchors.len(), |w, anchor| w.bytes(anchor));
}

fn decode_foreign(r: &mut Reader<'_>) -> Result<ForeignTrust, WireError> {
    let name = r.parsed("trust name")?;
    let anchors: Vec<Arc<[u8]>> = items(r, 4, |r| Ok(Arc::from(r.bytes()?)))?;
    Ok(ForeignTrust { name, anchors: anchors.into() })
}

fn encode_rule(w: &mut Writer, rule: &RuleSource) {
    w.text(&rule.name);
    w.text(&rule.expression);
    match &rule.action {
        RuleAction::Block(response) => {
            w.byte(0);
            w.fixed(&response.status.to_be_bytes());
            whole(w, response.body.as_ref(), |w, (body, kind)| {
                w.text(body);
                w.text(kind);
            });
        }
        RuleAction::Log => w.byte(1),
        RuleAction::Skip => w.byte(2),
    }
}

fn decode_rule(r: &mut Reader<'_>) -> Result<RuleSource, WireError> {
    let (name, expression) = (r.text()?.to_owned(), r.text()?.to_owned());
    let action = match r.byte()? {
        0 => RuleAction::Block(BlockResponse {
            status: u16::from_be_bytes(r.fixed()?),
            body: if_whole(r, |r| Ok((r.text()?.to_owned(), r.text()?.to_owned())))?,
        }),
        1 => RuleAction::Log,
        2 => RuleAction::Skip,
        _ => return Err(WireError::Invalid("action")),
    };
    Ok(RuleSource { name, expression, action })
}

fn encode_list(w: &mut Writer, rules: &RuleList) {
    w.text(&rules.name);
    w.byte(match rules.kind {
        ListKind::Ip => 0,
        ListKind::Hostname => 1,
        ListKind::Text => 2,
        ListKind::Integer => 3,
    });
    list(w, rules.items.iter(), rules.items.len(), |w, item| w.text(item));
}

fn decode_list(r: &mut Reader<'_>) -> Result<RuleList, WireError> {
    let name = r.text()?.to_owned();
    let kind = match r.byte()? {
        0 => ListKind::Ip,
        1 => ListKind::Hostname,
        2 => ListKind::Text,
        3 => ListKind::Integer,
        _ => return Err(WireError::Invalid("kind of list")),
    };
    Ok(RuleList { name, kind, items: items(r, 4, |r| Ok(r.text()?.to_owned()))? })
}

fn periods(r: &mut Reader<'_>) -> Result<Vec<UnprovedPeriod>, WireError> {
    items(r, 16, |r| Ok(UnprovedPeriod { from: r.time()?, until: r.time()? }))
}

fn encode_tenant(w: &mut Writer, trust: &TenantTrust) {
    w.byte(match trust.enforcement {
        Enforcement::Off => 0,
        Enforcement::Observe => 1,
        Enforcement::Enforce => 2,
    });
    w.byte(match trust.service {
        TenantService::Running => 0,
        TenantService::Suspended => 1,
    });
}

fn decode_tenant(r: &mut Reader<'_>) -> Result<TenantTrust, WireError> {
    let enforcement = match r.byte()? {
        0 => Enforcement::Off,
        1 => Enforcement::Observe,
        2 => Enforcement::Enforce,
        _ => return Err(WireError::Invalid("mode")),
    };
    let service = match r.byte()? {
        0 => TenantService::Running,
        1 => TenantService::Suspended,
        _ => return Err(WireError::Invalid("service")),
    };
    Ok(TenantTrust { enforcement, service })
}

fn encode_device(w: &mut Writer, (tenant, device): &DeviceKey) {
    w.text(tenant.as_str());
    w.text(device.as_str());
}

fn decode_device(r: &mut Reader<'_>) -> Result<DeviceKey, WireError> {
    Ok((r.parsed("tenant")?, r.parsed("device")?))
}

fn encode_binding(w: &mut Writer, binding: &Binding) {
    w.text(binding.tenant.as_str());
    w.text(binding.device.as_str());
    w.fixed(binding.spki.as_bytes());
    w.fixed(&binding.certificate);
    w.time(binding.not_after);
}

fn decode_binding(r: &mut Reader<'_>) -> Result<Binding, WireError> {
    Ok(Binding {
        tenant: r.parsed("tenant")?,
        device: r.parsed("device")?,
        spki: r.fixed::<32>()?.into(),
        certificate: r.fixed()?,
        not_after: r.time()?,
    })
}

#[cfg(test)]
mod tests;
