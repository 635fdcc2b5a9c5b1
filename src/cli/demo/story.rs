//! The story. Acme pays for Cliq, Birch does not. Ada, at home in Acme, is added to Birch; Bo, who
//! has no Zoho account, to both; Cy, at home in Birch, to Acme. Acme has an external channel for
//! everybody it hosts. In the end CRM Plus is downgraded in both.
//!
//! A forged webhook, a duplicate, a throttle and a dropped connection happen on the way.
//! Deliberately absent: whether it all came out well; `judge` says that.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::outside::{Stage, Webhook};
use crate::cli::say;

/// How long the story waits for the daemon to have nothing left to do.
const SETTLED_MAX: Duration = Duration::from_secs(90);

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

const ACME: &str = "60001234";
const BIRCH: &str = "60005678";

pub(super) const ADA: &str = "ada@acme.example";
pub(super) const BO: &str = "bo@partner.example";
pub(super) const CY: &str = "cy@birch.example";

/// Cy's CRM user at home, as the world has it.
const CY_AT_HOME: &str = "778120000000433";

/// Where somebody joins the channel by the dialog of Cliq's sidebar (R51, R55).
const BY_DIALOG: &str = "/organizations/acme/channels/extsupport/accept";

/// What only the story itself knows once it is told.
pub(super) struct Told {
    pub(super) seconds: f64,
    /// Every state in which each guest of the channel was seen, in order.
    pub(super) guests: BTreeMap<String, Vec<String>>,
    /// The sandbox's world right before the downgrades.
    pub(super) before: Value,
    /// The journal's last entry right before the downgrades.
    pub(super) mark: u64,
}

/// The story as it goes, on stderr: a line for each beat, and on a terminal what is going on.
struct Narrator {
    silent: bool,
    /// Draws on a terminal only.
    spinner: ProgressBar,
}

impl Narrator {
    fn new(silent: bool) -> Self {
        let target =
            if silent { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let spinner = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg}") {
            spinner.set_style(style);
        }
        Self { silent, spinner }
    }

    fn tell(&self, line: &str) {
        if !self.silent {
            self.spinner.suspend(|| say(&format!("\x1b[2m•\x1b[0m {line}")));
        }
    }

    fn work(&self, text: String) {
        self.spinner.set_message(text);
        self.spinner.tick();
    }
}

/// Tells the story.
pub(super) async fn tell(stage: &Stage, silent: bool) -> anyhow::Result<Told> {
    let began = stage.clock.now();
    let narrator = Narrator::new(silent);
    let mut teller = Teller { stage, narrator, guests: BTreeMap::new() };
    teller.two_organizations().await?;
    teller.a_channel().await?;
    teller.joining().await?;
    let before = stage.sandbox("/state").await?;
    let mark = last_entry(&stage.sandbox("/journal").await?);
    teller.downgrades().await?;
    teller.narrator.spinner.finish_and_clear();
    let seconds = stage.clock.now().since(began).as_secs_f64();
    Ok(Told { seconds, guests: teller.guests, before, mark })
}

fn last_entry(journal: &Value) -> u64 {
    let entries = journal["entries"].as_array();
    entries.and_then(|all| all.last()).and_then(|entry| entry["seq"].as_u64()).unwrap_or_default()
}

struct Teller<'a> {
    stage: &'a Stage,
    narrator: Narrator,
    guests: BTreeMap<String, Vec<String>>,
}

