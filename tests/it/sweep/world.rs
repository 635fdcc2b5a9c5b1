//! The world that the sweep happens in: three hundred people of Acme, twenty of whom need a change.
//!
//! Deliberately absent: what goes wrong there.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::support::Bridge;
use super::super::support::Setup;
use super::super::support::people::address;

const DAY: Duration = Duration::from_hours(24);

/// How long a call may hang: far more than an answer takes here, and what a pair with one costs.
const PATIENCE: Duration = Duration::from_secs(4);

/// People in CRM and in Cliq when the story begins: two pages of one, three of the other.
const PEOPLE: usize = 300;

/// Who is gone from CRM; the first two are in the channel.
const LEAVERS: [usize; 5] = [0, 1, 100, 199, 299];
/// Whom CRM shows as disabled.
const DISABLED: [usize; 4] = [2, 101, 200, 298];
/// Who gets another address in CRM; Cliq keeps the old one.
const RENAMED: [usize; 3] = [3, 102, 250];
/// Who is in the channel.
const GUIDES: [usize; 6] = [0, 1, 2, 3, 4, 5];
/// Who is new in CRM; every second one has a Zoho account, the first two belong into the channel.
const NEW: usize = 7;
/// New too: at home in Birch, and a subscriber of its bot.
const SUBSCRIBER: &str = "cy@birch.example";

fn new(number: usize) -> String {
    format!("new{number}@partner.example")
}

fn id(number: usize) -> String {
    format!("77000{number:07}")
}

/// Whose access may be taken: restricted, or put out of the channel.
pub fn losers() -> BTreeSet<String> {
    LEAVERS.iter().chain(&DISABLED).copied().map(address).collect()
}

/// Who may be removed for good.
pub fn leavers() -> BTreeSet<String> {
    LEAVERS.iter().copied().map(address).collect()
}

/// Who may be invited.
pub fn newcomers() -> BTreeSet<String> {
    (0..NEW).map(new).chain([SUBSCRIBER.to_owned()]).collect()
}

fn tables() -> &'static str {
    let mut tables = String::new();
    let person = |email: &str, zuid: Option<usize>| {
        let name = "first_name = \"P\"\nlast_name = \"Q\"";
        let account = zuid
            .map_or_else(String::new, |zuid| format!("zuid = \"{zuid}\"\nhome = \"elsewhere\"\n"));
        format!("\n[[people]]\nemail = \"{email}\"\n{name}\n{account}")
    };
    for number in 0..PEOPLE {
        let (email, id) = (address(number), id(number));
        let profile = if GUIDES.contains(&number) { "Guide" } else { "Partner" };
        tables.push_str(&person(&email, Some(900_000_000 + number)));
        write!(
            tables,
            "[[crm_users]]\norganization = \"acme\"\nid = \"{id}\"\nemail = \"{email}\"\n\
             profile = \"{profile}\"\n\
             [[cliq_users]]\norganization = \"acme\"\nemail = \"{email}\"\nstatus = \"active\"\n"
        )
        .unwrap();
    }
    for number in 0..NEW {
        tables.push_str(&person(&new(number), (number % 2 == 0).then_some(910_000_000 + number)));
    }
    let subscriber = "[[subscribers]]\norganization = \"birch\"\nbot = \"bridge\"\nemail = ";
    write!(tables, "\n{subscriber}\"{SUBSCRIBER}\"\n").unwrap();
    tables.leak()
}

fn channel() -> &'static str {
    let members: Vec<String> =
        GUIDES.iter().map(|number| format!("\"{}\"", address(*number))).collect();
    let members = members.join(", ");
    format!(
        "channels = [{{ id = \"T1\", unique_name = \"ext\", name = \"Ext\", level = \"external\", \
         members = [{members}] }}]"
    )
    .leak()
}

/// One run over Acme.
pub async fn run(bridge: &Bridge) -> Value {
    bridge.run_over("acme").await
}

/// The world up to the run that has twenty changes to make: everybody is ours, and the leavers are
/// missing since yesterday.
pub async fn begin() -> Bridge {
    let bridge = Setup::demo()
        .people(tables())
        .world("acme", channel())
        .with("acme", "channels = [{ channel = \"ext\", when = { profile = [\"Guide\"] } }]")
        .with("guard", "max_removals = 20\nmax_percent = 20")
        .with("invitations", "reminders = 0")
        .patience(PATIENCE)
        .start()
        .await;
    bridge.adopted("acme").await;
    for number in LEAVERS {
        bridge.delete(&format!("/organizations/acme/crm-users/{}", id(number))).await;
    }
    run(&bridge).await;
    bridge.wait_for(DAY + Duration::from_hours(1)).await;
    for number in DISABLED {
        change(&bridge, number, &json!({ "status": "disabled" })).await;
    }
    for number in RENAMED {
        let email = format!("renamed{number}@partner.example");
        change(&bridge, number, &json!({ "email": email })).await;
    }
    for number in 0..NEW {
        let profile = if number < 2 { "Guide" } else { "Partner" };
        bridge.add_with("acme", json!({ "email": new(number), "profile": profile })).await;
    }
    bridge.add("acme", SUBSCRIBER).await;
    bridge
}

async fn change(bridge: &Bridge, number: usize, what: &Value) {
    bridge.patch(&format!("/organizations/acme/crm-users/{}", id(number)), what).await;
}

/// The time that leaving needs, and the run that ends it.
pub async fn leave(bridge: &Bridge) {
    bridge.wait_for(DAY * 8).await;
    run(bridge).await;
}
