//! The call-index fault sweep (I8): every call of a run fails once in every way there is, and after
//! one more clean run all is as if nothing had failed.
//!
//! `SWEEP=full` tells every pair of call and fault; `SWEEP=i/n` the i-th of n parts of them, for as many
//! processes; `SWEEP=n` a sample of n; `SWEEP_PAIR=k/fault` one. A call that hangs is ended by real time, of which this bridge grants little. Deliberately
//! absent: a bridge that dies, which `histories` has.

mod world;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::histories::dice::Dice;
use super::support::harness::rows;
use super::support::traces::ADMIN;
use super::support::{Bridge, Journal};

/// Pairs told where the environment does not ask for more: about a minute of processor time.
const SAMPLE: usize = 20;

/// What the sample is drawn with.
const SEED: u64 = 8;

/// Faults by which a call is refused for good.
const REFUSALS: [&str; 3] = ["403", "404", "204"];

/// Calls that page.
const LISTINGS: [&str; 3] = ["crm.users.list", "cliq.users.list", "cliq.channels.list"];

/// Calls that change something and answer without a word about it.
const WRITES: [&str; 3] = ["cliq.members.add", "cliq.members.remove", "cliq.bots.message"];

/// One call of the run, so that it can be told to fail: its name, and how many of the name came
/// before it.
#[derive(Clone, Debug)]
struct Nth {
    call: String,
    before: usize,
}

/// What can go wrong with a call.
fn faults(call: &str) -> Vec<(&'static str, Value)> {
    let reply = |at: &str, code: u16| json!({ "kind": "reply", "at": at, "code": code });
    let kind = |kind: &str| json!({ "kind": kind });
    let status = |status: u16| json!({ "kind": "status", "status": status });
    let lost = [
        ("drop", kind("drop")),
        ("apply_then_drop", kind("apply_then_drop")),
        ("hang", kind("hang")),
        ("slow", json!({ "kind": "slow", "ms": 15_000 })),
    ];
    if call == "smtp" {
        let replies = [("rcpt_451", reply("rcpt", 451)), ("data_421", reply("data", 421))];
        return lost.into_iter().chain(replies).collect();
    }
    let mut all = Vec::from(lost);
    all.extend([
        ("500", status(500)),
        ("503", status(503)),
        ("401", status(401)),
        ("403", status(403)),
        ("404", status(404)),
        ("throttle", json!({ "kind": "throttle", "retry_after_s": 40 })),
        ("cut_body", kind("cut_body")),
    ]);
    // A success that was none looks like one: nobody can tell it from the read that follows, which may
    // lag. The portal says in words what it did.
    if !WRITES.contains(&call) {
        all.push(("204", status(204)));
    }
    // A code that the portal does not document is a person's own refusal, with a remedy (r38).
    let code = if call == "portal" { "busy" } else { "INTERNAL_ERROR" };
    all.push(("ok_with_error", json!({ "kind": "ok_with_error", "code": code })));
    if LISTINGS.contains(&call) {
        all.extend([
            ("duplicate_page", kind("duplicate_page")),
            ("missing_page", kind("missing_page")),
        ]);
    }
    if call != "portal" && call != "oauth.token" {
        all.push(("stale_token", kind("stale_token")));
    }
    all
}

/// The calls among these entries, in order.
fn calls(entries: &[Value]) -> Vec<Nth> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut calls = Vec::new();
    for entry in entries.iter().filter(|entry| entry["kind"] != "act") {
        let call = entry["call"].as_str().unwrap();
        let before = seen.entry(call).or_default();
        calls.push(Nth { call: call.to_owned(), before: *before });
        *before += 1;
    }
    calls
}

/// What is left at the end: rows of both Cliqs, channels, bot messages, ledger rows, and mails to
/// people, each with how many letters it stands for.
#[derive(Debug, PartialEq, Eq)]
struct World {
    lines: BTreeSet<String>,
    bots: BTreeSet<String>,
    mails: BTreeMap<String, usize>,
}

