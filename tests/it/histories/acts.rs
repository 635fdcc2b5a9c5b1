//! What happens to people: acts of CRM Plus's administrator, of Cliq's, and of the person.
//!
//! Deliberately absent: the bridge. These acts are done to the sandbox, which answers for them.

use serde_json::{Value, json};

use super::super::support::Bridge;
use super::dice::Dice;
use super::look::Cliq;
use super::people::{ORGANIZATIONS, Person, Row, Temper, Town};
use super::watch::Key;

/// Words for "not active" (contract section 3.1; any case).
const OFF: [&str; 5] = ["disabled", "inactive", "closed", "Disabled", "INACTIVE"];

/// Words that say nothing.
const ODD: [&str; 2] = ["paused", ""];

/// One act, in one organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// CRM gets the person, or has them again under a new id.
    Add,
    /// CRM loses the person for good.
    Delete,
    /// CRM's status becomes this word.
    Status(&'static str),
    /// CRM shows another address.
    Rename,
    /// CRM shows the same address in capitals.
    Shout,
    /// CRM shows what is left of a deleted address.
    Tombstone,
    /// CRM shows the account's own address again.
    NameBack,
    /// The person confirms CRM Plus's own invitation.
    Confirm,
    /// A regular user or not.
    Category(bool),
    /// Something that is nobody's business.
    Profile,
    /// The person answers.
    Accept,
    /// The person answers.
    Decline,
    /// An administrator of Cliq blocks, by hand.
    Restrict,
    /// An administrator of Cliq unblocks, by hand.
    Activate,
    /// An administrator of Cliq takes out, by hand.
    Remove,
    /// The person makes a Zoho account.
    SignUp,
    /// The person becomes one of the organization's own.
    MoveIn,
    /// The person's home is elsewhere from now on.
    MoveOut,
}

/// An event that CRM Plus would post.
#[derive(Clone, Debug)]
pub struct Event {
    pub place: usize,
    pub kind: &'static str,
    pub user: String,
}

/// What may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// Everything.
    All,
    /// What CRM's administrator does; depends on nothing but earlier acts.
    CrmOnly,
}

/// An act that is possible for the person now.
pub fn choose(
    dice: &mut Dice,
    (number, person): (usize, &Person),
    cliq: &Cliq,
    range: Range,
) -> Option<(usize, Act)> {
    let place = match person.places.iter().position(|place| place.row.is_some()) {
        // Most people have one organization; some come to have both.
        Some(place) if dice.percent(90) => place,
        Some(place) => 1 - place,
        None => person.first,
    };
    let mut some = of_crm(dice, person, place);
    match range {
        Range::All => some.extend(by_hand(person, (place, number), cliq)),
        // Two addresses in two organizations wait for somebody to look (G9), and when that is told
        // depends on when it is seen.
        Range::CrmOnly if person.places[1 - place].listed => some.retain(|(_, act)| {
            !matches!(act, Act::Rename | Act::Tombstone)
                && (*act != Act::Add || person.renames == 0)
        }),
        Range::CrmOnly => {}
    }
    dice.weighted(&some).map(|act| (place, act))
}

fn of_crm(dice: &mut Dice, person: &Person, place: usize) -> Vec<(usize, Act)> {
    // CRM lists an organization's own people too, and nothing more is done to them there.
    if person.home == Some(place) && person.places[place].row.is_some() {
        return vec![(3, Act::Profile), (1, Act::Delete)];
    }
    let Some(row) = &person.places[place].row else { return vec![(20, Act::Add)] };
    let mut some = vec![(5, Act::Delete), (2, Act::Profile), (2, Act::Shout), (1, Act::Tombstone)];
    if row.status == "active" {
        some.extend([(5, Act::Status(dice.of(&OFF))), (1, Act::Status(dice.of(&ODD)))]);
    } else {
        some.push((9, Act::Status("active")));
    }
    if !row.confirmed {
        some.push((9, Act::Confirm));
    }
    some.push(if row.regular { (1, Act::Category(false)) } else { (5, Act::Category(true)) });
    some.push((3, Act::Rename));
    if row.email != person.email {
        some.push((3, Act::NameBack));
    }
    some
}

fn by_hand(person: &Person, key: Key, cliq: &Cliq) -> Vec<(usize, Act)> {
    let mut some = vec![(1, Act::SignUp)];
    match person.home {
        Some(home) if home == key.0 => some.push((1, Act::MoveOut)),
        Some(_) => {}
        None => some.push((1, Act::MoveIn)),
    }
    let Some(status) = cliq.status(key) else { return some };
    match status {
        "pending" => some.extend([(5, Act::Accept), (2, Act::Decline)]),
        "active" => some.push((2, Act::Restrict)),
        _ => some.push((2, Act::Activate)),
    }
    some.push((1, Act::Remove));
    some
}

