//! Keeps an account with a role for every device at Mosquitto, as the authority decides, at the moment it
//! does.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use countersign_authority::Authority;
use countersign_authority::brokered::{BrokeredDevice, Enrolled};
use countersign_edge::mqtt::{BrokerAccount, Layout};
use tokio::time::{Instant, sleep_until};

use super::accounts::{Accounts, Plan};
use super::dynsec::{Dynsec, DynsecError};
use super::purge::purge;
use crate::config;
use crate::doors::{self, password_in};

/// How long after a failure it begins anew, at first and at most.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_AT_MOST: Duration = Duration::from_secs(30);

/// How far back it is looked for devices of whose enrolment word may have been missed: clocks differ, and a
/// connection takes a while to be there again.
const WITHIN: Duration = Duration::from_secs(600);

/// The broker, and what devices may there.
#[derive(Clone, Debug)]
pub(crate) struct Broker {
    pub(crate) account: BrokerAccount,
    pub(crate) layout: Layout,
}

impl Broker {
    /// As the configuration has it; `roots` are this installation's, PEM.
    ///
    /// # Errors
    /// When the password, or what the broker is reached with, cannot be read.
    pub(crate) fn of(settings: &config::Mosquitto, roots: &str) -> anyhow::Result<Self> {
        let server = doors::server(&settings.control, roots)?;
        let password = password_in(&settings.password).context("read the password of mosquitto.user")?;
        let account = BrokerAccount { server, login: Some((settings.user.clone(), password)) };
        Ok(Self { account, layout: settings.layout.clone() })
    }
}

/// Keeps the accounts, for ever.
pub(crate) async fn drive(authority: Arc<Authority>, broker: Broker) {
    let mut wait = AGAIN;
    loop {
        let began = Instant::now();
        let Err(error) = keep(&authority, &broker).await;
        if matches!(error, DynsecError::Ended) {
            return;
        }
        let error = format!("{:#}", anyhow::Error::new(error));
        tracing::error!(broker = %broker.account.server, error, "devices' accounts at the broker not kept");
        if began.elapsed() > AGAIN_AT_MOST {
            wait = AGAIN;
        }
        sleep_until(Instant::now() + wait).await;
        wait = (wait * 2).min(AGAIN_AT_MOST);
    }
}

async fn keep(authority: &Authority, broker: &Broker) -> Result<std::convert::Infallible, DynsecError> {
    authority.expect_newcomers();
    let mut enrolments = authority.enrolments().await?;
    let mut snapshots = authority.snapshots();
    snapshots.mark_unchanged();
    let mut dynsec = Dynsec::connect(&broker.account).await?;
    let answers = dynsec.ask(Accounts::questions()).await?;
    let mut accounts = Accounts::read(&answers, broker.layout.clone(), authority.trust_domain().clone());
    let (mut epoch, devices) = authority.brokered_devices().await?;
    dynsec.ask(accounts.first()).await?;
    let plan = accounts.all(&devices);
    tracing::info!(
        broker = %broker.account.server,
        devices = devices.len(),
        changes = plan.commands.len(),
        "devices' accounts at the broker are kept"
    );
    carry_out(&mut dynsec, plan, broker).await?;
    loop {
        let changed: Vec<BrokeredDevice> = tokio::select! {
            changed = snapshots.changed() => {
                changed.map_err(|_ended| DynsecError::Ended)?;
                let (until, devices) = authority.brokered_devices_since(epoch).await?;
                epoch = until;
                devices
            }
            newcomers = authority.newcomers() => authority.brokered(newcomers).await?,
            enrolled = enrolments.heard() => match enrolled? {
                Enrolled::Devices(ids) => authority.brokered(ids.into_iter().collect()).await?,
                Enrolled::Unknown => authority.brokered_devices_enrolled_within(WITHIN).await?,
            },
            heard = dynsec.listen() => {
                heard?;
                continue;
            }
        };
        let plan = accounts.some(&changed);
        carry_out(&mut dynsec, plan, broker).await?;
    }
}

async fn carry_out(dynsec: &mut Dynsec, plan: Plan, broker: &Broker) -> Result<(), DynsecError> {
    dynsec.ask(plan.commands).await?;
    for device in &plan.kicked {
        tracing::info!(device, "sessions ended at the broker, a certificate was revoked");
    }
    for (device, _prefix) in &plan.fallen {
        tracing::info!(device, "fallen device shut out at the broker");
    }
    if !plan.fallen.is_empty() {
        tokio::spawn(purge(broker.account.clone(), plan.fallen));
    }
    Ok(())
}
