//! The real binary: command line, configuration, documentation, end to end. Every test in `both.rs` is
//! run on SQLite and on PostgreSQL, the others on SQLite.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a panic is how a test fails"
)]
#![expect(clippy::duplicate_mod, reason = "the same promises, on either database")]

mod a_backup_is_restored_whole_or_not_at_all;
mod a_ca_from_elsewhere_signs_here;
mod a_changed_configuration_is_in_force_whole_or_not_at_all;
mod a_changed_key_of_the_door_is_refused_and_reported;
mod a_crash_of_the_server_is_repaired;
mod a_denied_device_does_not_come_back;
mod a_device_is_served_at_an_edge_elsewhere;
mod a_device_lives_from_enrolment_to_renewal;
mod a_device_without_an_issuer_gets_its_certificate_later;
mod a_fleet_moves_to_a_new_ca_without_a_refused_request;
mod a_killed_agent_goes_on_where_it_was;
mod a_locked_out_owner_comes_back_from_the_machine;
mod a_new_ca_is_signed_where_the_root_is;
mod a_partitioned_edge_is_counted_honestly;
mod a_plan_becomes_a_tree_of_cas;
mod a_reload_under_load_refuses_nobody;
mod a_restart_refuses_nobody;
mod a_revoked_edge_is_told_no_more;
mod a_root_goes_offline_and_comes_back;
mod a_rule_tells_why_it_blocks;
mod a_second_start_keeps_devices_and_their_certificates;
mod a_stopping_server_finishes_what_it_began;
mod a_successor_that_fails_changes_nothing;
mod a_taken_name_leaves_its_device_alone;
mod a_thief_with_a_token_gets_nothing;
mod a_tunnel_without_an_agent_follows_its_certificates;
mod an_agent_does_what_it_is_told;
mod an_agent_keeps_a_websocket;
mod an_agent_replaces_its_token_when_told;
mod an_agent_unenrols_and_leaves_nothing;
mod an_anchor_kept_elsewhere_shows_what_was_changed;
mod an_edge_goes_on_without_its_authority;
mod an_evil_twin_learns_nothing;
mod an_expired_device_waits_for_approval;
mod an_installation_moves_to_postgresql;
mod answers_of_the_control_plane_have_one_shape;
mod audit_verify_finds_a_changed_entry;
mod bad_requests_get_clear_errors;
mod cert_tools_read_and_convert_what_is_on_disk;
mod cert_verify_judges_as_doors_do;
mod certificates_are_swapped_with_their_keys_before_they_end;
mod clients_of_another_ca_are_admitted_where_a_route_asks;
mod clocks_may_differ_by_ten_minutes;
mod cloudflare_answers_the_commands;
mod cloudflare_signs_and_our_doors_admit;
mod command_line_says_what_is_wrong;
mod docs_match_the_program;
mod each_host_has_its_own_certificate_and_asks_as_it_says;
mod forged_headers_and_paths_lead_nowhere;
mod harness;
mod healthcheck_asks_the_admin_listener;
mod http_goes_through_the_agents_forward;
mod in_process;
mod keys_are_sealed_anew_all_or_none;
mod monitor_check_looks_once;
mod monitors_say_each_thing_once;
mod mqtt_messages_arrive_until_their_device_is_quarantined;
mod nginx_stands_in_front_with_our_bundle_and_lists;
mod nothing_brings_a_revoked_key_back;
#[path = "both.rs"]
mod on_postgres;
#[path = "both.rs"]
mod on_sqlite;
mod openssl_accepts_what_is_issued_and_published;
mod other_libraries_agree_about_what_is_revoked;
mod pasted_rules_hold_at_the_door;
mod postgresql_goes_through_the_tunnel;
mod program;
mod reference_is_generated;
mod rules_change_at_sighup_or_stay_whole;
mod serve_keeps_its_state_and_ends_in_order;
mod server;
mod services_fit_systemd;
mod services_get_certificates_from_the_running_server;
mod the_access_log_is_opened_anew_on_sighup;
mod the_commands_read_what_a_server_wrote;
mod the_guides_for_emergencies_work;
mod the_keys_of_cas_stay_in_their_token;
mod the_openapi_document_is_true;
mod the_rule_reference_is_generated;
mod the_transcript_of_the_readme_works;
mod the_tunnel_example_comes_up;
mod the_websocket_takes_what_it_can_use_and_nothing_else;
mod two_servers_on_one_database_are_one_installation;
mod upstream;
mod web_pages_cannot_use_the_admin_listener;
mod what_admins_change_takes_effect;
mod what_another_ca_signed_comes_with_its_key;
mod whatever_is_refused_can_be_explained;
mod who_does_not_come_through_the_door_is_nobody;
mod who_may_call_what;
mod who_may_reach_what;
mod workers_run_behind_the_door_and_reach_out_through_it;
