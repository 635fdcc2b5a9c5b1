//! The first three steps of an explanation, in sentences: what CRM shows, which Cliq row that is, and
//! whether the person is meant.
//!
//! Deliberately absent: any decision. `logic::plan` decides; this names what it went by.

use serde_json::{Value, json};

use super::home;
use super::plan::{Matched, classify, evidence, found_by};
use crate::domain::policy::{Matcher, Policy};
use crate::domain::{
    Class, CliqUser, CrmUser, CrmUserId, Home, Membership, Presence, Standing, Timestamp,
};

/// One step, told.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// `import`, `match`, `scope`, `decide` or `act`
    pub step: &'static str,
    /// Nothing in this step stands in the person's way.
    pub ok: bool,
    /// Sentences for an administrator.
    pub text: String,
    /// The same for machines.
    pub facts: Value,
}

impl Told {
    /// As the API shows it.
    pub fn to_json(&self) -> Value {
        json!({ "step": self.step, "ok": self.ok, "text": self.text, "facts": self.facts })
    }
}

/// What CRM shows of the person.
pub fn import(asked: &CrmUserId, user: Option<&CrmUser>, complete: bool, at: Timestamp) -> Told {
    let read = if complete { "complete listing" } else { "single read" };
    let read_at = at.to_rfc3339();
    let Some(user) = user else {
        let text = format!("CRM has no user {asked} (a {read} at {read_at}).");
        let facts = json!({ "found": false, "complete": complete, "read_at": read_at });
        return Told { step: "import", ok: false, text, facts };
    };
    let (status, active) = match &user.standing {
        Standing::Active => ("active", true),
        Standing::NotActive(word) | Standing::Unknown(word) => (word.as_str(), false),
    };
    let confirmed = match user.confirmed {
        Some(true) => "confirmed",
        Some(false) => "not confirmed yet",
        None => "confirmation not said",
    };
    let said = |value: Option<&str>| value.unwrap_or("not said").to_owned();
    // As the operator needs it; its `Display` is for the log.
    let email = user.email.as_ref().map(|email| email.as_str().to_owned());
    let modified = user.modified_at.map(Timestamp::to_rfc3339);
    let text = format!(
        "CRM shows {} as user {} with {}: status {status}, {confirmed}, category {}, profile {}, \
         role {}; last changed {} (a {read} at {read_at}).",
        Some(user.full_name())
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "nameless".to_owned()),
        user.id,
        email.as_ref().map_or("no usable address".to_owned(), |email| format!("address {email}")),
        said(user.category.as_deref()),
        said(user.profile.as_deref()),
        said(user.role.as_deref()),
        said(modified.as_deref()),
    );
    let facts = json!({
        "found": true, "complete": complete, "read_at": read_at, "crm_user_id": user.id.as_str(),
        "name": user.full_name(), "email": email, "zuid": user.zuid.as_ref().map(ToString::to_string),
        "status": status, "confirmed": user.confirmed, "category": user.category.as_deref(),
        "profile": user.profile.as_deref(), "role": user.role.as_deref(), "modified_at": modified,
    });
    Told { step: "import", ok: active && email.is_some(), text, facts }
}

/// What the matching went by.
pub struct Match<'a> {
    /// The organization's policy.
    pub policy: &'a Policy,
    /// The CRM row.
    pub user: Option<&'a CrmUser>,
    /// The ledger row.
    pub known: Option<&'a Membership>,
    /// What Cliq shows.
    pub cliq: Matched<'a>,
    /// Whether Cliq was listed completely.
    pub complete: bool,
    /// Other CRM users of the organization who share the account or the address.
    pub others: Vec<CrmUserId>,
    /// Where the person is at home; `None` where nobody knows who it is.
    pub home: Option<&'a Home>,
}

/// Which Cliq row is the person, by what, and whose that is.
pub fn matched(one: &Match<'_>) -> Told {
    let mut facts = json!({
        "complete": one.complete, "found": false, "conflict": false, "class": null,
        "same_person": one.others.iter().map(CrmUserId::as_str).collect::<Vec<_>>(),
        "home": one.home.map(|home| json!({
            "kind": home.word(), "organization": home.organization().map(ToString::to_string),
        })),
    });
    let (mut ok, mut text) = match one.cliq {
        Matched::Nobody if one.complete => {
            (true, "Cliq shows nobody who is this person.".to_owned())
        }
        Matched::Nobody => {
            (true, "Cliq shows nobody by the person's account or address.".to_owned())
        }
        Matched::Conflict => {
            facts["conflict"] = true.into();
            (false, "Cliq shows more than one row that may be this person, or the address with another account.".to_owned())
        }
        Matched::One(row) => found(one, row, &mut facts),
    };
    if !one.others.is_empty() {
        let others: Vec<&str> = one.others.iter().map(CrmUserId::as_str).collect();
        text = format!("{text} CRM user {} shares the account or the address.", others.join(", "));
    }
    if let Some(home) = one.home {
        ok &= !home.forbids_writes();
        text = format!("{text} {}", home::sentence(home));
    }
    Told { step: "match", ok, text, facts }
}

