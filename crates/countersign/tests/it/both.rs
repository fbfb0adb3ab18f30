//! What is promised on either database.

mod a_change_of_agent_settings_is_told_until_it_is_echoed;
mod a_command_is_offered_until_its_result_is_recorded;
mod a_command_is_pushed_and_its_result_comes_back;
mod a_command_reaches_a_device_over_mqtt_and_its_word_comes_back;
mod a_decision_closes_the_websocket_with_its_code;
mod a_decision_cuts_every_live_connection;
mod a_device_that_unenrols_is_gone;
mod a_new_token_replaces_the_old_once_confirmed;
mod a_renewal_does_not_interrupt_the_websocket;
mod a_restored_backup_revives_nobody;
mod accesses_are_reported_at_the_door_and_by_people;
mod an_api_token_opens_what_it_was_made_for;
mod devices_move_between_the_sites_of_their_tenant;
mod every_entry_of_the_audit_reaches_its_copies;
mod jobs_and_wanted_states_reach_devices_over_mqtt;
mod many_are_decided_about_at_once;
mod mqtt_messages_arrive_until_their_device_is_quarantined;
mod of_two_at_once_one_wins;
mod old_audit_goes_elsewhere_and_the_rest_verifies;
mod people_are_invited_changed_and_sent_away;
mod rules_kept_in_the_database_hold_at_every_door;
mod the_audit_is_copied_and_counts_what_is_refused;

use crate::harness::{Database, Installation, Time};
use crate::in_process::Plane;

/// The database that this copy of the tests is about.
fn database() -> Database {
    Database::of_copy(module_path!())
}

/// An installation on it, as it comes, in the real time.
async fn start() -> Installation {
    configured("", Time::Real).await
}

/// The same in a time that the test moves.
async fn in_fake_time() -> Installation {
    configured("", Time::Fake).await
}

/// An installation on it with this configuration file.
async fn configured(config: &str, time: Time) -> Installation {
    Installation::on(database(), config, time).await
}

/// A control plane in this process on it.
async fn plane() -> Plane {
    Plane::on(database()).await
}

/// The same with nobody in it.
async fn empty_plane() -> Plane {
    Plane::empty_on(database()).await
}
