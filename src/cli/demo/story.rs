//! The story. Acme pays for Cliq, Birch does not. Ada, at home in Acme, is added to Birch; Bo, who
//! has no Cliq account, to both; Cy is Birch's own and must stay untouched. A forged webhook, a
//! duplicate, a throttle and a dropped connection happen on the way.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::outside::Stage;
use crate::cli::say;

/// How long the story waits for the daemon to have nothing left to do.
const SETTLED_MAX: Duration = Duration::from_secs(90);

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

const ACME: &str = "60001234";
const BIRCH: &str = "60005678";
const CY: (&str, &str) = ("778120000000433", "cy@birch.example");

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

/// Tells the story; answers how many seconds it took.
pub(super) async fn tell(stage: &Stage, silent: bool) -> anyhow::Result<f64> {
    let narrator = Narrator::new(silent);
    let began = stage.clock.now();
    narrator.tell("Acme (paid Cliq) and Birch (free) run on a simulated Zoho. Cy is Birch's own.");
    arrange_trouble(stage).await?;
    narrator.tell("In CRM Plus, Ada of Acme is added to Birch, and Bo, new to Cliq, to both.");
    let ada_in_birch = add(stage, "birch", "ada@acme.example").await?;
    let bo_in_acme = add(stage, "acme", "bo@partner.example").await?;
    let bo_in_birch = add(stage, "birch", "bo@partner.example").await?;
    narrator.tell("Four signed webhooks arrive, one of them twice, and one that is forged.");
    let ada = stage.user_event(
        "crmplus",
        "evt-ada-birch",
        "user.added",
        BIRCH,
        (&ada_in_birch, "ada@acme.example"),
    );
    let webhooks = [
        ada.clone(),
        stage.user_event("deluge", "evt-bo-acme", "user.added", ACME, (&bo_in_acme, BO)),
        stage.user_event("crmplus", "evt-bo-birch", "user.added", BIRCH, (&bo_in_birch, BO)),
        stage.user_event("deluge", "evt-cy", "user.updated", BIRCH, CY),
    ];
    for webhook in &webhooks {
        let (status, answer) = stage.post(webhook).await?;
        ensure!(status == 200 && answer["status"] == "accepted", "webhook: {status} {answer}");
    }
    let (status, answer) = stage.post(&ada).await?;
    ensure!(status == 200 && answer["status"] == "duplicate", "duplicate: {status} {answer}");
    let (status, _) = stage.post(&Stage::forged(&ada)).await?;
    ensure!(status == 401, "a forged webhook got {status}");
    narrator.tell("On the way: a throttle, a cut connection, an answer lost after its effect.");
    settle(stage, &narrator).await?;
    narrator.tell("Ada accepts Birch's invitation; an administrator resyncs her by hand.");
    stage.act("/organizations/birch/members/ada@acme.example/accept", &Value::Null).await?;
    let asked = json!({ "organization": "birch", "user": "ada@acme.example" });
    stage.admin_post("/resync", &asked).await?;
    settle(stage, &narrator).await?;
    narrator.spinner.finish_and_clear();
    let took = stage.clock.now().since(began);
    Ok(took.as_secs_f64())
}

const BO: &str = "bo@partner.example";

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

/// Waits until the daemon says that nothing is left to do.
async fn settle(stage: &Stage, narrator: &Narrator) -> anyhow::Result<()> {
    let until = stage.clock.now() + SETTLED_MAX;
    loop {
        let status = stage.admin("/status").await?;
        let queue = &status["queue"];
        if queue["settled"] == true {
            return Ok(());
        }
        narrator.work(format!(
            "Working: {} to look at, {} to carry out ({} after a failure) …",
            queue["hints"], queue["actions"]["waiting"], queue["actions"]["retrying"],
        ));
        if stage.clock.now() > until {
            bail!("the daemon is still busy after {} s: {queue}", SETTLED_MAX.as_secs());
        }
        stage.clock.wait_until(stage.clock.now() + LOOK_EVERY).await;
    }
}
