//! The seal of a plan: its canonical form, the checksum over it, and what no plan may contain.
//!
//! Whatever differs between two looks at the same world is no part of it: times, runs, names, and
//! whether the guard holds a line, which depends on the window. Deliberately absent: making plans.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::domain::PortalVerb;
use crate::domain::plan::{Deed, Line, SNAPSHOT_BYTES};
use crate::domain::{CrmUserId, OrgId};

/// Bytes of a line's print: half a SHA-256, enough that no two lines of any plan meet.
pub const PRINT_BYTES: usize = 16;

/// A line's print, by which it is found again in a later plan.
pub type Print = [u8; PRINT_BYTES];

/// JSON with sorted keys and no white space.
pub fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            let inner: Vec<String> = sorted
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::String(key.clone()), canonical(value)))
                .collect();
            format!("{{{}}}", inner.join(","))
        }
        Value::Array(items) => {
            let inner: Vec<String> = items.iter().map(canonical).collect();
            format!("[{}]", inner.join(","))
        }
        other => other.to_string(),
    }
}

/// SHA-256 of a text, lower-case hex.
pub fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

fn sealed(line: &Line) -> String {
    let mut map = Map::new();
    map.insert("crm_user_id".to_owned(), line.crm_user_id.as_str().into());
    map.insert("email".to_owned(), line.email.as_str().into());
    map.insert("operation".to_owned(), line.deed.as_str().into());
    map.insert("channel".to_owned(), json!(line.channel));
    map.insert("reason".to_owned(), line.reason.as_str().into());
    map.insert("before".to_owned(), json!(line.before));
    map.insert("after".to_owned(), json!(line.after));
    canonical(&Value::Object(map))
}

/// The checksum of a plan with these lines, which are in the plan's order, made under this scope: the
/// same lines under another one are another plan.
pub fn checksum<'a>(
    organization: &OrgId,
    scope: &str,
    lines: impl Iterator<Item = &'a Line>,
) -> String {
    // Hashed as it is written: a plan for a hundred thousand people is no text in memory.
    let mut hash = Sha256::new();
    hash.update(b"{\"actions\":[");
    for (number, line) in lines.enumerate() {
        if number > 0 {
            hash.update(b",");
        }
        hash.update(sealed(line).as_bytes());
    }
    let (name, scope) = (Value::from(organization.as_str()), Value::from(scope));
    hash.update(format!("],\"organization\":{name},\"scope\":{scope}}}").as_bytes());
    hex::encode(hash.finalize())
}

/// The checksum over the plans of several organizations: of their own, in order.
pub fn over_all<'a>(checksums: impl Iterator<Item = &'a str>) -> String {
    let list: Vec<Value> = checksums.map(Value::from).collect();
    digest(&canonical(&Value::from(list)))
}

/// The print of a listing: of the ids and addresses of its rows, and of how many there are.
pub fn listing<'a>(rows: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> [u8; SNAPSHOT_BYTES] {
    let (mut hash, mut count) = (Sha256::new(), 0_u64);
    for (id, email) in rows {
        // Neither can hold a line break.
        for text in [id, email.unwrap_or_default()] {
            hash.update(text.as_bytes());
            hash.update(b"\n");
        }
        count += 1;
    }
    hash.update(count.to_be_bytes());
    let mut print = [0; SNAPSHOT_BYTES];
    for (to, from) in print.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    print
}

/// The print of one line.
pub fn print(line: &Line) -> Print {
    let digest = Sha256::digest(sealed(line).as_bytes());
    let mut print = [0; PRINT_BYTES];
    for (to, from) in print.iter_mut().zip(digest) {
        *to = from;
    }
    print
}

/// Where somebody is brought into or taken out of: the person by id, or by address, and the channel,
/// none for the organization itself.
type Place<'a> = (Result<&'a CrmUserId, &'a str>, Option<&'a str>);

