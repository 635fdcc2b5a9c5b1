//! The last step of an explanation: what would be done, what holds it, what already waits, and what
//! is refused and wants an operator.
//!
//! Deliberately absent: reading anything but the store.

use serde_json::{Value, json};

use super::actions::ActionView;
use super::{Host, actions, pause, remedy};
use crate::domain::channel::Guest;
use crate::domain::membership::Membership;
use crate::domain::plan::{Deed, Hold, Line, Plan};
use crate::domain::{ActionState, PortalVerb};
use crate::logic::channels::remedy as channel_remedy;
use crate::logic::explain::Told;
use crate::store::outbox::{self, Filter};
use crate::store::{StoreError, Tx, guests, joins, orgs, pauses};

/// Rows of the outbox that are told, newest first.
const ROWS_MAX: u32 = 20;

/// What is to be done for one person.
pub(super) struct Acting<'a> {
    pub(super) host: &'a Host,
    pub(super) known: Option<&'a Membership>,
    /// What the bridge would do by itself; `None` where nothing could be read.
    pub(super) by_itself: Option<&'a Plan>,
    /// What a resync of the person would do.
    pub(super) asked: Option<&'a Plan>,
    /// What holds runs over the whole organization.
    pub(super) hold: Option<Hold>,
}

/// Tells it.
pub(super) fn act(tx: &Tx<'_>, acting: &Acting<'_>) -> Result<Told, StoreError> {
    let (mut said, mut ok) = (Vec::new(), true);
    let own = acting.by_itself.map_or(&[][..], |plan| plan.lines.as_slice());
    let asked = acting.asked.map_or(&[][..], |plan| plan.lines.as_slice());
    for line in own {
        ok &= line.hold.is_none();
        said.push(would(line));
    }
    let more: Vec<&Line> = asked.iter().filter(|line| !own.contains(line)).collect();
    if !more.is_empty() {
        let deeds: Vec<String> = more.iter().map(|line| deed(line)).collect();
        said.push(format!("A resync of this person would {}.", deeds.join(" and ")));
    }
    let (waits, over) = rows(tx, acting.known)?;
    for row in &waits {
        said.push(waiting(row));
    }
    for row in &over {
        ok = false;
        said.push(refused(row));
    }
    let parked = acting.known.and_then(|row| row.parked.as_deref()).map(remedy);
    if let (Some(remedy), true) = (&parked, over.is_empty()) {
        ok = false;
        said.push(format!("The portal refused the person: {remedy}."));
    }
    if acting.by_itself.is_none() {
        ok = false;
        said.push("What would follow is known when the organization can be read.".to_owned());
    } else if said.is_empty() {
        said.push("Nothing to do.".to_owned());
    }
    let channels = channels(tx, acting.known)?;
    said.extend(channels.iter().filter_map(in_channel));
    let silent = match acting.known {
        Some(row) if joins::is_suppressed(tx, &row.email)? => {
            said.push(format!(
                "No letter or notice goes to {}: somebody there unsubscribed.",
                row.email.as_str()
            ));
            true
        }
        _ => false,
    };
    let obstacles = obstacles(tx, acting)?;
    ok &= obstacles.is_empty();
    said.extend(obstacles.iter().map(|(_, text)| text.clone()));
    let facts = json!({
        "would": own.iter().map(shown).collect::<Vec<_>>(),
        "resync_would": asked.iter().map(shown).collect::<Vec<_>>(),
        "waiting": waits, "refused": over, "parked": parked, "channels": channels, "unsubscribed": silent,
        "held_by": obstacles.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(),
    });
    Ok(Told { step: "act", ok, text: said.join(" "), facts })
}

/// What stands before any write in the organization.
fn obstacles(tx: &Tx<'_>, acting: &Acting<'_>) -> Result<Vec<(&'static str, String)>, StoreError> {
    let (id, mut found) = (acting.host.id(), Vec::new());
    let pauses = pauses::all(tx)?;
    let holding = |pause: &&pauses::Pause| pause.organization.as_ref().is_none_or(|one| one == id);
    for paused in pauses.iter().filter(holding).map(pause::view) {
        let what = paused.organization.as_deref().unwrap_or("everything");
        let text = format!(
            "Paused: {what} since {} by {}; nothing is written until somebody resumes.",
            paused.since, paused.by
        );
        found.push(("pause", text));
    }
    if let Some(quarantine) = orgs::state(tx, id)?.quarantined {
        let what = if quarantine.wants_listing { "a listing of everybody" } else { "a read" };
        let text = format!(
            "Quarantined since {}: {}; nothing is written until {what} succeeds.",
            quarantine.since.to_rfc3339(),
            quarantine.cause
        );
        found.push(("quarantine", text));
    }
    if let Some(hold) = &acting.hold {
        found.push((hold.word(), format!("Runs over {id} are held: {}.", hold.sentence())));
    }
    for (group, until) in acting.host.locks() {
        let text = format!(
            "Zoho has locked {} until {}; calls of it wait.",
            group.as_str(),
            until.to_rfc3339()
        );
        found.push(("lock", text));
    }
    Ok(found)
}

