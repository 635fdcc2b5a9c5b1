//! What came of the story, as the daemon's API, the mailboxes and the sandbox's journal tell it.
//!
//! Deliberately absent: whether that is as it should be (`judge`), and how it looks (`terminal`).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::files::{ADMIN_TOKEN, ADMINISTRATOR};
use super::judge;
use super::outside::{OURS, Stage};
use super::story::{BO, Told};
use crate::app::Running;
use crate::sandbox::Urls;

/// Where things can be looked at while the demo stays up.
#[derive(Debug, Default, Serialize)]
pub(super) struct Places {
    pub(super) webhooks: String,
    pub(super) admin_api: String,
    pub(super) admin_token: &'static str,
    pub(super) mailbox: String,
    pub(super) sandbox: String,
    pub(super) journal: String,
    /// Bo's invitation to Birch, which nobody has answered yet.
    pub(super) join_page: String,
}

impl Places {
    pub(super) fn new(running: &Running, urls: &Urls) -> Self {
        Self {
            webhooks: format!("http://{}/webhooks/crmplus", running.public),
            admin_api: format!("http://{}/api/v1/status", running.admin),
            admin_token: ADMIN_TOKEN,
            mailbox: urls.mailbox_url.clone(),
            sandbox: format!("{}/sandbox", urls.url.trim_end_matches('/')),
            journal: urls.journal_url.clone(),
            join_page: String::new(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Person {
    pub(super) email: String,
    pub(super) name: String,
    /// The organization; absent for somebody who is at home in neither.
    pub(super) home: Option<String>,
    /// Every other organization, with the state there.
    pub(super) hosts: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Membership {
    pub(super) organization: String,
    pub(super) email: String,
    pub(super) external: bool,
    pub(super) state: String,
    /// As a listing showed it; absent where nobody looks at licences.
    pub(super) licence: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct MappedChannel {
    pub(super) organization: String,
    pub(super) channel: String,
    pub(super) name: String,
    pub(super) level: String,
    /// What stands in the way of everybody.
    pub(super) problem: Option<String>,
    pub(super) guests: Vec<Guest>,
}

#[derive(Debug, Serialize)]
pub(super) struct Guest {
    pub(super) email: String,
    /// Whether the person had a Zoho account when invited (R47).
    pub(super) had_account: bool,
    /// Every state that was seen, the last of them now.
    pub(super) states: Vec<String>,
    /// Invitations that the bridge sent.
    pub(super) invitations: u64,
    /// Zoho's own mails about them.
    pub(super) zoho_mails: usize,
    /// What Taz, Zoho's bot, said about them.
    pub(super) taz: usize,
}

/// What a downgrade of CRM Plus came to in one organization.
#[derive(Debug, Serialize)]
pub(super) struct Downgrade {
    pub(super) organization: String,
    pub(super) name: String,
    pub(super) cliq_plan: String,
    pub(super) subscription: String,
    pub(super) badge: String,
    /// External users with a free licence, as the bridge has recorded it.
    pub(super) free_licences: u64,
    /// What the bridge changed at Zoho from the downgrade on, by the sandbox's journal.
    pub(super) writes: usize,
    /// Mails to the administrator about it.
    pub(super) notices: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct Mail {
    pub(super) to: String,
    pub(super) subject: String,
    pub(super) count: u32,
}

#[derive(Debug, Serialize)]
pub(super) struct BotNotice {
    pub(super) organization: String,
    pub(super) bot: String,
    pub(super) to: String,
    pub(super) button: String,
    pub(super) count: u32,
}

/// What the sandbox's journal says of the time from the downgrades on.
#[derive(Debug, Serialize)]
pub(super) struct AfterDowngrades {
    pub(super) reads: usize,
    pub(super) writes: usize,
    pub(super) mails: usize,
}

/// The document that `--json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) converged: bool,
    pub(super) seconds: f64,
    pub(super) people: Vec<Person>,
    pub(super) memberships: Vec<Membership>,
    pub(super) channels: Vec<MappedChannel>,
    pub(super) plans: Vec<Downgrade>,
    pub(super) after_downgrades: AfterDowngrades,
    /// The bridge's own.
    pub(super) mails: Vec<Mail>,
    pub(super) bot_notices: Vec<BotNotice>,
    pub(super) deliveries: Value,
    pub(super) sandbox: Value,
    /// What did not come out as it should; empty when it converged.
    pub(super) doubts: Vec<String>,
    pub(super) urls: Places,
}

/// What the sandbox shows at the end.
struct Evidence {
    boxes: Value,
    bots: Value,
    world: Value,
    /// Entries since the downgrades.
    after: Value,
}

/// Collects the report from outside.
pub(super) async fn collect(stage: &Stage, urls: Places, told: &Told) -> anyhow::Result<Report> {
    let join_page = stage.join_page(BO, "Birch Studio").await?;
    let (join_status, _) = stage.open(&join_page).await?;
    let journal = stage.sandbox(&format!("/journal?since={}", told.mark)).await?;
    let evidence = Evidence {
        boxes: stage.sandbox("/mailboxes").await?,
        bots: stage.sandbox("/bots").await?,
        world: stage.sandbox("/state").await?,
        after: journal["entries"].clone(),
    };
    let status = stage.admin("/status").await?;
    let of_kind = |kind: &str| entries(&evidence.after, kind).count();
    let mut report = Report {
        converged: false,
        seconds: told.seconds,
        people: people(&stage.admin("/people?limit=200").await?),
        memberships: memberships(&stage.admin("/memberships?limit=200").await?),
        channels: channels(stage, told, &evidence).await?,
        plans: rows(&status["organizations"]).map(|org| plan(org, &evidence)).collect(),
        after_downgrades: AfterDowngrades {
            reads: of_kind("read"),
            writes: of_kind("write"),
            mails: of_kind("mail"),
        },
        mails: mails(&evidence.boxes),
        bot_notices: bot_notices(&evidence.bots),
        deliveries: status["deliveries"].clone(),
        sandbox: journal["counts"].clone(),
        doubts: Vec::new(),
        urls: Places { join_page, ..urls },
    };
    report.doubts = judge::doubts(&report, &told.before, &evidence.world);
    if status["queue"]["settled"] != true {
        report.doubts.push(format!("something is left to do: {}", status["queue"]));
    }
    if join_status != 200 {
        report.doubts.push(format!("Bo's join page for Birch is answered {join_status}"));
    }
    report.converged = report.doubts.is_empty();
    Ok(report)
}

/// The items of a list; none of anything else.
pub(super) fn rows(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// A text of an object; empty when there is none.
pub(super) fn text(row: &Value, key: &str) -> String {
    row[key].as_str().unwrap_or_default().to_owned()
}

fn optional(row: &Value, key: &str) -> Option<String> {
    row[key].as_str().map(str::to_owned)
}

fn entries<'a>(journal: &'a Value, kind: &str) -> impl Iterator<Item = &'a Value> {
    rows(journal).filter(move |entry| entry["kind"] == kind)
}

fn people(listed: &Value) -> Vec<Person> {
    let person = |row: &Value| Person {
        email: text(row, "email"),
        name: text(row, "name"),
        home: optional(&row["home"], "organization"),
        hosts: serde_json::from_value(row["hosts"].clone()).unwrap_or_default(),
    };
    let mut people: Vec<Person> = rows(&listed["items"]).map(person).collect();
    people.sort_by(|one, other| one.email.cmp(&other.email));
    people
}

fn memberships(listed: &Value) -> Vec<Membership> {
    let membership = |row: &Value| Membership {
        organization: text(row, "organization"),
        email: text(row, "email"),
        external: row["external"] == true,
        state: text(row, "state"),
        licence: optional(row, "licence"),
    };
    rows(&listed["items"]).map(membership).collect()
}

async fn channels(
    stage: &Stage,
    told: &Told,
    evidence: &Evidence,
) -> anyhow::Result<Vec<MappedChannel>> {
    let mut channels = Vec::new();
    for row in rows(&stage.admin("/channels?limit=200").await?["items"]) {
        let (organization, channel, name) =
            (text(row, "organization"), text(row, "channel"), text(row, "name"));
        let mut guests: Vec<Guest> = stage
            .guests(&organization)
            .await?
            .iter()
            .filter(|(_, guest)| guest["channel"] == channel.as_str())
            .map(|(email, guest)| shown_guest(email, guest, (&name, told, evidence)))
            .collect();
        guests.sort_by(|one, other| one.email.cmp(&other.email));
        let (level, problem) = (text(row, "level"), optional(row, "problem"));
        channels.push(MappedChannel { organization, channel, name, level, problem, guests });
    }
    Ok(channels)
}

fn shown_guest(
    email: &str,
    guest: &Value,
    (channel, told, evidence): (&str, &Told, &Evidence),
) -> Guest {
    let states = told.guests.get(email).cloned().unwrap_or_default();
    // Cliq's names of channels begin with the sign, or not.
    let about = format!("#{}", channel.trim_start_matches('#'));
    let names = |text: &Value| text.as_str().is_some_and(|text| text.contains(&about));
    let zoho_mails = mails_to(&evidence.boxes, email)
        .filter(|mail| mail["from"] != OURS && names(&mail["subject"]))
        .count();
    let by_taz = |message: &&Value| message["bot"] == "taz" && message["to"] == email;
    let taz = rows(&evidence.bots).filter(by_taz).filter(|message| names(&message["text"])).count();
    Guest {
        email: email.to_owned(),
        had_account: states.first().is_some_and(|first| first == "invited"),
        states,
        invitations: guest["sends"].as_u64().unwrap_or_default(),
        zoho_mails,
        taz,
    }
}

fn plan(org: &Value, evidence: &Evidence) -> Downgrade {
    let id = text(org, "organization");
    let about = format!("subscription of {id} ");
    let tells = |mail: &&Value| mail["subject"].as_str().is_some_and(|line| line.contains(&about));
    let in_zoho = rows(&evidence.world["organizations"]).find(|one| one["id"] == id.as_str());
    Downgrade {
        name: text(org, "name"),
        cliq_plan: in_zoho.map(|one| text(one, "cliq_plan")).unwrap_or_default(),
        subscription: text(org, "subscription"),
        badge: text(org, "badge"),
        free_licences: org["licences"]["external_free"].as_u64().unwrap_or_default(),
        writes: entries(&evidence.after, "write")
            .filter(|entry| entry["organization"] == id.as_str())
            .count(),
        notices: mails_to(&evidence.boxes, ADMINISTRATOR).filter(tells).count(),
        organization: id,
    }
}

fn mails_to<'a>(boxes: &'a Value, email: &'a str) -> impl Iterator<Item = &'a Value> {
    rows(&boxes["mailboxes"])
        .filter(move |one| one["address"] == email)
        .flat_map(|one| rows(&one["mails"]))
}

/// Counts the bridge's own mails by recipient and subject.
fn mails(boxes: &Value) -> Vec<Mail> {
    let mut counted: BTreeMap<(String, String), u32> = BTreeMap::new();
    for one in rows(&boxes["mailboxes"]) {
        for mail in rows(&one["mails"]).filter(|mail| mail["from"] == OURS) {
            *counted.entry((text(one, "address"), text(mail, "subject"))).or_default() += 1;
        }
    }
    counted.into_iter().map(|((to, subject), count)| Mail { to, subject, count }).collect()
}

fn bot_notices(messages: &Value) -> Vec<BotNotice> {
    let mut counted: BTreeMap<(String, String, String, String), u32> = BTreeMap::new();
    for message in rows(messages).filter(|message| message["bot"] == "bridge") {
        let button = message["buttons"][0]["label"].as_str().unwrap_or_default().to_owned();
        let key =
            (text(message, "organization"), text(message, "bot"), text(message, "to"), button);
        *counted.entry(key).or_default() += 1;
    }
    let notice = |((organization, bot, to, button), count)| BotNotice {
        organization,
        bot,
        to,
        button,
        count,
    };
    counted.into_iter().map(notice).collect()
}
