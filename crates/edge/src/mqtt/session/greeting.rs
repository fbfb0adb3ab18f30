//! CONNECT and CONNACK: the two packets that are written anew.

use std::time::Duration;

use uuid::Uuid;

use super::stamp::Stamp;
use super::state::{Context, Incident};
use super::uplink::note_will;
use crate::mqtt::party::Party;
use crate::mqtt::rights::{Rights, Shared};
use crate::mqtt::upstream::Account;
use crate::mqtt::wire::{
    Connack, Connect, Encoder, Fault, Properties, PropertyId, PropertyWriter, Reason, Version, Will,
};

/// The longest client identifier, in bytes.
const CLIENT_ID_LIMIT: usize = 256;

/// The client is not let in.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::mqtt) struct Turned {
    pub(in crate::mqtt) reason: Reason,
    pub(in crate::mqtt) incident: Option<Incident>,
}

impl From<Reason> for Turned {
    fn from(reason: Reason) -> Self {
        Self { reason, incident: None }
    }
}

/// What the door tells the broker for a device.
#[derive(Debug)]
pub(in crate::mqtt) struct Greeting {
    /// The CONNECT for the broker.
    pub(in crate::mqtt) bytes: Vec<u8>,
    pub(in crate::mqtt) version: Version,
    /// The client's name there: nobody takes over another's session by its name.
    pub(in crate::mqtt) client_id: String,
    /// The name that the device did not choose itself.
    assigned: Option<String>,
    /// The keep-alive that counts, in seconds.
    keep_alive: u16,
    is_keep_alive_lowered: bool,
    /// What the device's topics begin with, if it asks for it.
    told_prefix: Option<Box<str>>,
    /// Whether it may share subscriptions.
    shared: Shared,
    /// Whether what is left of the session outlives the connection.
    pub(in crate::mqtt) is_persistent: bool,
}

/// What the broker answered, put in the device's terms.
#[derive(Debug)]
pub(in crate::mqtt) struct Greeted {
    /// The CONNACK for the device.
    pub(in crate::mqtt) bytes: Vec<u8>,
    /// After how much silence a device counts as gone.
    pub(in crate::mqtt) silence: Duration,
    /// How many messages of QoS 1 and 2 may be under way.
    pub(in crate::mqtt) inflight: u16,
    /// Whether the broker remembers the client, and what it subscribed to.
    pub(in crate::mqtt) is_remembered: bool,
}

impl Greeting {
    /// Judges a CONNECT, and writes the broker's.
    ///
    /// # Errors
    /// Fails closed: a will on a topic that is not the device's own refuses the whole connection.
    pub(in crate::mqtt) fn of(
        connect: &Connect<'_>,
        (party, rights, stamp): (&Party, &Rights, &Stamp),
        account: &Account,
        context: &Context,
    ) -> Result<Self, Turned> {
        if connect.properties.has(PropertyId::AuthenticationMethod) {
            return Err(Reason::BadAuthenticationMethod.into());
        }
        let assigned = assigned(connect)?;
        let own = assigned.as_deref().unwrap_or(connect.client_id);
        let client_id = party.client_id(own);
        judge_will(connect, party, rights, context)?;
        let limit = context.terms.keep_alive_seconds();
        let is_keep_alive_lowered = connect.keep_alive == 0 || connect.keep_alive > limit;
        let keep_alive = if is_keep_alive_lowered { limit } else { connect.keep_alive };
        let credentials = account.for_party(party);
        let rewritten = Connect {
            client_id: &client_id,
            keep_alive,
            user_name: credentials.name.as_deref(),
            password: credentials.password.as_ref().map(|password| password.reveal().as_bytes()),
            ..*connect
        };
        let properties = upward(connect, stamp, context);
        let will_properties = connect.will.map(|will| will_properties(&will, stamp, context));
        let mut bytes = Vec::new();
        Encoder::new(connect.version, &mut bytes).connect(
            &rewritten,
            &properties,
            connect.will.as_ref().zip(will_properties.as_ref()),
        );
        let is_persistent = match connect.version {
            Version::V311 => !connect.is_clean,
            Version::V5 => connect.properties.number(PropertyId::SessionExpiry).unwrap_or(0) > 0,
        };
        let asks = connect.properties.number(PropertyId::RequestResponseInformation) == Some(1);
        let told_prefix = asks.then(|| rights.prefix().into());
        let version = connect.version;
        Ok(Self {
            bytes,
            version,
            client_id,
            assigned,
            keep_alive,
            is_keep_alive_lowered,
            told_prefix,
            shared: rights.shared(),
            is_persistent,
        })
    }

