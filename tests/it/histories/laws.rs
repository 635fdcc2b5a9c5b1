//! Laws about the end of a story, over everybody in it.
//!
//! Deliberately absent: laws that a single entry of the journal can break; those are in `watch`.

use std::collections::BTreeSet;
use std::time::Duration;

use super::look::Cliq;
use super::people::{ORGANIZATIONS, Town};
use super::watch::{Key, Watch};

/// (3) Our mails about an organization to a person: 1 + k for each fresh start.
pub fn mails_are_bounded(
    watch: &Watch,
    town: &Town,
    reminders: usize,
) -> Result<(), (Key, String)> {
    for (key, ids) in &watch.mails {
        let found = usize::from(town.people[key.1].places[key.0].planted);
        let starts = watch.starts.get(key).copied().unwrap_or_default() + found;
        if ids.len() > (1 + reminders) * starts {
            return Err((*key, format!("(3) {} mails for {starts} fresh starts", ids.len())));
        }
    }
    Ok(())
}

/// (2) In any window no more people lose access than the guard allows.
pub fn losses_are_bounded(watch: &Watch, window: Duration, most: usize) -> Result<(), String> {
    for (place, name) in ORGANIZATIONS.iter().enumerate() {
        let here: Vec<_> = watch.losses.iter().filter(|loss| loss.key.0 == place).collect();
        for (index, last) in here.iter().enumerate() {
            let within = here[..=index].iter().filter(|loss| last.at.since(loss.at) < window);
            let people: BTreeSet<_> = within.map(|loss| loss.key.1).collect();
            if people.len() > most {
                return Err(format!(
                    "(2) {} people of {name} within {window:?} until {}; at most {most}",
                    people.len(),
                    last.at
                ));
            }
        }
    }
    Ok(())
}

/// When nothing is held back any more: whoever CRM does not have is in no Cliq by our doing, and
/// whoever it blocks has no access.
pub fn nobody_stays_behind(watch: &Watch, town: &Town, cliq: &Cliq) -> Result<(), (Key, String)> {
    for (number, person) in town.people.iter().enumerate() {
        for (at, place) in person.places.iter().enumerate() {
            // One person with two addresses in two organizations: held until somebody looks (G9).
            let held = person.renames > 0 && person.places.iter().all(|place| place.listed);
            let ours = watch.starts.contains_key(&(at, number)) && !place.theirs && !held;
            let Some(status) = cliq.status((at, number)).filter(|_| ours) else { continue };
            let stays = match &place.row {
                None => true,
                Some(row) => {
                    let off = !matches!(row.status, "active" | "paused" | "");
                    // An open invitation gives no access; whoever accepts it is restricted then (I21).
                    off && !matches!(status, "inactive" | "pending") && !place.let_in
                }
            };
            if stays {
                return Err(((at, number), format!("left in Cliq, {status}, and CRM says no")));
            }
        }
    }
    Ok(())
}
