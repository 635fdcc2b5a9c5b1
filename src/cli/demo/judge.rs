//! Whether it all came out as the story means it to: the ledger against Cliq, mails, the channel,
//! the downgrades.
//!
//! Pure. Deliberately absent: asking anybody; `report` has collected everything.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::files::ADMINISTRATOR;
use super::report::{MappedChannel, Report, rows, text};
use super::story::{ADA, BO, CY};

/// Every external user, and where the story leaves them.
const MEMBERS: [(&str, &str, &str); 4] = [
    ("acme", BO, "joined"),
    ("acme", CY, "joined"),
    ("birch", ADA, "joined"),
    ("birch", BO, "invited"),
];

/// Who is at home where; Bo is in neither.
const HOMES: [(&str, Option<&str>); 3] = [(ADA, Some("acme")), (BO, None), (CY, Some("birch"))];

/// Address, whether there was an account, every state, Zoho's mails and what Taz said (R47 to R56).
type Invited = (&'static str, bool, &'static [&'static str], usize, usize);

const GUESTS: [Invited; 2] = [
    (BO, false, &["awaiting_signup", "signed_up", "joined"], 1, 0),
    (CY, true, &["invited", "joined"], 1, 1),
];

/// What did not come out as it should. `before` is the sandbox's world right before the downgrades,
/// `world` is it at the end.
pub(super) fn doubts(report: &Report, before: &Value, world: &Value) -> Vec<String> {
    let mut doubts: Vec<String> = members(report, world).into_iter().collect();
    doubts.extend(homes(report));
    doubts.extend(letters(report));
    doubts.extend(channel(&report.channels, world));
    doubts.extend(downgrades(report));
    doubts.extend(untouched(before, world));
    let wanted = json!({ "accepted": 7, "duplicate": 1, "ignored": 0, "rejected": 1 });
    if report.deliveries != wanted {
        doubts.push(format!("deliveries are {}, not {wanted}", report.deliveries));
    }
    if report.sandbox["violations"] != 0 {
        doubts.push(format!("the sandbox counted {} violations", report.sandbox["violations"]));
    }
    doubts
}

/// Holds the ledger against the story, and against what the sandbox's Cliq really shows.
fn members(report: &Report, world: &Value) -> Option<String> {
    let mut shown = BTreeMap::new();
    for organization in rows(&world["organizations"]) {
        for user in rows(&organization["cliq_users"]).filter(|user| user["class"] == "external") {
            let state = match user["status"].as_str() {
                Some("active") => "joined",
                Some("pending") => "invited",
                Some("inactive") => "restricted",
                _ => "?",
            };
            shown.insert((text(organization, "id"), text(user, "email")), state);
        }
    }
    let ledger: BTreeMap<(String, String), &str> = report
        .memberships
        .iter()
        .filter(|row| row.external)
        .map(|row| ((row.organization.clone(), row.email.clone()), row.state.as_str()))
        .collect();
    let meant: BTreeMap<(String, String), &str> = MEMBERS
        .iter()
        .map(|(org, email, state)| (((*org).into(), (*email).into()), *state))
        .collect();
    (ledger != meant || shown != meant)
        .then(|| format!("the ledger says {ledger:?}, Cliq shows {shown:?}, meant is {meant:?}"))
}

fn homes(report: &Report) -> Option<String> {
    let known: Vec<_> =
        report.people.iter().map(|one| (one.email.as_str(), one.home.as_deref())).collect();
    (known != HOMES).then(|| format!("homes are {known:?}, not {HOMES:?}"))
}

/// One letter for each external membership, one notice for each downgrade, no mail besides.
fn letters(report: &Report) -> Vec<String> {
    let mut wanted: BTreeMap<&str, u32> = BTreeMap::from([(ADMINISTRATOR, 2)]);
    for (_, email, _) in MEMBERS {
        *wanted.entry(email).or_default() += 1;
    }
    let mut sent: BTreeMap<&str, u32> = BTreeMap::new();
    for mail in &report.mails {
        *sent.entry(mail.to.as_str()).or_default() += mail.count;
    }
    let mut doubts = Vec::new();
    if sent != wanted {
        doubts.push(format!("mails sent are {sent:?}, not {wanted:?}"));
    }
    let twice = report.mails.iter().filter(|mail| mail.count != 1);
    doubts.extend(twice.map(|mail| format!("{:?} went to {} twice", mail.subject, mail.to)));
    doubts
}

fn channel(channels: &[MappedChannel], world: &Value) -> Vec<String> {
    let [channel] = channels else {
        return vec![format!("{} channels are mapped instead of 1", channels.len())];
    };
    let mut doubts = Vec::new();
    if let Some(problem) = &channel.problem {
        doubts.push(format!("#{}: {problem}", channel.channel));
    }
    let seen: Vec<_> = channel
        .guests
        .iter()
        .map(|one| (one.email.as_str(), one.had_account, &one.states, one.zoho_mails, one.taz))
        .collect();
    let as_meant = seen.len() == GUESTS.len()
        && seen.iter().zip(GUESTS).all(|(seen, meant)| {
            let (email, account, states, mails, taz) = meant;
            (seen.0, seen.1, seen.3, seen.4) == (email, account, mails, taz) && *seen.2 == states
        });
    if !as_meant {
        doubts.push(format!("guests of #{} are {seen:?}, not {GUESTS:?}", channel.channel));
    }
    for guest in channel.guests.iter().filter(|guest| guest.invitations != 1) {
        doubts.push(format!("{} was invited {} times", guest.email, guest.invitations));
    }
    let in_cliq = rows(&world["organizations"])
        .flat_map(|org| rows(&org["channels"]))
        .find(|one| one["unique_name"] == channel.channel.as_str());
    let members = in_cliq.map(|one| &one["members"]).unwrap_or_default();
    for (email, ..) in GUESTS {
        if !rows(members).any(|member| member == email) {
            doubts.push(format!("Cliq does not show {email} in #{}", channel.channel));
        }
    }
    doubts
}

/// One notice each, no write at all; on the paid plan the free licences are on record (R13 to R17).
fn downgrades(report: &Report) -> Vec<String> {
    let known: Vec<_> = report
        .plans
        .iter()
        .map(|plan| {
            let words = (plan.organization.as_str(), plan.cliq_plan.as_str(), plan.badge.as_str());
            (words, plan.free_licences, plan.writes, plan.notices)
        })
        .collect();
    let meant = [
        (("acme", "paid", "downgraded, external users are free users"), 2, 0, 1),
        (("birch", "free", "downgraded, access retained"), 0, 0, 1),
    ];
    let mut doubts = Vec::new();
    if known != meant {
        doubts.push(format!("downgrades came to {known:?}, not {meant:?}"));
    }
    if report.after_downgrades.writes != 0 {
        doubts.push(format!("{} writes after the downgrades", report.after_downgrades.writes));
    }
    if report.after_downgrades.reads == 0 {
        doubts.push("nobody looked after the downgrades".to_owned());
    }
    doubts
}

/// Cliq's rows are as they were before the downgrades, but for the licences that Zoho itself took
/// from the external users of the paid plan.
fn untouched(before: &Value, world: &Value) -> Vec<String> {
    let mut doubts = Vec::new();
    for (old, new) in rows(&before["organizations"]).zip(rows(&world["organizations"])) {
        let mut meant = old["cliq_users"].clone();
        let taken = meant
            .as_array_mut()
            .into_iter()
            .flatten()
            .filter(|row| row["class"] == "external" && row["licence"] == "paid")
            .map(|row| row["licence"] = "free".into())
            .count();
        if taken != if old["cliq_plan"] == "paid" { 2 } else { 0 } {
            doubts.push(format!("{taken} external users of {} had a paid licence", old["id"]));
        }
        if new["cliq_users"] != meant {
            doubts.push(format!("the downgrade left {} as {}", new["id"], new["cliq_users"]));
        }
        if new["channels"] != old["channels"] {
            doubts
                .push(format!("the downgrade left channels of {}: {}", new["id"], new["channels"]));
        }
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::super::report::{
        AfterDowngrades, Downgrade, Guest, Mail, Membership, Person, Places, Report,
    };
    use super::*;

    fn guest((email, had_account, states, zoho_mails, taz): Invited) -> Guest {
        let states = states.iter().map(|state| (*state).to_owned()).collect();
        let email = email.to_owned();
        Guest { email, had_account, states, invitations: 1, zoho_mails, taz }
    }

    fn plan(organization: &str, cliq_plan: &str, badge: &str, free_licences: u64) -> Downgrade {
        Downgrade {
            organization: organization.to_owned(),
            name: String::new(),
            cliq_plan: cliq_plan.to_owned(),
            subscription: "downgraded".to_owned(),
            badge: badge.to_owned(),
            free_licences,
            writes: 0,
            notices: 1,
        }
    }

    fn mail(to: &str, subject: &str) -> Mail {
        Mail { to: to.to_owned(), subject: subject.to_owned(), count: 1 }
    }

    /// A report without a doubt.
    fn good() -> Report {
        let membership = |(organization, email, state): (&str, &str, &str)| Membership {
            organization: organization.to_owned(),
            email: email.to_owned(),
            external: true,
            state: state.to_owned(),
            licence: None,
        };
        let person = |(email, home): (&str, Option<&str>)| Person {
            email: email.to_owned(),
            name: String::new(),
            home: home.map(str::to_owned),
            hosts: BTreeMap::new(),
        };
        Report {
            converged: true,
            seconds: 1.0,
            people: HOMES.into_iter().map(person).collect(),
            memberships: MEMBERS.into_iter().map(membership).collect(),
            channels: vec![MappedChannel {
                organization: "acme".to_owned(),
                channel: "extsupport".to_owned(),
                name: String::new(),
                level: "external".to_owned(),
                problem: None,
                guests: GUESTS.into_iter().map(guest).collect(),
            }],
            plans: vec![
                plan("acme", "paid", "downgraded, external users are free users", 2),
                plan("birch", "free", "downgraded, access retained", 0),
            ],
            after_downgrades: AfterDowngrades { reads: 9, writes: 0, mails: 2 },
            mails: MEMBERS
                .into_iter()
                .map(|(organization, email, _)| mail(email, organization))
                .chain(["acme", "birch"].map(|organization| mail(ADMINISTRATOR, organization)))
                .collect(),
            bot_notices: Vec::new(),
            deliveries: json!({ "accepted": 7, "duplicate": 1, "ignored": 0, "rejected": 1 }),
            sandbox: json!({ "violations": 0 }),
            doubts: Vec::new(),
            urls: Places::default(),
        }
    }

    fn external(email: &str, status: &str, licence: &str) -> Value {
        json!({ "email": email, "class": "external", "status": status, "licence": licence })
    }

    fn world(licence: &str) -> Value {
        json!({ "organizations": [
            {
                "id": "acme", "cliq_plan": "paid",
                "cliq_users": [
                    { "email": ADA, "class": "internal", "status": "active", "licence": "paid" },
                    external(BO, "active", licence), external(CY, "active", licence),
                ],
                "channels": [{ "unique_name": "extsupport", "members": [BO, CY] }],
            },
            {
                "id": "birch", "cliq_plan": "free",
                "cliq_users": [external(ADA, "active", "free"), external(BO, "pending", "free")],
                "channels": [],
            },
        ] })
    }

    #[test]
    fn a_story_that_went_well_leaves_no_doubt() {
        let doubts = doubts(&good(), &world("paid"), &world("free"));
        assert!(doubts.is_empty(), "{doubts:?}");
    }

    #[test]
    fn whatever_went_otherwise_is_doubted() {
        type Change = fn(&mut Report);
        let changes: [(&str, Change); 15] = [
            ("a state", |report| report.memberships[0].state = "invited".to_owned()),
            ("a membership more", |report| {
                let row = &report.memberships[0];
                let (email, state) = (CY.to_owned(), row.state.clone());
                let organization = "birch".to_owned();
                let (external, licence) = (true, None);
                let row = Membership { organization, email, external, state, licence };
                report.memberships.push(row);
            }),
            ("a home", |report| report.people[2].home = None),
            ("a second letter", |report| report.mails[0].count = 2),
            ("a letter less", |report| drop(report.mails.remove(0))),
            ("a mapped channel less", |report| report.channels.clear()),
            ("a problem", |report| report.channels[0].problem = Some("full".to_owned())),
            ("a state left out", |report| drop(report.channels[0].guests[0].states.remove(1))),
            ("a second invitation", |report| report.channels[0].guests[0].invitations = 2),
            ("a word of Taz to nobody", |report| report.channels[0].guests[0].taz = 1),
            ("a badge", |report| report.plans[1].badge.clear()),
            ("a licence", |report| report.plans[0].free_licences = 1),
            ("a write", |report| report.after_downgrades.writes = 1),
            ("nobody looked", |report| report.after_downgrades.reads = 0),
            ("a violation", |report| report.sandbox["violations"] = 1.into()),
        ];
        for (what, change) in changes {
            let mut report = good();
            change(&mut report);
            assert!(!doubts(&report, &world("paid"), &world("free")).is_empty(), "{what}");
        }
    }

    #[test]
    fn what_the_downgrade_should_not_have_touched_is_doubted() {
        let after = |change: &dyn Fn(&mut Value)| {
            let mut after = world("free");
            change(&mut after["organizations"]);
            doubts(&good(), &world("paid"), &after)
        };
        let licence = |place: usize, licence: &'static str| {
            after(&|all| all[0]["cliq_users"][place]["licence"] = licence.into())
        };
        for (what, doubts) in [
            ("an internal licence", licence(0, "free")),
            ("an external licence", licence(1, "paid")),
            ("a restriction", after(&|all| all[1]["cliq_users"][0]["status"] = "inactive".into())),
            ("a channel", after(&|all| all[0]["channels"][0]["members"] = json!([BO]))),
        ] {
            assert!(!doubts.is_empty(), "{what}");
        }
    }
}