    /// Puts the broker's answer in the device's terms; `None`: the broker refused.
    ///
    /// # Errors
    /// When a stock broker would not answer like this.
    pub(in crate::mqtt) fn answered(
        &self,
        connack: &Connack<'_>,
        context: &Context,
    ) -> Result<Option<Greeted>, Fault> {
        if connack.code != 0 {
            return Ok(None);
        }
        let said = connack.properties;
        if said.has(PropertyId::AuthenticationMethod) {
            return Err(Fault::Protocol("an authentication that nobody asked for"));
        }
        let theirs = said.number(PropertyId::ServerKeepAlive).and_then(|number| u16::try_from(number).ok());
        let keep_alive = theirs.map_or(self.keep_alive, |theirs| theirs.min(self.keep_alive));
        let inflight = said.number(PropertyId::ReceiveMaximum).and_then(|number| u16::try_from(number).ok());
        let inflight = inflight.unwrap_or(u16::MAX).min(context.terms.inflight);
        let mut properties = PropertyWriter::new();
        if self.version == Version::V5 {
            self.downward(said, context, &mut properties);
            properties.two(PropertyId::ReceiveMaximum, inflight);
            if theirs.is_some() || self.is_keep_alive_lowered {
                properties.two(PropertyId::ServerKeepAlive, keep_alive);
            }
        }
        let mut bytes = Vec::new();
        Encoder::new(self.version, &mut bytes).connack(connack, &properties);
        let silence = Duration::from_secs(u64::from(keep_alive)).mul_f64(1.5);
        Ok(Some(Greeted { bytes, silence, inflight, is_remembered: connack.is_session_present }))
    }

    fn downward(&self, said: Properties<'_>, context: &Context, properties: &mut PropertyWriter) {
        let kept = |id: PropertyId| {
            matches!(
                id,
                PropertyId::SessionExpiry
                    | PropertyId::MaximumQos
                    | PropertyId::RetainAvailable
                    | PropertyId::ReasonString
                    | PropertyId::UserProperty
                    | PropertyId::WildcardAvailable
                    | PropertyId::SubscriptionIdentifierAvailable
            )
        };
        said.iter().filter(|property| kept(property.id)).for_each(|property| properties.keep(property));
        let own = u32::try_from(context.terms.packet_bytes).unwrap_or(u32::MAX);
        // What the door adds to a packet must fit, too.
        let theirs = said.number(PropertyId::MaximumPacketSize).map(|size| size.saturating_sub(512).max(1));
        properties.four(PropertyId::MaximumPacketSize, theirs.map_or(own, |theirs| theirs.min(own)));
        properties.two(PropertyId::TopicAliasMaximum, context.terms.topic_aliases);
        if self.shared == Shared::Denied || said.number(PropertyId::SharedAvailable) == Some(0) {
            properties.byte(PropertyId::SharedAvailable, 0);
        }
        if let Some(prefix) = &self.told_prefix {
            properties.text(PropertyId::ResponseInformation, prefix);
        }
        if let Some(assigned) = &self.assigned {
            properties.text(PropertyId::AssignedClientIdentifier, assigned);
        }
    }
}

/// A name for a client that has none; `None`: it has one.
fn assigned(connect: &Connect<'_>) -> Result<Option<String>, Turned> {
    if connect.client_id.len() > CLIENT_ID_LIMIT {
        return Err(Reason::ClientIdentifierInvalid.into());
    }
    if !connect.client_id.is_empty() {
        return Ok(None);
    }
    if connect.version == Version::V311 && !connect.is_clean {
        return Err(Reason::ClientIdentifierInvalid.into());
    }
    Ok(Some(Uuid::new_v4().simple().to_string()))
}

fn judge_will(
    connect: &Connect<'_>,
    party: &Party,
    rights: &Rights,
    context: &Context,
) -> Result<(), Turned> {
    let Some(will) = connect.will else { return Ok(()) };
    let response = will.properties.text(PropertyId::ResponseTopic);
    let verdict = rights
        .may_write(will.topic)
        .and_then(|()| response.map_or(Ok(()), |response| rights.may_be_answered_on(response)));
    if verdict.is_err() {
        return Err(Turned { reason: Reason::NotAuthorized, incident: Some(note_will(will.topic)) });
    }
    let is_kept = will.is_retained && !will.payload.is_empty();
    if is_kept && context.keeps(party, will.topic, will.payload.len()).is_err() {
        return Err(Reason::QuotaExceeded.into());
    }
    Ok(())
}

/// The properties of the CONNECT for the broker. It is offered no topic aliases: the door does not resolve
/// those that a broker sets.
fn upward(connect: &Connect<'_>, stamp: &Stamp, context: &Context) -> PropertyWriter {
    let mut properties = PropertyWriter::new();
    if connect.version == Version::V311 {
        return properties;
    }
    stamp.put(connect.properties, &mut properties, |id| {
        matches!(
            id,
            PropertyId::SessionExpiry
                | PropertyId::ReceiveMaximum
                | PropertyId::RequestProblemInformation
                | PropertyId::UserProperty
        )
    });
    let own = u32::try_from(context.terms.packet_bytes).unwrap_or(u32::MAX);
    let theirs = connect.properties.number(PropertyId::MaximumPacketSize).unwrap_or(u32::MAX);
    properties.four(PropertyId::MaximumPacketSize, own.min(theirs));
    properties
}

fn will_properties(will: &Will<'_>, stamp: &Stamp, context: &Context) -> PropertyWriter {
    let mut properties = PropertyWriter::new();
    stamp.put(will.properties, &mut properties, |id| id != PropertyId::WillDelay);
    let delay = will.properties.number(PropertyId::WillDelay).unwrap_or(0);
    let limit = u32::try_from(context.terms.will_delay.as_secs()).unwrap_or(u32::MAX);
    properties.four(PropertyId::WillDelay, delay.min(limit));
    properties
}