impl World {
    async fn of(bridge: &Bridge) -> Self {
        let (mut lines, mut bots) = (BTreeSet::new(), BTreeSet::new());
        let state = bridge.sandbox("/state").await;
        for organization in rows(&state["organizations"]) {
            for row in rows(&organization["cliq_users"]) {
                let keys = ["email", "status", "class", "licence", "joined"];
                lines.insert(line(&organization["id"], row, &keys));
            }
            for channel in rows(&organization["channels"]) {
                lines.insert(line(&organization["id"], channel, &["members", "invited"]));
            }
        }
        for message in rows(&bridge.sandbox("/bots").await) {
            // Who is added five minutes later may answer five minutes longer.
            let text = message["text"].as_str().unwrap_or_default();
            let text = text.split("This invitation runs out").next().unwrap_or_default();
            bots.insert(format!("{} {} {text}", message["organization"], message["to"]));
        }
        let mut cursor = String::new();
        loop {
            let page = bridge.admin(&format!("/memberships?limit=200{cursor}")).await.body;
            for row in rows(&page["items"]) {
                // Whose somebody is decides who is taken out one day.
                let keys = [
                    "email",
                    "state",
                    "external",
                    "origin",
                    "licence",
                    "restricted_by_bridge",
                    "parked",
                ];
                // A retry takes a second; since when somebody is missing is no difference.
                let missing = row["suspected_at"].is_string();
                lines.insert(format!(
                    "{} missing={missing}",
                    line(&row["organization"], row, &keys)
                ));
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        Self { lines, bots, mails: letters(&bridge.journal().await) }
    }

    /// What the other one has otherwise. A bot's refusal of a message is final, as the letter says the
    /// same: then it does not count what bots have said.
    fn differs(&self, other: &Self, refused: bool) -> Option<String> {
        let mut less: Vec<_> = self.lines.difference(&other.lines).collect();
        let mut more: Vec<_> = other.lines.difference(&self.lines).collect();
        if !refused {
            less.extend(self.bots.difference(&other.bots));
            more.extend(other.bots.difference(&self.bots));
        }
        if less.is_empty() && more.is_empty() && self.mails == other.mails {
            return None;
        }
        let mails: Vec<_> = self
            .mails
            .keys()
            .chain(other.mails.keys())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .filter(|key| self.mails.get(*key) != other.mails.get(*key))
            .map(|key| (key, self.mails.get(key), other.mails.get(key)))
            .collect();
        Some(format!("missing: {less:#?}\ninstead: {more:#?}\nmails: {mails:?}"))
    }
}

fn line(organization: &Value, row: &Value, keys: &[&str]) -> String {
    let values: Vec<String> = keys.iter().map(|key| format!("{key}={}", row[*key])).collect();
    format!("{organization} {}", values.join(" "))
}

/// Letters to each person, copies of one counted once.
fn letters(journal: &Journal) -> BTreeMap<String, usize> {
    let mut ids: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for mail in journal.of("mail", "smtp").into_iter().filter(|mail| mail["subject"] != ADMIN) {
        let id = mail["idempotency_key"].as_str().unwrap();
        ids.entry(mail["subject"].as_str().unwrap().to_owned()).or_default().insert(id);
    }
    ids.into_iter().map(|(to, ids)| (to, ids.len())).collect()
}

/// What a telling came to.
struct Told {
    calls: Vec<Nth>,
    worlds: [World; 2],
}

/// Tells the story; with a fault, the run that has twenty changes to make meets it.
async fn tell(fault: Option<(&Nth, &str, &Value)>) -> Result<Told, String> {
    let bridge = world::begin().await;
    let before = bridge.journal().await.0.len();
    if let Some((nth, _, fault)) = fault {
        bridge.fault(&nth.call, json!({ "skip": nth.before }), fault.clone()).await;
    }
    world::run(&bridge).await;
    let after = bridge.journal().await.0;
    let unmet = rows(&bridge.sandbox("/faults").await["faults"]).count();
    world::run(&bridge).await;
    let clean = World::of(&bridge).await;
    world::leave(&bridge).await;
    let end = World::of(&bridge).await;
    let journal = bridge.journal().await;
    let lost_answer =
        fault.is_some_and(|(nth, name, _)| nth.call == "smtp" && name == "apply_then_drop");
    let law = laws(&journal, lost_answer)
        .and_then(|()| if unmet == 0 { Ok(()) } else { Err("no call met the fault".to_owned()) });
    bridge.finish_with_leftovers("invitations that nobody answered").await;
    law?;
    Ok(Told { calls: calls(&after[before..]), worlds: [clean, end] })
}

/// What may never happen, whatever fails.
fn laws(journal: &Journal, lost_answer: bool) -> Result<(), String> {
    let (losers, leavers, new) = (world::losers(), world::leavers(), world::newcomers());
    for entry in journal.of("write", "portal") {
        let who = entry["subject"].as_str().unwrap_or_default();
        let allowed = match entry["detail"].as_str().unwrap_or_default().split(':').next() {
            Some("add_external") => new.contains(who),
            Some("restrict") => losers.contains(who),
            Some("remove_external") => leavers.contains(who),
            _ => false,
        };
        if !allowed {
            return Err(format!("nobody asked for {entry}"));
        }
    }
    let mut ids = BTreeSet::new();
    for mail in journal.of("mail", "smtp") {
        let fresh = ids.insert(mail["idempotency_key"].as_str().unwrap_or_default());
        if !fresh && !lost_answer {
            return Err(format!("a mail twice: {mail}"));
        }
    }
    Ok(())
}

/// Which pairs are told, out of all: everything, one, or a sample in which every kind of fault and
/// every call has its turn.
fn chosen(all: &[(usize, &'static str)], calls: &[Nth]) -> Vec<(usize, &'static str)> {
    let wish = |name: &str| std::env::var_os(name).and_then(|text| text.into_string().ok());
    if let Some(pair) = wish("SWEEP_PAIR") {
        let (k, name) = pair.split_once('/').expect("SWEEP_PAIR is k/fault");
        let k: usize = k.parse().expect("k is a number");
        return all.iter().copied().filter(|one| one.0 == k && one.1 == name).collect();
    }
    let size = match wish("SWEEP").as_deref() {
        Some("full") => return all.to_vec(),
        Some(part) if part.contains('/') => {
            let (i, n) = part.split_once('/').expect("SWEEP is i/n");
            let (i, n): (usize, usize) = (i.parse().expect("i"), n.parse().expect("n"));
            return all.iter().copied().skip(i - 1).step_by(n).collect();
        }
        Some(number) => number.parse().expect("SWEEP is full or a number"),
        None => SAMPLE,
    };
    let mut rest = all.to_vec();
    Dice::new(SEED, "sweep").shuffle(&mut rest);
    let mut turns: BTreeMap<String, usize> = BTreeMap::new();
    let mut sample = Vec::new();
    while sample.len() < size && !rest.is_empty() {
        let turn = |(k, name): &(usize, &str)| {
            let had = |what: &str| turns.get(what).copied().unwrap_or_default();
            had(name) + had(&calls[*k].call)
        };
        let (index, _) =
            rest.iter().enumerate().min_by_key(|(_, pair)| turn(pair)).expect("not empty");
        let (k, name) = rest.remove(index);
        *turns.entry(name.to_owned()).or_default() += 1;
        *turns.entry(calls[k].call.clone()).or_default() += 1;
        sample.push((k, name));
    }
    sample
}

#[tokio::test]
async fn i8_whatever_call_of_a_run_fails_nobody_is_removed_wrongly_and_the_end_is_the_same() {
    let told = tell(None).await.unwrap_or_else(|law| panic!("without any fault: {law}"));
    let mut all = Vec::new();
    for (k, nth) in told.calls.iter().enumerate() {
        all.extend(faults(&nth.call).into_iter().map(|(name, _)| (k, name)));
    }
    let chosen = chosen(&all, &told.calls);
    let mut broken = Vec::new();
    for (number, (k, name)) in chosen.iter().enumerate() {
        if number > 0 && number % 50 == 0 {
            eprintln!("{number} of {} pairs told, {} broken", chosen.len(), broken.len());
        }
        let nth = &told.calls[*k];
        let (_, fault) = faults(&nth.call).into_iter().find(|one| one.0 == *name).unwrap();
        let law = match tell(Some((nth, name, &fault))).await {
            Err(law) => Some(law),
            Ok(again) => {
                let pairs = told.worlds.iter().zip(&again.worlds);
                let refused = nth.call.starts_with("cliq.bots.") && REFUSALS.contains(name);
                pairs.map(|(was, is)| was.differs(is, refused)).find(Option::is_some).flatten()
            }
        };
        if let Some(law) = law {
            eprintln!("{k}/{name} of {} is broken", nth.call);
            broken
                .push(format!("SWEEP_PAIR={k}/{name} ({} after {}): {law}", nth.call, nth.before));
        }
    }
    println!(
        "{} of {} pairs of call and fault told: {} calls, {} broken",
        chosen.len(),
        all.len(),
        told.calls.len(),
        broken.len()
    );
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
