//! The daily digest of one organization (`schedule.digest`): one notice to its administrators with
//! what happened since the last, and none when nothing did.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::{Engine, Host, remedy};
use crate::domain::{State, Timestamp};
use crate::logic::channels::remedy as channel_remedy;
use crate::logic::digest::{Digest, Part, conflict};
use crate::store::digest::{self as rows, Line};
use crate::store::outbox::Cause;
use crate::store::{StoreError, Tx};

/// What the first digest looks back on.
const FIRST: Duration = Duration::from_hours(24);

impl Engine {
    /// Tells the administrators what happened since the last digest, if anything did.
    pub(super) async fn digest(&self, host: &Host) -> Result<(), StoreError> {
        let (engine, id, now) = (self.clone(), host.id().clone(), self.now());
        self.inner
            .store
            .write("digest", move |tx| {
                let Some(host) = engine.host(&id) else { return Ok(()) };
                let from = rows::told_until(tx, &id)?.unwrap_or(now - FIRST);
                if let Some(notice) = engine.gather(tx, host, from, now)?.notice() {
                    engine.tell_admins(tx, &id, &notice, Cause::default(), now)?;
                }
                rows::note_told(tx, &id, now)
            })
            .await?;
        self.wake_outbox(host.id());
        Ok(())
    }

    fn gather(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Digest, StoreError> {
        let id = host.id();
        let entered = |state| rows::entered(tx, id, state, from).map(|lines| people(&lines));
        let refused = rows::parked(tx, id)?
            .into_iter()
            .map(|line| format!("{}: {}", person(&line), remedy(&line.about)));
        let guests = rows::parked_guests(tx, id)?.into_iter().map(|line| {
            let Line { name: channel, email, about } = line;
            format!("{email} in #{channel}: {}", channel_remedy(&about))
        });
        let conflicts = rows::conflicts(tx, id)?;
        Ok(Digest {
            organization: host.settings.name.clone(),
            from: self.local(from),
            until: self.local(until),
            joined: entered(State::Joined)?,
            declined: entered(State::Declined)?,
            expired: entered(State::Expired)?,
            left: entered(State::Left)?,
            renamed: Part::of(
                rows::renamed(tx, id)?
                    .into_iter()
                    .map(|line| format!("{}, invited as {}", person(&line), line.about)),
            ),
            held: held(rows::held_run(tx, id)?),
            parked: Part::of(refused.chain(guests)),
            conflicts: Part::of(
                conflicts.iter().map(|(kind, one, other)| conflict(kind, one, other)),
            ),
            strangers: Part::of(
                rows::strangers(tx, id, from)?
                    .into_iter()
                    .map(|line| format!("{} in #{}", line.email, line.about)),
            ),
            outside_policy: rows::outside_policy(tx, id)?,
        })
    }

    /// A time as the administrators read it, in `schedule.time_zone`.
    fn local(&self, at: Timestamp) -> String {
        let zone = self.inner.settings.schedule.time_zone;
        at.to_utc().with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string()
    }
}

fn people(lines: &[Line]) -> Part {
    Part::of(lines.iter().map(person))
}

fn person(line: &Line) -> String {
    if line.name.is_empty() {
        return line.email.clone();
    }
    format!("{} <{}>", line.name, line.email)
}

/// The reasons for which the newest run holds people, each with how many.
fn held(run: Option<(i64, String)>) -> Part {
    let Some((id, text)) = run else { return Part::default() };
    let lines: Vec<Value> = serde_json::from_str(&text).unwrap_or_default();
    let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
    for line in &lines {
        let reason = line["reason"].as_str().unwrap_or_default().to_owned();
        *reasons.entry(reason).or_default() += line["people"].as_u64().unwrap_or(1);
    }
    Part::of(reasons.into_iter().map(|(reason, people)| format!("run-{id}: {reason} ({people})")))
}
