//! The second of two keys: whoever is to be taken out of a channel is read once more, right before the
//! call (R29).
//!
//! Deliberately absent: the first key, which is the plan; and the call itself.

use std::collections::{BTreeMap, BTreeSet};

use super::batch::{Call, Candidate};
use super::settle::GuestNote;
use super::unread::{Side, Unread, is_of_one};
use crate::domain::channel::Guest;
use crate::domain::{ActionId, Class, CliqId, CliqUser, Directory, Timestamp};
use crate::engine::{Engine, Host};
use crate::logic::channels::{GuestVerdict, NOT_EXTERNAL, NOT_IN_CLIQ};
use crate::logic::plan::classify;
use crate::store::outbox;
use crate::store::{StoreError, Tx, guests, orgs, runs};
use crate::zoho::{CallError, Priority};

/// Pages of a listing of everybody, where none was made yet.
const UNKNOWN_PAGES: u32 = 8;

impl Engine {
    /// The second of two keys: a fresh read that says External, for each person who is to be taken out
    /// (R29). Whoever cannot be asked about waits alone. Whoever never was in this Cliq is a guest from elsewhere, and needs no row there.
    pub(super) async fn second_keys(
        &self,
        host: &Host,
        call: &mut Call,
    ) -> Result<Result<(), Unread>, StoreError> {
        let (mut refused, mut unread) = (BTreeMap::new(), BTreeMap::new());
        let id = host.id().clone();
        let pages = self.inner.store.read(move |tx| orgs::state(tx, &id)).await?.cliq_pages;
        let pages = usize::try_from(pages.unwrap_or(UNKNOWN_PAGES)).unwrap_or(usize::MAX);
        // One by one, as long as that takes no more calls than a listing.
        let directory = if call.people.len() > pages {
            match host.cliq.directory(host.passes(), Priority::Webhook).await {
                Ok(directory) => Some(directory),
                Err(error) => return Ok(Err(Unread { side: Side::Cliq, error, at: None })),
            }
        } else {
            None
        };
        for one in &call.people {
            let rows = match &directory {
                Some(directory) => listed(directory, one),
                None => match read_rows(host, one).await {
                    Ok(rows) => rows,
                    Err(error) if is_of_one(&error) => {
                        unread.insert(one.action, error);
                        continue;
                    }
                    Err(error) => {
                        let at = Some(one.action);
                        return Ok(Err(Unread { side: Side::Cliq, error, at }));
                    }
                },
            };
            if let Err(code) = is_external(host, one, &rows) {
                refused.insert(one.action, code);
            }
        }
        for (action, error) in unread {
            let (out, go): (Vec<_>, Vec<_>) =
                std::mem::take(&mut call.people).into_iter().partition(|one| one.action == action);
            call.people = go;
            for one in out {
                let unread = Unread { side: Side::Cliq, error: error.clone(), at: None };
                self.delay_one(host, &call.channel, (one.action, one.guest), unread).await?;
            }
        }
        self.leave_alone(call, refused).await?;
        Ok(Ok(()))
    }

    /// Takes those out of the call whom Cliq does not show as external, and writes it down.
    async fn leave_alone(
        &self,
        call: &mut Call,
        refused: BTreeMap<ActionId, &'static str>,
    ) -> Result<(), StoreError> {
        if refused.is_empty() {
            return Ok(());
        }
        let (out, go): (Vec<_>, Vec<_>) = std::mem::take(&mut call.people)
            .into_iter()
            .partition(|one| refused.contains_key(&one.action));
        call.people = go;
        let now = self.now();
        self.inner
            .store
            .write("not external", move |tx| {
                for one in &out {
                    let code = refused.get(&one.action).copied().unwrap_or(NOT_EXTERNAL);
                    refuse_removal(tx, one, code, now)?;
                }
                runs::finish_applied(tx, now).map(|_| ())
            })
            .await
    }
}

/// The rows of a complete directory that can be the person.
fn listed(directory: &Directory, one: &Candidate) -> Vec<CliqUser> {
    let ids = [&one.member_of, &one.id];
    let by_id = ids.into_iter().flatten().filter_map(|id| directory.get(id));
    let by_email = one.email.iter().flat_map(|email| directory.by_email(email));
    by_id.chain(by_email).cloned().collect()
}

/// Whether every row of the person says External; else why they are left alone. No row at all is
/// somebody from elsewhere, unless the ledger says that they are in this Cliq: then the mark was lost
/// between plan and call.
fn is_external(host: &Host, one: &Candidate, rows: &[CliqUser]) -> Result<(), &'static str> {
    if rows.is_empty() && one.is_here {
        return Err(NOT_IN_CLIQ);
    }
    let external = rows.iter().all(|row| classify(&host.policy, row) == Class::External);
    if external { Ok(()) } else { Err(NOT_EXTERNAL) }
}

async fn read_rows(host: &Host, one: &Candidate) -> Result<Vec<CliqUser>, CallError> {
    let mut rows = Vec::new();
    let ids: BTreeSet<&CliqId> = one.member_of.iter().chain(&one.id).collect();
    for id in &ids {
        rows.extend(host.cliq.user(id.as_str()).await?);
    }
    if ids.is_empty()
        && let Some(email) = &one.email
    {
        rows.extend(host.cliq.search(email).await?);
    }
    Ok(rows)
}

/// Cliq does not show the person as external: left alone, and written down.
fn refuse_removal(
    tx: &Tx<'_>,
    one: &Candidate,
    code: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let verdict = GuestVerdict::Parked(code.to_owned());
    if let Some(before) = guests::get(tx, one.guest)? {
        let after = Guest { parked: Some(code.to_owned()), ..before.clone() };
        guests::put(tx, &after)?;
        let note = GuestNote {
            before: Some(&before),
            after: &after,
            event: verdict.word(),
            reason: "Not taken out of the channel: Cliq does not show the person as external (R29).",
            by_operator: false,
            cause: outbox::cause(tx, one.action)?,
        };
        note.record(tx, now)?;
    }
    outbox::drop_batch(tx, &[one.action], &verdict.sentence(), now)
}
