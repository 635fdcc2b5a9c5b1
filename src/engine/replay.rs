//! Replaying a delivery: its stored body is read once more and gives its hints again.
//!
//! That is safe at any time, since a hint says only where to look. Deliberately absent: the
//! signature, which held when it came, and a second delivery row; the first one counts its replays.

use serde::Serialize;

use super::Engine;
use super::accept::{Booking, Routed};
use crate::domain::{DeliveryId, OrgId};
use crate::engine::subscription::Refused;
use crate::logic::event::{self, Event, Shape};
use crate::store::audit::Command;
use crate::store::inbox::{self, Found, Kept};
use crate::store::outbox::Cause;

/// What a replay came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// `dlv-<number>`
    pub delivery_id: String,
    /// How many places are looked at again.
    pub hints: usize,
    /// Why some, or all, of it leads nowhere.
    pub detail: Option<String>,
}

impl Engine {
    /// Reads a stored delivery again.
    ///
    /// # Errors
    /// [`Refused::Missing`]; [`Refused::Forbidden`] when its body is forgotten, its source is not
    /// configured any more, or its source's scheme now reads other bodies.
    pub async fn replay(&self, id: DeliveryId, by: &str) -> Result<Replayed, Refused> {
        let kept = match self.inner.store.read(move |tx| inbox::kept(tx, id)).await? {
            Found::Kept(kept) => kept,
            Found::Never => return Err(Refused::Missing("delivery")),
            Found::Forgotten => {
                let why = format!(
                    "{id} is older than store.keep_days and its body is forgotten; resync the \
                     person or the organization instead"
                );
                return Err(Refused::Forbidden(why));
            }
        };
        let event = self.read_again(&kept).map_err(Refused::Forbidden)?;
        let now = self.now();
        // What came without a time is as old as its delivery: a plan that has changed since stays.
        let event_time = event.event_time.unwrap_or(kept.received_at).min(now);
        let mut to = Vec::new();
        let mut lost = Vec::new();
        for one in self.route(&kept.source, &event) {
            match one {
                Routed::To(organization, subject) => to.push((organization, subject)),
                Routed::Nowhere(why) => lost.push(why),
            }
        }
        if event.hints.is_empty() {
            lost.push(format!("events of type {:?} mean nothing to the bridge", event.event_type));
        }
        let replayed = Replayed {
            delivery_id: id.to_string(),
            hints: to.len(),
            detail: (!lost.is_empty()).then(|| lost.join("; ")),
        };
        let mut organizations: Vec<OrgId> = to.iter().map(|(id, _)| id.clone()).collect();
        organizations.dedup();
        let (engine, by, first) = (self.clone(), by.to_owned(), organizations.first().cloned());
        self.inner
            .store
            .write("replay", move |tx| {
                let booking = Booking { delivery: id, event_time, now };
                for (organization, subject) in to {
                    engine.book_subject(tx, &organization, subject, booking)?;
                }
                inbox::replayed(tx, id, now)?;
                let reason = format!("The delivery {id} was read again.");
                let command = Command {
                    organization: first.as_ref(),
                    cause: Cause { delivery: Some(id), run: None },
                    ..Command::by(&by, "replayed", &reason)
                };
                command.record(tx, now)
            })
            .await?;
        self.ring(organizations, true);
        Ok(replayed)
    }

    fn read_again(&self, kept: &Kept) -> Result<Event, String> {
        let Some(source) = self.source(&kept.source) else {
            return Err(format!("the source {} is not configured any more", kept.source));
        };
        // Bodies are kept as they came, without their content type; only Zoho Billing sends forms,
        // and none of them begins like an object.
        let form = kept.body.trim_ascii_start().first() != Some(&b'{');
        let media = form.then_some("application/x-www-form-urlencoded");
        event::read(Shape::of(&source.scheme), media, &kept.body)
            .map_err(|why| format!("the source {} does not read this body: {why}", kept.source))
    }
}
