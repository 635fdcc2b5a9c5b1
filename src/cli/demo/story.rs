//! The story. Acme pays for Cliq, Birch does not. Ada, at home in Acme, is added to Birch; Bo, who
//! has no Cliq account, to both; Cy is Birch's own and must stay untouched. A forged webhook, a
//! duplicate, a throttle and a dropped connection happen on the way.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::outside::Stage;

/// How long the story waits for the daemon to have nothing left to do.
const SETTLED_MAX: Duration = Duration::from_secs(90);

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

const ACME: &str = "60001234";
const BIRCH: &str = "60005678";
const CY: (&str, &str) = ("778120000000433", "cy@birch.example");

/// What is happening, on a terminal only.
struct Progress(ProgressBar);

impl Progress {
    fn new(silent: bool) -> Self {
        let target =
            if silent { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    fn say(&self, text: impl Into<String>) {
        self.0.set_message(text.into());
        self.0.tick();
    }
}

/// Tells the story; answers how many seconds it took.
pub(super) async fn tell(stage: &Stage, silent: bool) -> anyhow::Result<f64> {
    let progress = Progress::new(silent);
    let began = stage.clock.now();
    progress.say("Trouble is arranged: a throttle, and a connection that drops …");
    arrange_trouble(stage).await?;
    progress.say("CRM Plus gets new users …");
    let ada_in_birch = add(stage, "birch", "ada@acme.example").await?;
    let bo_in_acme = add(stage, "acme", "bo@partner.example").await?;
    let bo_in_birch = add(stage, "birch", "bo@partner.example").await?;
    progress.say("Signed webhooks arrive …");
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
    settle(stage, &progress).await?;
    progress.say("Ada accepts Birch's invitation …");
    stage.act("/organizations/birch/members/ada@acme.example/accept", &Value::Null).await?;
    let asked = json!({ "organization": "birch", "user": "ada@acme.example" });
    stage.admin_post("/resync", &asked).await?;
    settle(stage, &progress).await?;
    progress.0.finish_and_clear();
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
async fn settle(stage: &Stage, progress: &Progress) -> anyhow::Result<()> {
    let until = stage.clock.now() + SETTLED_MAX;
    loop {
        let status = stage.admin("/status").await?;
        let queue = &status["queue"];
        if queue["settled"] == true {
            return Ok(());
        }
        progress.say(format!(
            "Working: {} to look at, {} to carry out ({} after a failure) …",
            queue["hints"], queue["actions"]["waiting"], queue["actions"]["retrying"],
        ));
        if stage.clock.now() > until {
            bail!("the daemon is still busy after {} s: {queue}", SETTLED_MAX.as_secs());
        }
        stage.clock.wait_until(stage.clock.now() + LOOK_EVERY).await;
    }
}