fn found(one: &Match<'_>, row: &CliqUser, facts: &mut Value) -> (bool, String) {
    let presence = match row.presence {
        Presence::Active => "active",
        Presence::Pending => "pending",
        Presence::Inactive => "inactive",
        Presence::Unknown => "without a status",
    };
    let (class, means) = match classify(one.policy, row) {
        Class::External => ("external", "an external user"),
        Class::Internal => ("internal", "one of the organization's own people"),
        Class::Unknown => ("unknown", "of unknown class, so treated as internal"),
    };
    let by = found_by(one.user, one.known, row);
    let evidence = evidence(one.policy, row);
    let why = if evidence.is_empty() { "nothing tells".to_owned() } else { evidence.join("; ") };
    facts["found"] = true.into();
    facts["by"] = by.into();
    facts["cliq_id"] = row.id.as_str().into();
    facts["presence"] = presence.into();
    facts["class"] = class.into();
    facts["evidence"] = evidence.into();
    (
        class == "external",
        format!("Cliq row {} is the person, found by {by}: {presence}, {means} ({why}).", row.id),
    )
}

/// Whether the configuration means the person, and which of its keys says so.
pub fn scope(
    policy: &Policy,
    user: Option<&CrmUser>,
    cliq: Matched<'_>,
    home: Option<&Home>,
) -> Told {
    let Some(user) = user else {
        let text = "Without a CRM row there is nobody to be meant.".to_owned();
        return Told {
            step: "scope",
            ok: false,
            text,
            facts: json!({ "in": false, "rule": null }),
        };
    };
    let (is_in, rule, text) = judged(policy, user, cliq, home);
    let facts = json!({ "in": is_in, "rule": rule });
    Told { step: "scope", ok: is_in && rule != "mirror_unconfirmed", text, facts }
}

/// In the order in which the planner asks.
fn judged(
    policy: &Policy,
    user: &CrmUser,
    cliq: Matched<'_>,
    home: Option<&Home>,
) -> (bool, &'static str, String) {
    let Some(email) = &user.email else {
        return (false, "email", "Out: CRM has no usable address of the person.".to_owned());
    };
    if policy.internal_domains.contains(email.domain()) {
        let text =
            format!("Out: {} is one of internal_domains, so this is a colleague.", email.domain());
        return (false, "internal_domains", text);
    }
    if home.and_then(Home::organization) == Some(&policy.organization) {
        return (false, "home", "Out: the person is at home in this organization.".to_owned());
    }
    if let Matched::One(row) = cliq
        && classify(policy, row) != Class::External
    {
        return (false, "external_when", "Out: Cliq does not show an external user.".to_owned());
    }
    if let Some(category) = user.category.as_deref().filter(|word| *word != "regular_user") {
        let text = format!("Out: category {category} is not regular_user.");
        return (false, "category", text);
    }
    if let Some(why) = key_of(&policy.exclude, user) {
        return (false, "scope.exclude", format!("Out: scope.exclude names {why}."));
    }
    let text = if let Some(include) = &policy.include {
        let Some(why) = key_of(include, user) else {
            let text = "Out: scope.include names neither the profile, the role, the domain nor the \
                        address.";
            return (false, "scope.include", text.to_owned());
        };
        format!("In: scope.include names {why}.")
    } else {
        "In: there is no scope.include, so every active user is meant.".to_owned()
    };
    if user.confirmed == Some(false) && !policy.mirror_unconfirmed {
        let text = format!(
            "{text} But the invitation of CRM Plus is not confirmed yet, and mirror_unconfirmed is \
             false: nobody is added before."
        );
        return (true, "mirror_unconfirmed", text);
    }
    (true, "scope.include", text)
}

fn key_of(matcher: &Matcher, user: &CrmUser) -> Option<String> {
    matcher.matched_by(user).map(|(key, value)| match key {
        "all" => "everybody (all = true)".to_owned(),
        _ => format!("{key} {value:?}"),
    })
}