/// What the person does with an invitation that is open.
pub fn answer(person: &Person, key: Key, cliq: &Cliq) -> Option<Act> {
    match (cliq.status(key)?, person.temper) {
        ("pending", Temper::Eager) => Some(Act::Accept),
        ("pending", Temper::Refuser) => Some(Act::Decline),
        _ => None,
    }
}

/// Acts that leave a row as every organization has it, so that two tellings can be compared.
pub fn heal(person: &Person, place: usize) -> Vec<Act> {
    let Some(row) = &person.places[place].row else { return Vec::new() };
    let mut acts = Vec::new();
    if row.email != person.email {
        acts.push(Act::NameBack);
    }
    if !row.confirmed {
        acts.push(Act::Confirm);
    }
    if !row.regular {
        acts.push(Act::Category(true));
    }
    if row.status != "active" {
        acts.push(Act::Status("active"));
    }
    acts
}

/// Does it; answers the event that CRM Plus posts of it.
pub async fn perform(
    bridge: &Bridge,
    dice: &mut Dice,
    town: &mut Town,
    (number, place, act): (usize, usize, Act),
) -> Option<Event> {
    let organization = ORGANIZATIONS[place];
    let person = &mut town.people[number];
    let email = person.email.clone();
    let member = format!("/organizations/{organization}/members/{email}");
    let by_hand = match act {
        Act::Accept => Some("accept"),
        Act::Decline => Some("decline"),
        Act::Restrict => Some("restrict"),
        Act::Activate => Some("activate"),
        Act::Remove => Some("remove"),
        _ => None,
    };
    if let Some(word) = by_hand {
        bridge.act(&format!("{member}/{word}"), &Value::Null).await;
        person.account |= act == Act::Accept;
        person.places[place].let_in |= act == Act::Activate;
        return None;
    }
    match act {
        Act::SignUp => {
            bridge.act(&format!("/people/{email}/sign-up"), &Value::Null).await;
            person.account = true;
            None
        }
        Act::MoveIn | Act::MoveOut => {
            let home = if act == Act::MoveIn { organization } else { "elsewhere" };
            bridge.patch(&format!("/people/{email}"), &json!({ "home": home })).await;
            person.home = (act == Act::MoveIn).then_some(place);
            (person.account, person.moved) = (true, true);
            // Whatever was there before is gone with the move.
            person.places[place].theirs &= act == Act::MoveOut;
            None
        }
        Act::Add => Some(add(bridge, dice, person, place).await),
        Act::Delete => {
            let id = person.places[place].row.take()?.id;
            bridge.delete(&format!("/organizations/{organization}/crm-users/{id}")).await;
            Some(Event { place, kind: "user.removed", user: id })
        }
        _ => change(bridge, town, (number, place, act)).await,
    }
}

async fn add(bridge: &Bridge, dice: &mut Dice, person: &mut Person, place: usize) -> Event {
    let confirmed = dice.percent(85);
    let body = json!({ "email": person.email, "confirm": confirmed });
    let id = bridge.add_with(ORGANIZATIONS[place], body).await;
    let slot = &mut person.places[place];
    slot.listed = true;
    slot.row = Some(Row {
        id: id.clone(),
        email: person.email.clone(),
        status: "active",
        confirmed,
        regular: true,
    });
    Event { place, kind: "user.added", user: id }
}

async fn change(
    bridge: &Bridge,
    town: &mut Town,
    (number, place, act): (usize, usize, Act),
) -> Option<Event> {
    let person = &mut town.people[number];
    let row = person.places[place].row.as_mut()?;
    let renames = &mut person.renames;
    let (patch, kind) = match act {
        Act::Status(word) => {
            row.status = word;
            let kind = match word {
                "active" => "user.activated",
                "paused" | "" => "user.updated",
                _ => "user.deactivated",
            };
            (json!({ "status": word }), kind)
        }
        Act::Rename | Act::Shout | Act::Tombstone | Act::NameBack => {
            *renames += 1;
            row.email = match act {
                Act::Rename => format!("p{number}-{renames}@partner.example"),
                Act::Shout => row.email.to_uppercase(),
                Act::Tombstone => format!("{} (deleted {renames})", person.email),
                _ => person.email.clone(),
            };
            (json!({ "email": row.email }), "user.updated")
        }
        Act::Confirm => {
            row.confirmed = true;
            (json!({ "confirm": true }), "user.activated")
        }
        Act::Category(regular) => {
            row.regular = regular;
            let word = if regular { "regular_user" } else { "portal_user" };
            (json!({ "category": word }), "user.updated")
        }
        _ => (json!({ "profile": "Partner" }), "user.updated"),
    };
    let (id, address) = (row.id.clone(), row.email.clone());
    town.note(number, &address);
    bridge.patch(&format!("/organizations/{}/crm-users/{id}", ORGANIZATIONS[place]), &patch).await;
    Some(Event { place, kind, user: id })
}