impl Teller<'_> {
    async fn two_organizations(&mut self) -> anyhow::Result<()> {
        let stage = self.stage;
        self.tell(
            "Acme (paid Cliq) and Birch (free) run on a simulated Zoho. Ada is Acme's, Cy Birch's.",
        );
        arrange_trouble(stage).await?;
        let channel = json!({
            "by": "admin@acme.example", "level": "external",
            "unique_name": "extsupport", "name": "Ext Support",
        });
        stage.act("/organizations/acme/channels", &channel).await?;
        self.tell("In CRM Plus, Ada is added to Birch, and Bo, who has no Zoho account, to both.");
        let ada_in_birch = add(stage, "birch", ADA).await?;
        let bo_in_acme = add(stage, "acme", BO).await?;
        let bo_in_birch = add(stage, "birch", BO).await?;
        self.tell("Four signed webhooks arrive, one of them twice, and one that is forged.");
        let user = |source, id, kind, org, user| stage.user_event(source, id, kind, org, user);
        let ada = user("crmplus", "evt-ada-birch", "user.added", BIRCH, (&ada_in_birch, ADA));
        for webhook in [
            ada.clone(),
            user("deluge", "evt-bo-acme", "user.added", ACME, (&bo_in_acme, BO)),
            user("crmplus", "evt-bo-birch", "user.added", BIRCH, (&bo_in_birch, BO)),
            user("deluge", "evt-cy", "user.updated", BIRCH, (CY_AT_HOME, CY)),
        ] {
            self.post(&webhook).await?;
        }
        let (status, answer) = stage.post(&ada).await?;
        ensure!(status == 200 && answer["status"] == "duplicate", "duplicate: {status} {answer}");
        let (status, _) = stage.post(&Stage::forged(&ada)).await?;
        ensure!(status == 401, "a forged webhook got {status}");
        self.tell("On the way: a throttle, a cut connection, an answer lost after its effect.");
        self.settle().await?;
        self.tell("Ada accepts Birch's invitation; an administrator resyncs her by hand.");
        stage.act("/organizations/birch/members/ada@acme.example/accept", &Value::Null).await?;
        self.resync(&json!({ "organization": "birch", "user": ADA })).await
    }

    async fn a_channel(&mut self) -> anyhow::Result<()> {
        self.tell(
            "Acme offers its external channel #extsupport to its external users: Bo is invited.",
        );
        self.tell(
            "Cy, who uses Cliq in Birch, is added to Acme: the channel invites by mail and Taz.",
        );
        let cy_in_acme = add(self.stage, "acme", CY).await?;
        let user = (cy_in_acme.as_str(), CY);
        let webhook = self.stage.user_event("crmplus", "evt-cy-acme", "user.added", ACME, user);
        self.post(&webhook).await?;
        self.settle().await
    }

    async fn joining(&mut self) -> anyhow::Result<()> {
        let stage = self.stage;
        self.tell("Cy opens the join page, presses Join, accepts in Cliq, and joins the channel.");
        let page = stage.join_page(CY, "Acme Ltd").await?;
        let (status, _) = stage.open(&page).await?;
        ensure!(status == 200, "the join page got {status}");
        let cliq = stage.submit(&page, "action=join").await?;
        stage.submit(&cliq, "").await?;
        self.join_channel(CY).await?;
        self.tell("Bo signs up for Cliq: a resync sees it, and nobody is invited twice.");
        stage.act("/people/bo@partner.example/sign-up", &Value::Null).await?;
        self.resync(&json!({ "organization": "acme" })).await?;
        self.tell("Bo accepts and joins the channel, too. His invitation to Birch stays open.");
        stage.act("/organizations/acme/members/bo@partner.example/accept", &Value::Null).await?;
        self.join_channel(BO).await?;
        self.resync(&json!({ "organization": "acme" })).await
    }

    async fn downgrades(&mut self) -> anyhow::Result<()> {
        let stage = self.stage;
        let downgrade = json!({ "paid_type": "free" });
        self.tell("CRM Plus is downgraded in both. Birch's Cliq is free: everybody keeps access.");
        stage.change("/organizations/birch", &downgrade).await?;
        self.post(&stage.downgraded("crmplus", "evt-plan-birch", BIRCH)).await?;
        self.tell(
            "Acme's is paid: Zoho makes external users free users, and the bridge lets it be.",
        );
        stage.change("/organizations/acme", &downgrade).await?;
        self.post(&stage.downgraded("deluge", "evt-plan-acme", ACME)).await?;
        self.settle().await?;
        self.resync(&json!({})).await
    }

    fn tell(&self, line: &str) {
        self.narrator.tell(line);
    }

    async fn post(&self, webhook: &Webhook) -> anyhow::Result<()> {
        let (status, answer) = self.stage.post(webhook).await?;
        ensure!(status == 200 && answer["status"] == "accepted", "webhook: {status} {answer}");
        Ok(())
    }

    async fn join_channel(&self, email: &str) -> anyhow::Result<()> {
        let dialog = json!({ "path": "dialog" });
        self.stage.act(&format!("{BY_DIALOG}/{email}"), &dialog).await.map(|_| ())
    }

    async fn resync(&mut self, what: &Value) -> anyhow::Result<()> {
        self.stage.admin_post("/resync", what).await?;
        self.settle().await
    }

    /// Waits until the daemon says that nothing is left to do, and looks how the guests are.
    async fn settle(&mut self) -> anyhow::Result<()> {
        let clock = &self.stage.clock;
        let until = clock.now() + SETTLED_MAX;
        loop {
            let status = self.stage.admin("/status").await?;
            let queue = &status["queue"];
            if queue["settled"] == true {
                return self.note_guests().await;
            }
            self.narrator.work(format!(
                "Working: {} to look at, {} to carry out ({} after a failure) …",
                queue["hints"], queue["actions"]["waiting"], queue["actions"]["retrying"],
            ));
            if clock.now() > until {
                bail!("the daemon is still busy after {} s: {queue}", SETTLED_MAX.as_secs());
            }
            clock.wait_until(clock.now() + LOOK_EVERY).await;
        }
    }

    async fn note_guests(&mut self) -> anyhow::Result<()> {
        for (email, guest) in self.stage.guests("acme").await? {
            let state = guest["state"].as_str().unwrap_or_default();
            let seen = self.guests.entry(email).or_default();
            if seen.last().is_none_or(|last| last != state) {
                seen.push(state.to_owned());
            }
        }
        Ok(())
    }
}

async fn arrange_trouble(stage: &Stage) -> anyhow::Result<()> {
    for fault in [
        json!({
            "call": "cliq.users.list", "organization": "birch", "times": 1,
            "fault": { "kind": "throttle", "retry_after_s": 1 },
        }),
        json!({
            "call": "portal", "organization": "birch", "times": 1,
            "fault": { "kind": "apply_then_drop" },
        }),
        json!({
            "call": "crm.users.get", "organization": "acme", "times": 1,
            "fault": { "kind": "drop" },
        }),
    ] {
        stage.act("/faults", &fault).await?;
    }
    Ok(())
}

async fn add(stage: &Stage, organization: &str, email: &str) -> anyhow::Result<String> {
    let path = format!("/organizations/{organization}/crm-users");
    let added = stage.act(&path, &json!({ "email": email, "profile": "Partner" })).await?;
    added["id"].as_str().map(str::to_owned).context("the sandbox gave the user no id")
}