/// Whom no plan may touch, each with the reason: they, or whoever has their address, would be both
/// brought in and taken out, of the organization or of one channel (I26).
pub fn contradictions<'a>(
    lines: impl Iterator<Item = &'a Line>,
) -> BTreeMap<&'a CrmUserId, String> {
    let mut places: BTreeMap<Place<'_>, [BTreeSet<&CrmUserId>; 2]> = BTreeMap::new();
    for line in lines {
        let Some(brings) = brings(line.deed) else { continue };
        let by_address = Some(Err(line.email.as_str())).filter(|_| !line.email.is_empty());
        for person in [Some(Ok(&line.crm_user_id)), by_address].into_iter().flatten() {
            let [taken, brought] = places.entry((person, line.channel.as_deref())).or_default();
            (if brings { brought } else { taken }).insert(&line.crm_user_id);
        }
    }
    let mut found = BTreeMap::new();
    for ((person, channel), [taken, brought]) in &places {
        if !taken.is_empty() && !brought.is_empty() {
            let why = sentence(*person, *channel, taken, brought);
            for user in taken.union(brought) {
                found.entry(*user).or_insert_with(|| why.clone());
            }
        }
    }
    found
}

/// Whether it brings somebody in, or takes them out.
fn brings(deed: Deed) -> Option<bool> {
    match deed {
        Deed::Portal(PortalVerb::AddExternal | PortalVerb::Restore) | Deed::ChannelAdd => {
            Some(true)
        }
        Deed::Portal(PortalVerb::RemoveExternal | PortalVerb::Restrict)
        | Deed::ChannelRemove
        | Deed::RemoveByHand
        | Deed::BlockByHand => Some(false),
        Deed::Portal(PortalVerb::AssignLicence | PortalVerb::RevokeLicence)
        | Deed::Letter
        | Deed::NoteGone
        | Deed::NoteGoneFromChannel => None,
    }
}

