//! What a fleet does: one file for each way to behave.

mod flapping;
mod hostile;
mod renewals;
mod revocation;
mod skewed;
mod steady;
mod storm;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::crowd::each;
use crate::device::Device;
use crate::report::{Report, Tally};
use crate::site::Site;

/// How a fleet behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// Heartbeats as agents send them, spread over the interval; renewals when they are due
    Steady,
    /// Everybody comes back at once, as after an outage
    Storm,
    /// Everybody renews
    RenewalWave,
    /// All certificates are revoked in one call while every device has a connection open
    MassRevoke,
    /// Connections break in the middle of heartbeats and renewals
    Flapping,
    /// Clocks of devices are wrong
    ClockSkewed,
    /// Whatever must be refused is tried, while the others go on
    Hostile,
}

impl Profile {
    const fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Storm => "storm",
            Self::RenewalWave => "renewal-wave",
            Self::MassRevoke => "mass-revoke",
            Self::Flapping => "flapping",
            Self::ClockSkewed => "clock-skewed",
            Self::Hostile => "hostile",
        }
    }
}

/// A run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is done.
    pub profile: Profile,
    /// How many devices enrol for it.
    pub devices: usize,
    /// The tenant that they enrol with, made if there is none.
    pub tenant: String,
    /// How many of them do something at a time, where all of them do.
    pub at_once: usize,
    /// How long it goes on, where it has no end of its own.
    pub duration: Duration,
    /// How long between two heartbeats of a device.
    pub interval: Duration,
}

/// A fleet that has enrolled, and what is noted of it.
struct Fleet<'a> {
    site: &'a Site,
    plan: &'a Plan,
    devices: Vec<Device>,
    tally: &'a Arc<Tally>,
}

/// Enrols a fleet and has it do what the plan says; `tell` hears how far it is.
///
/// # Errors
/// When the installation cannot be reached, or nobody could enrol. What goes wrong later is in the report.
pub async fn run(site: &Site, plan: &Plan, tell: impl Fn(&str)) -> anyhow::Result<Report> {
    let began = Instant::now();
    let tally = Arc::<Tally>::default();
    site.admin.tenant(&plan.tenant).await?;
    tell(&format!("{} devices enrol with {}", plan.devices, plan.tenant));
    let devices = enrol(site, plan, &tally).await?;
    let count = devices.len();
    tell(&format!("{count} enrolled in {:.1} s; {}", began.elapsed().as_secs_f64(), plan.profile.name()));
    let fleet = Fleet { site, plan, devices, tally: &tally };
    match plan.profile {
        Profile::Steady => steady::run(fleet).await,
        Profile::Storm => storm::run(fleet).await,
        Profile::RenewalWave => renewals::run(fleet).await,
        Profile::MassRevoke => revocation::run(fleet).await?,
        Profile::Flapping => flapping::run(fleet).await,
        Profile::ClockSkewed => skewed::run(fleet).await,
        Profile::Hostile => hostile::run(fleet).await?,
    }
    let tally = Arc::try_unwrap(tally).ok().context("a device is still at it")?;
    Ok(tally.report(plan.profile.name(), count, began.elapsed()))
}

async fn enrol(site: &Site, plan: &Plan, tally: &Arc<Tally>) -> anyhow::Result<Vec<Device>> {
    let key: Arc<str> = site.admin.enrolment_key(&plan.tenant, plan.devices).await?.into();
    // A fleet may come twice to one installation, and names are taken then.
    let run = RandomState::new().hash_one(()) & 0xff_ffff;
    let enrolled = each(0..plan.devices, plan.at_once, |number| {
        let (site, key, tally) = (site.clone(), Arc::clone(&key), Arc::clone(tally));
        async move {
            let name = format!("sim-{run:06x}-{number:06}");
            tally.time("enrol", Device::enrol(&site, &key, &name)).await.ok()
        }
    })
    .await;
    let enrolled: Vec<Device> = enrolled.into_iter().flatten().collect();
    if enrolled.is_empty() {
        bail!("nobody could enrol");
    }
    Ok(enrolled)
}

/// Between nothing and one, by chance.
fn chance() -> f64 {
    f64::from(u32::try_from(RandomState::new().hash_one(()) >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}