/// Where the person stands in each channel, as the last look left it.
fn channels(tx: &Tx<'_>, known: Option<&Membership>) -> Result<Vec<Value>, StoreError> {
    let Some(row) = known else { return Ok(Vec::new()) };
    let guests = guests::of_person(tx, &row.organization, &row.crm_user_id, Some(row.id))?;
    let shown = |guest: &Guest| {
        let parked = guest.parked.as_deref().map(channel_remedy);
        json!({ "channel": guest.channel, "state": guest.state.as_str(), "parked": parked })
    };
    Ok(guests.iter().map(shown).collect())
}

/// What holds the person back in a channel, in a sentence.
fn in_channel(shown: &Value) -> Option<String> {
    let text = |key: &str| shown.get(key).and_then(Value::as_str);
    let (channel, state, why) = (text("channel")?, text("state")?, text("parked")?);
    Some(format!("In #{channel} the person is {state}, and more waits: {why}."))
}

/// Open rows about the person: those that wait, and those that were refused or given up.
fn rows(
    tx: &Tx<'_>,
    known: Option<&Membership>,
) -> Result<(Vec<ActionView>, Vec<ActionView>), StoreError> {
    let Some(row) = known else { return Ok((Vec::new(), Vec::new())) };
    let filter = Filter {
        states: vec![ActionState::Waiting, ActionState::Parked, ActionState::Dead],
        membership: Some(row.id),
        ..Filter::default()
    };
    let rows = outbox::list(tx, &filter, ROWS_MAX)?.into_iter().map(actions::view);
    Ok(rows.partition(|row| row.state == ActionState::Waiting.as_str()))
}

fn would(line: &Line) -> String {
    match &line.hold {
        None => format!("The bridge would {}.", deed(line)),
        Some(hold) => format!("Held back: to {}, because {}.", deed(line), hold.sentence()),
    }
}

fn deed(line: &Line) -> String {
    let channel = line.channel.as_deref().unwrap_or_default();
    match line.deed {
        Deed::Portal(PortalVerb::AddExternal) => "add the person through the portal".to_owned(),
        Deed::Portal(PortalVerb::RemoveExternal) => {
            "remove the person through the portal".to_owned()
        }
        Deed::Portal(PortalVerb::Restrict) => "block the person's access".to_owned(),
        Deed::Portal(PortalVerb::Restore) => "lift the block of the person's access".to_owned(),
        Deed::Portal(PortalVerb::AssignLicence) => "give the person a paid licence".to_owned(),
        Deed::Portal(PortalVerb::RevokeLicence) => "take the paid licence back".to_owned(),
        Deed::Letter => "send the invitation letter".to_owned(),
        Deed::ChannelAdd => format!("bring the person into #{channel}"),
        Deed::ChannelRemove => format!("take the person out of #{channel}"),
        Deed::NoteGone => "note that the person is gone from Cliq".to_owned(),
        Deed::NoteGoneFromChannel => format!("note that the person is gone from #{channel}"),
        Deed::RemoveByHand => "ask the administrators to remove the person".to_owned(),
        Deed::BlockByHand => "ask the administrators to block the person".to_owned(),
    }
}

fn waiting(row: &ActionView) -> String {
    let next = row.next_at.as_deref().unwrap_or("now");
    let last = match (&row.detail, row.failures) {
        (Some(detail), 1..) => format!("; {} failures, the last: {detail}", row.failures),
        _ => String::new(),
    };
    format!("{} ({}) waits in the outbox until {next}{last}.", row.id, row.operation)
}

fn refused(row: &ActionView) -> String {
    let what = row.remedy.as_deref().unwrap_or("look at its detail");
    format!("{} ({}) is {}: {what}.", row.id, row.operation, row.state)
}

fn shown(line: &Line) -> Value {
    json!({
        "operation": line.deed.as_str(), "channel": line.channel, "reason": line.reason,
        "before": line.before, "after": line.after,
        "held": line.hold.as_ref().map(Hold::sentence),
    })
}
