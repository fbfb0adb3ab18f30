//! A device has one channel, which is woken for its commands, looks again when trust in its device or
//! tenant changes, and ends with its token and with the process.

use countersign_authority::IssuerMode;
use countersign_authority::channels::{Channel, OpenChannelError, Parting};
use countersign_core::command::CommandKind;
use futures_util::FutureExt as _;

use super::house::{Device, House};

impl House {
    async fn channel(&self, device: &Device) -> Channel {
        self.authority.open_channel(&self.caller(device).await).await.unwrap()
    }
}

fn is_woken(channel: &Channel) -> bool {
    channel.woken().now_or_never().is_some()
}

fn looks_again(channel: &Channel) -> bool {
    channel.trust_changed().now_or_never().is_some()
}

fn parting(channel: &Channel) -> Option<Parting> {
    channel.parting().now_or_never()
}

#[tokio::test]
async fn a_channel_is_woken_by_commands_for_its_device_alone() {
    let house = House::new().await;
    let (device, other) = (house.device("pump").await, house.device("other").await);
    let (channel, bystander) = (house.channel(&device).await, house.channel(&other).await);
    assert!(is_woken(&channel) && is_woken(&bystander), "once, to look what waits");
    assert!(!is_woken(&channel));
    house.queue(&device).await.unwrap();
    assert!(is_woken(&channel) && !is_woken(&bystander));
    assert_eq!((parting(&channel), parting(&bystander)), (None, None));
}

#[tokio::test]
async fn a_command_queued_by_another_authority_wakes_the_channel_at_the_next_sweep() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let channel = house.channel(&device).await;
    assert!(is_woken(&channel));
    let elsewhere = house.reopened(IssuerMode::Embedded).await;
    elsewhere.queue_command(&house.operate(), device.id, CommandKind::Ping, None).await.unwrap();
    assert!(!is_woken(&channel));
    house.authority.sweep().await.unwrap();
    assert!(is_woken(&channel));
}

#[tokio::test]
async fn a_device_has_one_channel_and_the_newest_one_stays() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let first = house.channel(&device).await;
    let second = house.channel(&device).await;
    assert_eq!((parting(&first), parting(&second)), (Some(Parting::Replaced), None));
    drop(first);
    assert!(is_woken(&second));
    house.queue(&device).await.unwrap();
    assert!(is_woken(&second), "the end of the older one is not the end of the newer");
}

#[tokio::test]
async fn a_channel_ends_with_its_token_and_with_the_process() {
    let house = House::new().await;
    let (device, other) = (house.device("pump").await, house.device("other").await);
    let (channel, bystander) = (house.channel(&device).await, house.channel(&other).await);
    let key = house.key_for(device.id).await;
    let again = super::house::request(&key, "pump", Some(&super::house::fresh_key()));
    house.enrol(&again).await.unwrap();
    assert_eq!((parting(&channel), parting(&bystander)), (Some(Parting::NotAuthorised), None));
    house.authority.close_channels();
    assert_eq!(parting(&bystander), Some(Parting::GoingAway));
    assert_eq!(parting(&house.channel(&other).await), Some(Parting::GoingAway), "no new ones either");
}

#[tokio::test]
async fn more_channels_or_messages_than_a_good_agent_needs_are_too_many() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let caller = house.caller(&device).await;
    for _ in 0..30 {
        house.authority.open_channel(&caller).await.unwrap();
    }
    let refused = house.authority.open_channel(&caller).await.unwrap_err();
    assert!(matches!(refused, OpenChannelError::TooMany(_)), "{refused}");
    for _ in 0..600 {
        house.authority.count_message(&caller).unwrap();
    }
    assert!(house.authority.count_message(&caller).is_err());
    let other = house.caller(&house.device("other").await).await;
    assert!(house.authority.count_message(&other).is_ok());
    house.authority.open_channel(&other).await.unwrap();
}

#[tokio::test]
async fn a_change_of_trust_in_its_device_or_tenant_lets_a_channel_look_again() {
    let house = House::new().await;
    let (device, other) = (house.device("pump").await, house.device("other").await);
    let (channel, bystander) = (house.channel(&device).await, house.channel(&other).await);
    assert!(looks_again(&channel) && looks_again(&bystander), "once: what changed while it was opened");
    assert!(!looks_again(&channel));
    house.authority.quarantine_device(&house.operate(), device.id, "x".parse().unwrap()).await.unwrap();
    assert!(looks_again(&channel) && !looks_again(&bystander));
    house.suspend("default").await;
    assert!(looks_again(&channel) && looks_again(&bystander));
    house.authority.create_tenant(&house.own(), "new".parse().unwrap(), "New".into()).await.unwrap();
    assert!(!looks_again(&channel) && !looks_again(&bystander));
    assert_eq!((parting(&channel), parting(&bystander)), (None, None), "that is for the channel to judge");
}

#[tokio::test]
async fn a_token_that_is_revoked_while_its_channel_opens_is_not_missed() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let early = house.caller(&device).await;
    house.authority.revoke_token(&house.administer(), device.id).await.unwrap();
    let channel = house.authority.open_channel(&early).await.unwrap();
    assert_eq!(parting(&channel), Some(Parting::NotAuthorised));
}

#[tokio::test]
async fn a_token_that_is_revoked_ends_the_channel_that_it_opened() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let channel = house.channel(&device).await;
    assert_eq!(parting(&channel), None);
    house.authority.revoke_token(&house.administer(), device.id).await.unwrap();
    assert_eq!(parting(&channel), Some(Parting::NotAuthorised));
}
