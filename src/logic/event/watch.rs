//! A CRM watch's notification (contract section 3.3): a module, an operation and ids, no more.
//!
//! Such a body carries no signature. It echoes the token that the bridge registered, which the
//! engine compares; until then nothing here is believed. Deliberately absent: the records
//! themselves. Ids of module `Users` are looked up; of any other module nobody can tell what it
//! means for a user, so it is worth one complete listing.

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Event, Malformed, NAME_MAX, name, plain_user_id, text};
use crate::domain::delivery::OrgRef;
use crate::domain::{Hint, HintKind, Subject, Timestamp};

/// Largest notification, bytes; ids and names take a tenth of it.
const BODY_MAX: usize = 64 * 1024;

/// More users than this in one notification are served by a listing at once.
const USERS_MAX: usize = 100;

/// Longest channel number and token that are compared.
const ECHO_MAX: usize = 100;

/// What a notification brings to prove itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Echo {
    /// The channel's number.
    pub channel: String,
    /// The token, as the sender claims it.
    pub token: String,
}

impl Echo {
    /// Reads the proof of a body that has the form of a notification; `None` for every other one.
    pub fn of(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Claim {
            channel_id: Value,
            #[serde(default)]
            token: Value,
            #[serde(default)]
            event_type: Option<Value>,
        }
        if body.len() > BODY_MAX {
            return None;
        }
        let claim: Claim = serde_json::from_slice(body).ok()?;
        if claim.event_type.is_some() {
            return None;
        }
        let plain = |value: Value| match value {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let short = |text: &String| text.len() <= ECHO_MAX;
        Some(Self {
            channel: plain(claim.channel_id).filter(short)?,
            token: plain(claim.token).filter(short).unwrap_or_default(),
        })
    }
}

/// Whether the body is a notification and not one of the bridge's own events.
pub(super) fn is(body: &Value) -> bool {
    body.get("event_type").is_none() && body.get("channel_id").is_some()
}

/// Reads a notification.
pub(super) fn read(body: &Value) -> Result<Event, Malformed> {
    let word = |key: &str, field| name(body, key, field)?.ok_or(Malformed::Field(field));
    let channel = word("/channel_id", "channel_id")?;
    let module = word("/module", "module")?;
    let operation = word("/operation", "operation")?;
    let kind = if operation == "delete" { HintKind::Leaving } else { HintKind::Present };
    let rows = body.get("ids").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let subjects = if module == "Users" && !rows.is_empty() && rows.len() <= USERS_MAX {
        let user = |row: &Value| {
            let id = plain_user_id(text(row, "").as_deref(), "ids")?;
            Ok(Subject::User { id, kind })
        };
        rows.iter().map(user).collect::<Result<Vec<_>, _>>()?
    } else {
        vec![Subject::Everybody]
    };
    let organization = OrgRef::WatchChannel(channel);
    let hints =
        subjects.into_iter().map(|subject| Hint { organization: organization.clone(), subject });
    let event_type = format!("{module}.{operation}");
    if event_type.len() > NAME_MAX {
        return Err(Malformed::Field("module"));
    }
    Ok(Event {
        event_id: None,
        event_type,
        event_time: text(body, "/server_time").and_then(|time| time.parse().ok()).map(Timestamp),
        hints: hints.collect(),
    })
}

/// What two deliveries of one notification share: channel, module, ids, operation and server time
/// (design section 11, "Inbox and outbox"). Without a time there is only the body to go by.
pub fn digest(body: &[u8]) -> [u8; 32] {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let mut hash = Sha256::new();
    if value.get("server_time").is_none() {
        return hash.chain_update(body).finalize().into();
    }
    for key in ["channel_id", "module", "ids", "operation", "server_time"] {
        let part = value.get(key).map(Value::to_string).unwrap_or_default();
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::super::{Event, Malformed, Shape, read};
    use super::{Echo, digest};
    use crate::domain::delivery::OrgRef;
    use crate::domain::{CrmUserId, HintKind, Subject, Timestamp};

    /// The contract's callback of one module, operation and list of ids.
    fn body(module: &str, operation: &str, ids: &str, time: &str) -> String {
        format!(
            r#"{{"server_time":{time},"query_params":{{}},"module":"{module}","resource_uri":"u",
            "ids":{ids},"affected_fields":[],"operation":"{operation}","channel_id":"1001",
            "token":"t"}}"#
        )
    }

