//! Tests of the keys that nobody may set: every form that people would try names its rule.

use super::keys::FORBIDDEN;
use super::tests::EXAMPLE;

/// What is written after a line of the example, and the rules that the problem has to name.
fn refused(after: &str, keys: &[&str], rules: &[&str]) {
    for key in keys {
        assert_eq!(EXAMPLE.matches(after).count(), 1, "{after}");
        let text = EXAMPLE.replace(after, &format!("{after}\n{key}"));
        let found = super::tests::problems(&text);
        let [problem] = found.as_slice() else { panic!("{key}: {found:?}") };
        for rule in rules {
            assert!(problem.contains(rule), "{problem}");
        }
    }
}

/// A line of the organization's own table, of its scope, of a channel and of the guard.
const ORGANIZATION: &str = "cliq_plan         = \"paid\"";
const CHANNEL: &str = "channel = \"extsupport\"";
const GUARD: &str = "[guard]";

#[test]
fn r7_r31_nobody_is_added_through_cliq() {
    refused(ORGANIZATION, &["add_external = \"cliq\"", "add_users = true"], &["R7", "R31"]);
}

#[test]
fn r20_r21_r22_r23_no_configuration_is_pushed_to_external_users() {
    let keys = [
        "mfa = true",
        "require_mfa = true",
        "policies = [\"no downloads\"]",
        "user_policies = []",
        "allowed_ips = [\"192.0.2.7\"]",
        "config_push = true",
        "push_config = { mfa = true }",
    ];
    refused(ORGANIZATION, &keys, &["R20", "R21", "R22", "R23"]);
}

#[test]
fn r24_r25_a_role_is_nobodys_to_set() {
    let keys =
        ["set_role = \"Member\"", "assign_role = \"x\"", "cliq_role = \"x\"", "role = \"x\""];
    refused(ORGANIZATION, &keys, &["R24", "R25"]);
    refused(CHANNEL, &["role = \"moderator\"", "set_role = \"x\""], &["R24", "R25"]);
}

#[test]
fn r27_a_team_is_no_target() {
    let keys = ["team = \"Sales\"", "teams = [\"Sales\"]", "add_to_team = \"x\"", "team_ids = [1]"];
    for place in [ORGANIZATION, CHANNEL] {
        refused(place, &keys, &["R27", "R28"]);
    }
}

#[test]
fn r28_a_team_channel_is_no_target() {
    refused(CHANNEL, &["level = \"team\"", "team_channel = true"], &["R27", "R28"]);
    refused(ORGANIZATION, &["team_channels = [\"sales\"]"], &["R27", "R28"]);
}

#[test]
fn r32_no_profile_field_is_written() {
    let keys = ["field_map = { department = \"x\" }", "profile_fields = []", "sync_fields = []"];
    refused(ORGANIZATION, &keys, &["R32"]);
}

#[test]
fn r34_nobody_is_removed_for_what_cliq_does_not_show() {
    let keys = ["remove_if_inactive = \"90d\"", "inactive_after = \"30d\"", "inactivity = {}"];
    for place in [ORGANIZATION, CHANNEL, GUARD] {
        refused(place, &keys, &["R34"]);
    }
    let text = format!("remove_if_inactive = \"90d\"\n{EXAMPLE}");
    assert!(super::tests::problems(&text).iter().any(|problem| problem.contains("R34")));
}

#[test]
fn r35_r36_an_external_user_invites_nobody() {
    let keys = ["inviter = \"bo@partner.example\"", "external_contacts = true"];
    for place in [ORGANIZATION, CHANNEL] {
        refused(place, &keys, &["R35", "R36"]);
    }
}

#[test]
fn every_forbidden_key_names_its_rule_and_what_to_do() {
    for (key, why) in FORBIDDEN {
        assert!(why.contains("(R"), "{key}: {why}");
        assert!(why.contains("remove the key") || why.contains("write "), "{key}: {why}");
    }
}