fn sentence(
    person: Result<&CrmUserId, &str>,
    channel: Option<&str>,
    taken: &BTreeSet<&CrmUserId>,
    brought: &BTreeSet<&CrmUserId>,
) -> String {
    let place = channel.map_or("the organization".to_owned(), |channel| format!("#{channel}"));
    let all = |users: &BTreeSet<&CrmUserId>| {
        let names: Vec<&str> = users.iter().map(|user| user.as_str()).collect();
        names.join(", ")
    };
    match person {
        Ok(user) => format!(
            "CRM user {user} would be both brought into {place} and taken out of it; nothing is \
             done for the person. Look at the row in CRM, then resync"
        ),
        Err(email) => format!(
            "{email} would be taken out of {place} for CRM user {} and brought into it for CRM user \
             {}; nothing is done for either. Correct the address of one of them in CRM, or delete \
             the row that is not meant, then resync",
            all(taken),
            all(brought)
        ),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof, proptest};
    use proptest::sample::Index;
    use serde_json::json;

    use super::{canonical, checksum, contradictions, print};
    use crate::domain::plan::{Deed, Hold, Line, Plan};
    use crate::domain::{CrmUserId, OrgId, PortalVerb};

    fn line(id: &str, deed: Deed, channel: Option<&str>) -> Line {
        Line {
            crm_user_id: CrmUserId::from(id),
            email: format!("{id}@partner.example"),
            name: String::new(),
            deed,
            channel: channel.map(str::to_owned),
            reason: "why".to_owned(),
            before: None,
            after: Some("invited".to_owned()),
            hold: None,
        }
    }

    fn birch() -> OrgId {
        OrgId::from("birch")
    }

    #[test]
    fn canonical_json_sorts_keys_at_every_depth_and_has_no_white_space() {
        let value = json!({ "b": [1, { "z": null, "a": "x\"\n" }], "a": true });
        assert_eq!(canonical(&value), r#"{"a":true,"b":[1,{"a":"x\"\n","z":null}]}"#);
    }

    #[test]
    fn the_checksum_is_over_organization_scope_and_lines_in_the_canonical_form() {
        let one = line("1", Deed::Portal(PortalVerb::AddExternal), None);
        let text = concat!(
            r#"{"actions":[{"after":"invited","before":null,"channel":null,"crm_user_id":"1","#,
            r#""email":"1@partner.example","operation":"add_external","reason":"why"}],"#,
            r#""organization":"birch","scope":"5c09"}"#
        );
        assert_eq!(checksum(&birch(), "5c09", [one.clone()].iter()), super::digest(text));
        assert_eq!(
            checksum(&birch(), "", [].iter()),
            super::digest(r#"{"actions":[],"organization":"birch","scope":""}"#)
        );
        let acme = OrgId::from("acme");
        assert_ne!(checksum(&birch(), "", [].iter()), checksum(&acme, "", [].iter()));
        let other = checksum(&birch(), "5c0a", [one.clone()].iter());
        assert_ne!(checksum(&birch(), "5c09", [one].iter()), other);
    }

    #[test]
    fn names_and_holds_are_no_part_of_it() {
        let plain = line("1", Deed::Portal(PortalVerb::Restrict), None);
        let held = Line { hold: Some(Hold::Guard("6 of 50".to_owned())), ..plain.clone() };
        let named = Line { name: "Ada".to_owned(), ..plain.clone() };
        assert_eq!((print(&plain), print(&plain)), (print(&held), print(&named)));
    }

    /// Who is contradicted, each with the reason.
    fn torn(lines: &[Line]) -> Vec<(String, String)> {
        let found = contradictions(lines.iter());
        found.into_iter().map(|(user, why)| (user.to_string(), why)).collect()
    }

    #[test]
    fn i26_bringing_in_and_taking_out_at_once_names_who_is_concerned_and_nobody_else() {
        let add = Deed::Portal(PortalVerb::AddExternal);
        let remove = Deed::Portal(PortalVerb::RemoveExternal);
        assert_eq!(torn(&[line("1", add, None), line("2", remove, None)]), []);
        let found = torn(&[line("1", add, None), line("1", remove, None), line("2", add, None)]);
        assert!(matches!(found.as_slice(), [(one, why)] if one == "1" && why.contains("user 1")));
        let out =
            [line("1", Deed::ChannelAdd, Some("a")), line("1", Deed::ChannelRemove, Some("b"))];
        assert_eq!(torn(&out), []);
        let out =
            [line("1", Deed::ChannelAdd, Some("a")), line("1", Deed::ChannelRemove, Some("a"))];
        assert!(torn(&out)[0].1.contains("#a"));
        // Under another CRM id, but the same address.
        let again = Line { email: "1@partner.example".to_owned(), ..line("2", add, None) };
        let found = torn(&[line("1", remove, None), again, line("3", add, None)]);
        let names: Vec<&str> = found.iter().map(|(user, _)| user.as_str()).collect();
        assert_eq!(names, ["1", "2"]);
        assert!(found[0].1.contains("for CRM user 1 and brought into it for CRM user 2"));
        // Two rows without any address are not one person.
        let unknown = |id, deed| Line { email: String::new(), ..line(id, deed, None) };
        assert_eq!(torn(&[unknown("1", add), unknown("2", remove)]), []);
    }

    fn lines() -> impl Strategy<Value = Vec<Line>> {
        let deed = prop_oneof![
            Just((Deed::Portal(PortalVerb::AddExternal), None)),
            Just((Deed::Portal(PortalVerb::Restrict), None)),
            Just((Deed::ChannelAdd, Some("ext"))),
            Just((Deed::ChannelRemove, Some("ops"))),
            Just((Deed::NoteGone, None)),
        ];
        let one = (0_u32..40, deed)
            .prop_map(|(id, (deed, channel))| line(&id.to_string(), deed, channel));
        proptest::collection::vec(one, 0..30)
    }

    proptest! {
        #[test]
        fn the_checksum_does_not_know_the_order_of_rows(
            lines in lines(), swaps in proptest::collection::vec(any::<(Index, Index)>(), 0..30)
        ) {
            let mut sorted = lines.clone();
            Plan::sort(&mut sorted);
            let mut shuffled = lines;
            if !shuffled.is_empty() {
                for (one, other) in swaps {
                    let length = shuffled.len();
                    shuffled.swap(one.index(length), other.index(length));
                }
            }
            Plan::sort(&mut shuffled);
            let of = |lines: &[Line]| checksum(&birch(), "", lines.iter());
            prop_assert_eq!(of(&sorted), of(&shuffled));
        }
    }
}