    fn event(body: &str) -> Result<Event, Malformed> {
        read(Shape::NativeOrWatch, Some("application/json"), body.as_bytes())
    }

    #[test]
    fn users_are_looked_up_and_anything_else_is_worth_a_listing() {
        let told = event(&body("Users", "update", r#"["41", 42]"#, "1713849600000")).unwrap();
        let user = |id| Subject::User { id: CrmUserId::new(id), kind: HintKind::Present };
        let subjects: Vec<_> = told.hints.iter().map(|hint| hint.subject.clone()).collect();
        assert_eq!(subjects, [user("41"), user("42")]);
        assert_eq!(told.hints[0].organization, OrgRef::WatchChannel("1001".to_owned()));
        assert_eq!(told.event_time, Some(Timestamp(1_713_849_600_000)));
        assert_eq!((told.event_type.as_str(), told.event_id), ("Users.update", None));
        let gone = event(&body("Users", "delete", r#"["41"]"#, "1")).unwrap();
        let leaving = Subject::User { id: CrmUserId::new("41"), kind: HintKind::Leaving };
        assert_eq!(gone.hints[0].subject, leaving);
        let many = format!("[{}1]", "1,".repeat(200));
        for (module, ids) in [("Leads", r#"["41"]"#), ("Users", "[]"), ("Users", &many)] {
            let told = event(&body(module, "insert", ids, "1")).unwrap();
            let [hint] = &told.hints[..] else { panic!("{told:?}") };
            assert_eq!(hint.subject, Subject::Everybody);
        }
    }

    #[test]
    fn odd_notifications_are_refused_and_the_own_form_still_reads() {
        let path = event(&body("Users", "update", r#"["../1"]"#, "1"));
        assert_eq!(path, Err(Malformed::Field("ids")));
        assert_eq!(event(r#"{"channel_id":"1"}"#), Err(Malformed::Field("module")));
        let long = event(&body(&"M".repeat(195), "update", "[]", "1"));
        assert_eq!(long, Err(Malformed::Field("module")));
        let own = r#"{"event_type":"user.added","channel_id":"1","data":{"user":{"id":"1"}}}"#;
        assert_eq!(event(own).unwrap().event_type, "user.added");
        let elsewhere = read(Shape::Native, None, body("Users", "update", "[]", "1").as_bytes());
        assert_eq!(elsewhere, Err(Malformed::NoEventType));
    }

    #[test]
    fn only_a_notification_brings_an_echo() {
        let echo = Echo::of(body("Users", "update", "[]", "1").as_bytes()).unwrap();
        assert_eq!((echo.channel.as_str(), echo.token.as_str()), ("1001", "t"));
        assert_eq!(Echo::of(br#"{"channel_id":7}"#).unwrap().token, "");
        for other in [
            r#"{"event_type":"user.added","channel_id":"1","token":"t"}"#,
            r#"{"channel_id":["1"],"token":"t"}"#,
            r#"{"channel_id":"1","channel_id":"2","token":"t"}"#,
            r#"{"token":"t"}"#,
            "[]",
            "",
        ] {
            assert!(Echo::of(other.as_bytes()).is_none(), "{other}");
        }
        let huge = format!(r#"{{"channel_id":"1","token":"t","ids":"{}"}}"#, "x".repeat(70_000));
        assert!(Echo::of(huge.as_bytes()).is_none());
    }

    #[test]
    fn a_repeat_is_known_by_channel_module_ids_operation_and_time() {
        let of = |text: String| digest(text.as_bytes());
        let first = body("Users", "update", r#"["41"]"#, "1");
        let again = first.replace("\"resource_uri\":\"u\"", "\"resource_uri\":\"v\"");
        assert_eq!(of(first.clone()), of(again));
        let others = [
            first.clone(),
            body("Leads", "update", r#"["41"]"#, "1"),
            body("Users", "insert", r#"["41"]"#, "1"),
            body("Users", "update", r#"["42"]"#, "1"),
            body("Users", "update", r#"["41"]"#, "2"),
            first.replace("1001", "1002"),
            first.replace("server_time", "another"),
            first.replace("server_time", "another").replace("token\":\"t", "token\":\"u"),
        ];
        let distinct: std::collections::BTreeSet<_> = others.iter().cloned().map(of).collect();
        assert_eq!(distinct.len(), others.len());
    }
}
