//! Channels of the sandbox and of the bridge, as a test looks at them.

use std::time::Duration;

use serde_json::{Value, json};

use super::harness::{Answer, answer, rows};
use super::{Bridge, Setup};

pub const DAY: Duration = Duration::from_hours(24);

/// No Zoho account.
pub const BO: &str = "bo@partner.example";
/// Has a Cliq account elsewhere.
pub const EVE: &str = "eve@oak.example";

/// Eve, and two colleagues of hers.
pub const PEOPLE: &str = r#"
[[people]]
email      = "eve@oak.example"
first_name = "Eve"
last_name  = "Oak"
zuid       = "163315702"
home       = "elsewhere"

[[people]]
email      = "dan@oak.example"
first_name = "Dan"
last_name  = "Oak"
zuid       = "163315701"
home       = "elsewhere"

[[people]]
email      = "gus@oak.example"
first_name = "Gus"
last_name  = "Oak"
zuid       = "163315703"
home       = "elsewhere"

[[people]]
email      = "hal@third.example"
first_name = "Hal"
last_name  = "Third"
zuid       = "163315704"
home       = "elsewhere"
"#;

/// One external channel in the sandbox's acme.
pub const EXT: &str =
    r#"channels = [{ id = "T1", unique_name = "ext", name = "Ext Support", level = "external" }]"#;

/// Maps these channels for everybody.
pub fn mapped(channels: &[&str]) -> String {
    let tables: Vec<String> = channels
        .iter()
        .map(|channel| format!("{{ channel = \"{channel}\", when = {{ all = true }} }}"))
        .collect();
    format!("channels = [{}]", tables.join(", "))
}

/// Maps acme's channel for partners.
pub const PARTNERS: &str = "channels = [{ channel = \"ext\", when = { profile = [\"Partner\"] } }]";

/// Acme with one external channel for partners.
pub fn partners() -> Setup {
    Setup::demo().world("acme", EXT).people(PEOPLE).with("acme", PARTNERS)
}

/// Acme with one external channel for everybody.
pub fn one_channel() -> Setup {
    Setup::demo().world("acme", EXT).people(PEOPLE).with("acme", &mapped(&["ext"]))
}

impl Bridge {
    /// The channel as the sandbox has it.
    pub async fn in_sandbox(&self, organization: &str, channel: &str) -> Value {
        let state = self.sandbox("/state").await;
        let org = rows(&state["organizations"]).find(|org| org["id"] == organization).unwrap();
        let found = rows(&org["channels"]).find(|row| row["unique_name"] == channel);
        found.unwrap_or_else(|| panic!("no channel {channel}")).clone()
    }

    /// Addresses of those who are in acme's channel, sorted.
    pub async fn members(&self, channel: &str) -> Vec<String> {
        sorted(&self.in_sandbox("acme", channel).await["members"])
    }

    /// Addresses of those who are invited to acme's channel and not in, sorted.
    pub async fn invited(&self, channel: &str) -> Vec<String> {
        sorted(&self.in_sandbox("acme", channel).await["invited"])
    }

    /// `accept`, `decline` or `leave` in acme's channel.
    pub async fn channel_act(&self, channel: &str, act: &str, email: &str) {
        let path = format!("/organizations/acme/channels/{channel}/{act}/{email}");
        self.act(&path, &json!({})).await;
    }

    /// Adds a partner to acme, and lets them into `ext`; answers the CRM id.
    pub async fn partner_in(&self, email: &str) -> String {
        let id = self.add_with("acme", json!({ "email": email, "profile": "Partner" })).await;
        self.announce("acme", &id).await;
        self.settle().await;
        self.channel_act("ext", "accept", email).await;
        self.run("acme").await;
        assert_eq!(self.guest(email, "ext").await["state"], "joined");
        id
    }

    /// Changes a row of acme's CRM.
    pub async fn acme_crm(&self, id: &str, change: Value) {
        self.patch(&format!("/organizations/acme/crm-users/{id}"), &change).await;
    }

    /// An administrator changes acme's channel.
    pub async fn channel_patch(&self, channel: &str, body: Value) {
        self.patch(&format!("/organizations/acme/channels/{channel}"), &body).await;
    }

    /// Acts in the sandbox, whatever comes of it.
    pub async fn try_act(&self, path: &str, body: &Value) -> Answer {
        let request = self.http.post(format!("{}/sandbox{path}", self.urls.url));
        answer(request.header("content-type", "application/json").body(body.to_string())).await
    }

    /// The place of acme's person in the channel, as the admin API shows it.
    pub async fn guest(&self, email: &str, channel: &str) -> Value {
        let id = self.membership("acme", email).await["id"].as_str().unwrap().to_owned();
        let row = self.admin(&format!("/memberships/{id}")).await.body;
        let found = rows(&row["channels"]).find(|guest| guest["channel"] == channel);
        found.unwrap_or_else(|| panic!("{email} has no place in {channel}: {row}")).clone()
    }

    /// The channel as the admin API shows it.
    pub async fn channel_view(&self, organization: &str, channel: &str) -> Value {
        let list = self.admin(&format!("/channels?organization={organization}")).await.body;
        let found = rows(&list["items"]).find(|row| row["channel"] == channel);
        found.unwrap_or_else(|| panic!("no {channel} in {list}")).clone()
    }

    /// Zoho's own invitations to channels in this mailbox.
    pub async fn channel_mails(&self, email: &str) -> usize {
        let all = self.sandbox("/mailboxes").await;
        let mailbox = rows(&all["mailboxes"]).find(|mailbox| mailbox["address"] == email);
        mailbox.map_or(0, |mailbox| {
            rows(&mailbox["mails"])
                .filter(|mail| mail["subject"].as_str().unwrap().contains("to the channel"))
                .count()
        })
    }

    /// What Taz told this person.
    pub async fn taz(&self, email: &str) -> usize {
        let messages = self.sandbox("/bots").await;
        rows(&messages).filter(|row| row["bot"] == "taz" && row["to"] == email).count()
    }

    /// How often acme was called so.
    pub async fn calls(&self, call: &str) -> usize {
        self.journal().await.calls("acme", call)
    }

    /// A run over the organization, to its end.
    pub async fn run(&self, organization: &str) -> String {
        let run = self.resync(json!({ "organization": organization })).await;
        self.settle().await;
        run
    }

    /// Notices to the administrators whose subject holds this.
    pub async fn notices(&self, part: &str) -> usize {
        let mails = self.mails("it@bridge.example").await;
        mails.iter().filter(|mail| mail.subject().contains(part)).count()
    }
}

fn sorted(list: &Value) -> Vec<String> {
    let mut names: Vec<String> =
        rows(list).filter_map(|name| name.as_str().map(str::to_owned)).collect();
    names.sort();
    names
}
