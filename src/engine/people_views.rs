//! What an administrator asks about people: one person over all organizations, who is outside the
//! host's policies, what stands against writes; and the answer to a changed home (G6).

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Engine, Host, pairs};
use crate::domain::membership::{Membership, State};
use crate::domain::{Home, MembershipId, OrgId, Timestamp, Who, Zuid};
use crate::logic::home;
use crate::logic::limits::{LIMITS, Limit, SURFACE_ONLY, outside_policy};
use crate::store::audit::{self, Command, Entry};
use crate::store::outbox::Cause;
use crate::store::people::{self, Conflict};
use crate::store::{StoreError, Tx, ledger};

/// What Cliq shows beside the name of an external user (R29).
const TAG: &str = "External User";

/// A limit as the API shows it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LimitView {
    /// The rule's number.
    pub rule: &'static str,
    /// A few words.
    pub title: &'static str,
    /// What it means.
    pub text: &'static str,
    /// `not_applicable`, `cannot`, `admin_cannot_see` or `surface_only`.
    pub kind: &'static str,
}

/// Where somebody is at home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HomeView {
    /// The organization; absent unless exactly one is.
    pub organization: Option<String>,
    /// Its display name.
    pub name: Option<String>,
    /// `at`, `elsewhere`, `claimed` or `changed`.
    pub kind: &'static str,
    /// What that means.
    pub sentence: String,
}

/// One organization in which the person is an external user, or was to be one.
#[derive(Clone, Debug, Serialize)]
pub struct HostView {
    /// Its configured id.
    pub organization: String,
    /// Its display name.
    pub name: String,
    /// `mem-<number>`
    pub membership: String,
    /// The CRM user there.
    pub crm_user_id: String,
    /// Address there.
    pub email: String,
    /// Where the membership stands.
    pub state: &'static str,
    /// Whether the Cliq side is an external user.
    pub external: bool,
    /// The tag that Cliq shows beside the name.
    pub tag: Option<&'static str>,
    /// Since when it stands so, RFC 3339.
    pub since: String,
    /// How the bridge came to know it.
    pub origin: &'static str,
    /// Mapped channels.
    pub channels: Vec<ChannelView>,
}

/// A mapped channel of a person.
#[derive(Clone, Debug, Serialize)]
pub struct ChannelView {
    /// Unique name.
    pub channel: String,
    /// Where the person stands with it.
    pub state: String,
}

/// What forbids every write for a person.
#[derive(Clone, Debug, Serialize)]
pub struct ConflictView {
    /// `claimed`, `changed`, `two_persons` or `two_addresses`.
    pub kind: String,
    /// The person, or one `organization/CRM user` of two.
    pub one: String,
    /// What is disputed, or the other of two.
    pub other: String,
    /// What it means and what to do; absent in lists.
    pub sentence: Option<String>,
}

/// One person over all organizations.
#[derive(Clone, Debug, Serialize)]
pub struct PersonView {
    /// What the person is known by: the zuid, provisionally the address.
    pub person: String,
    /// Zoho account id.
    pub zuid: Option<String>,
    /// Every address that an organization knows.
    pub addresses: Vec<String>,
    /// Name, as CRM has it.
    pub name: String,
    /// Where they are at home (R40).
    pub home: HomeView,
    /// Every other organization.
    pub hosts: Vec<HostView>,
    /// What Cliq's organization switcher lists: the home first, then what they have joined (R39).
    pub switcher: Vec<String>,
    /// What forbids every write for them.
    pub conflicts: Vec<ConflictView>,
    /// What they cannot do in their hosts.
    pub limits: Vec<LimitView>,
}

/// A person in a list.
#[derive(Clone, Debug, Serialize)]
pub struct PersonLine {
    /// What the person is known by.
    pub person: String,
    /// Name, as CRM has it.
    pub name: String,
    /// Address.
    pub email: String,
    /// Where they are at home.
    pub home: HomeView,
    /// Organization to state.
    pub hosts: BTreeMap<String, &'static str>,
    #[serde(skip)]
    row: i64,
}

impl PersonLine {
    /// The row id that a cursor stands for.
    pub fn row(&self) -> i64 {
        self.row
    }
}

/// Who is meant by an id.
#[derive(Debug)]
pub enum Found<T> {
    /// Nobody is known by it.
    Nobody,
    /// One person.
    One(T),
    /// Several; each by what the person is known by.
    Several(Vec<String>),
}

/// What a confirmation came to.
#[derive(Debug)]
pub enum Confirmed {
    /// The person as they are now.
    Accepted(Box<PersonView>),
    /// More than one organization shows an account, or claims the address.
    Disputed(String),
}

/// Every limit, as the API shows it.
pub fn limits() -> Vec<LimitView> {
    LIMITS.iter().map(shown_limit).collect()
}

/// Further texts for which no API gives the data.
pub fn surface_only() -> Vec<LimitView> {
    SURFACE_ONLY.iter().map(shown_limit).collect()
}

/// The host's rules that do not reach an external user.
pub fn not_applicable() -> Vec<LimitView> {
    outside_policy().map(shown_limit).collect()
}

fn shown_limit(limit: &Limit) -> LimitView {
    LimitView { rule: limit.rule, title: limit.title, text: limit.text, kind: limit.kind.word() }
}

impl Engine {
    /// The person known by a zuid, an address, a CRM id or a membership's id.
    pub async fn person(&self, id: &str) -> Result<Found<PersonView>, StoreError> {
        let (engine, id) = (self.clone(), id.to_owned());
        self.inner
            .store
            .read(move |tx| {
                Ok(match resolve(tx, &id)? {
                    Found::Nobody => Found::Nobody,
                    Found::Several(all) => Found::Several(all),
                    Found::One(who) => Found::One(engine.person_view(tx, &who)?),
                })
            })
            .await
    }

    /// A page of people, one line each.
    pub async fn people(
        &self,
        q: Option<String>,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<PersonLine>, StoreError> {
        let engine = self.clone();
        self.inner
            .store
            .read(move |tx| {
                let mut lines = Vec::new();
                for row in ledger::people(tx, q.as_deref(), after, limit)? {
                    let sight = engine.sight(tx, None, row.zuid.as_ref(), &row.email)?;
                    let all = ledger::of_person(tx, &sight.who)?;
                    lines.push(PersonLine {
                        person: sight.who.key().to_owned(),
                        name: full_name(&row),
                        email: row.email.as_str().to_owned(),
                        home: engine.home_view(&sight.home),
                        hosts: engine
                            .hosts_of(&all, &sight.home)
                            .map(|(_, row)| (row.organization.to_string(), row.state.as_str()))
                            .collect(),
                        row: row.id.0,
                    });
                }
                Ok(lines)
            })
            .await
    }

    /// A page of the external users to whom a host's policies do not apply (R20 to R23). `None` when
    /// there is no such organization.
    pub async fn outside_policy(
        &self,
        organization: Option<String>,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Option<Vec<Membership>>, StoreError> {
        let organization = organization.map(OrgId::new);
        if organization.as_ref().is_some_and(|id| self.host(id).is_none()) {
            return Ok(None);
        }
        let read = move |tx: &Tx<'_>| {
            ledger::outside_policy(tx, organization.as_ref(), after, limit).map(Some)
        };
        self.inner.store.read(read).await
    }

    /// A page of what stands against writes, each with the row id that a cursor stands for.
    pub async fn conflicts(
        &self,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<(i64, ConflictView)>, StoreError> {
        let after = after.unwrap_or(0);
        let listed =
            self.inner.store.read(move |tx| people::all_conflicts(tx, after, limit)).await?;
        let shown = |row: people::Listed| {
            let sentence = pairs::sentence(&row.conflict);
            (row.id, conflict_view(row.conflict, sentence))
        };
        Ok(listed.into_iter().map(shown).collect())
    }

    /// Where the person of a membership is at home.
    pub async fn home_of(&self, row: &Membership) -> Result<HomeView, StoreError> {
        let (engine, zuid, email) = (self.clone(), row.zuid.clone(), row.email.clone());
        self.inner
            .store
            .read(move |tx| {
                let sight = engine.sight(tx, None, zuid.as_ref(), &email)?;
                Ok(engine.home_view(&sight.home))
            })
            .await
    }

    /// An operator accepts what shows now as the person's home; held changes go on (G6).
    pub async fn confirm_home(&self, id: &str, by: &str) -> Result<Found<Confirmed>, StoreError> {
        let (engine, id, by, now) = (self.clone(), id.to_owned(), by.to_owned(), self.now());
        self.inner
            .store
            .write("confirm home", move |tx| {
                Ok(match resolve(tx, &id)? {
                    Found::Nobody => Found::Nobody,
                    Found::Several(all) => Found::Several(all),
                    Found::One(who) => Found::One(engine.confirm(tx, &who, &by, now)?),
                })
            })
            .await
    }

    fn confirm(
        &self,
        tx: &Tx<'_>,
        who: &Who,
        by: &str,
        now: Timestamp,
    ) -> Result<Confirmed, StoreError> {
        let before = self.sight(tx, None, who.zuid.as_ref(), &who.email)?;
        let accepted = match home::confirmed(&before.shown) {
            Ok(accepted) => accepted,
            Err(claims) => {
                let sentence = home::sentence(&Home::Claimed(claims.into_iter().collect()));
                return Ok(Confirmed::Disputed(sentence));
            }
        };
        people::accept(tx, &before.who, accepted.as_ref(), now)?;
        for conflict in people::conflicts(tx, &[before.who.key()])?.keys() {
            people::end_conflict(tx, conflict)?;
        }
        let after = self.sight(tx, None, who.zuid.as_ref(), &who.email)?;
        let reason = home::sentence(&after.home);
        for row in ledger::of_person(tx, &before.who)? {
            let entry = Entry {
                organization: &row.organization,
                membership: Some(row.id),
                actor: by,
                event: "home_confirmed",
                reason: &reason,
                before: Some(serde_json::json!({ "home": home::sentence(&before.home) })),
                after: Some(serde_json::json!({ "home": reason })),
                cause: Cause::default(),
                action: None,
            };
            audit::record(tx, &entry, now)?;
        }
        // Whom it is about stands in the rows above: the step itself holds no address.
        let said = format!("The home of a person was confirmed. {reason}");
        Command::by(by, "home_confirmed", &said).record(tx, now)?;
        self.look_elsewhere(tx, &before.who, None, now)?;
        Ok(Confirmed::Accepted(Box::new(self.person_view(tx, who)?)))
    }

    fn person_view(&self, tx: &Tx<'_>, who: &Who) -> Result<PersonView, StoreError> {
        let sight = self.sight(tx, None, who.zuid.as_ref(), &who.email)?;
        let rows = ledger::of_person(tx, &sight.who)?;
        let mut addresses: Vec<String> =
            rows.iter().map(|row| row.email.as_str().to_owned()).collect();
        addresses.push(who.email.as_str().to_owned());
        addresses.sort_unstable();
        addresses.dedup();
        let mut hosts = Vec::new();
        let mut conflicts = BTreeMap::new();
        for (host, row) in self.hosts_of(&rows, &sight.home) {
            hosts.push(host_view(tx, host, row)?);
        }
        for row in &rows {
            let me = people::party(&row.organization, &row.crm_user_id);
            for (conflict, _) in people::conflicts(tx, &[&me, sight.who.key()])? {
                let home = contradiction(&conflict, &me, &sight.home);
                conflicts.insert(conflict, home);
            }
        }
        let joined =
            self.hosts_of(&rows, &sight.home).filter(|(_, row)| row.state == State::Joined);
        let home = sight.home.organization().and_then(|id| self.host(id));
        let switcher = home.into_iter().chain(joined.map(|(host, _)| host));
        Ok(PersonView {
            person: sight.who.key().to_owned(),
            zuid: sight.who.zuid.as_ref().map(ToString::to_string),
            addresses,
            name: rows.last().map(full_name).unwrap_or_default(),
            home: self.home_view(&sight.home),
            switcher: switcher.map(|host| host.settings.name.clone()).collect(),
            limits: if hosts.iter().any(|host| host.external) { limits() } else { Vec::new() },
            hosts,
            conflicts: conflicts
                .into_iter()
                .map(|(conflict, home)| {
                    let inside = pairs::sentence(&conflict);
                    let sentence = inside.unwrap_or_else(|| home::sentence(&home));
                    conflict_view(conflict, Some(sentence))
                })
                .collect(),
        })
    }

    /// The configured organizations of these rows, but for the person's home: what has become
    /// internal there is the home now, not a host (G11).
    fn hosts_of<'a>(
        &'a self,
        rows: &'a [Membership],
        home: &'a Home,
    ) -> impl Iterator<Item = (&'a Host, &'a Membership)> {
        rows.iter()
            .filter(|row| home.organization() != Some(&row.organization))
            .filter_map(|row| Some((self.host(&row.organization)?, row)))
    }

    fn home_view(&self, home: &Home) -> HomeView {
        let host = home.organization().and_then(|id| self.host(id));
        HomeView {
            organization: host.map(|host| host.id().to_string()),
            name: host.map(|host| host.settings.name.clone()),
            kind: home.word(),
            sentence: home::sentence(home),
        }
    }
}

/// What a stored conflict says, seen from one side.
fn contradiction(conflict: &Conflict, me: &str, home: &Home) -> Home {
    let other = if conflict.one == me { &conflict.other } else { &conflict.one };
    let other = people::of_party(other).map_or_else(|| OrgId::new(other.as_str()), |of| of.0);
    match conflict.kind.as_str() {
        "two_persons" => Home::TwoPersons(other),
        "two_addresses" => Home::TwoAddresses(other),
        _ => home.clone(),
    }
}

fn host_view(tx: &Tx<'_>, host: &Host, row: &Membership) -> Result<HostView, StoreError> {
    let channels = people::channels_of(tx, &row.organization, &row.crm_user_id)?;
    Ok(HostView {
        organization: row.organization.to_string(),
        name: host.settings.name.clone(),
        membership: row.id.to_string(),
        crm_user_id: row.crm_user_id.to_string(),
        email: row.email.as_str().to_owned(),
        state: row.state.as_str(),
        external: row.external,
        tag: row.external.then_some(TAG),
        since: row.since.to_rfc3339(),
        origin: row.origin.as_str(),
        channels: channels
            .into_iter()
            .map(|(channel, state)| ChannelView { channel, state })
            .collect(),
    })
}

fn conflict_view(conflict: Conflict, sentence: Option<String>) -> ConflictView {
    let Conflict { kind, one, other } = conflict;
    ConflictView { kind, one, other, sentence }
}

fn full_name(row: &Membership) -> String {
    format!("{} {}", row.first_name, row.last_name).trim().to_owned()
}

/// Who is known by this zuid, address, CRM id or membership's id.
fn resolve(tx: &Tx<'_>, id: &str) -> Result<Found<Who>, StoreError> {
    let rows = match id.parse::<MembershipId>() {
        Ok(id) => ledger::get(tx, id)?.into_iter().collect(),
        Err(_) => ledger::find(tx, None, id)?,
    };
    let mut people: BTreeMap<String, Who> = BTreeMap::new();
    for row in &rows {
        let who = people::identify(tx, row.zuid.as_ref(), &row.email)?;
        people.insert(who.key().to_owned(), who);
    }
    if people.is_empty() {
        for who in people::internals_named(tx, id)? {
            people.insert(who.key().to_owned(), who);
        }
    }
    // A zuid names one person, whatever else it is the number of.
    let by_account =
        people.values().find(|who| who.zuid.as_ref().map(Zuid::as_str) == Some(id)).cloned();
    Ok(match (by_account, people.len()) {
        (Some(who), _) => Found::One(who),
        (None, 0) => Found::Nobody,
        (None, 1) => people.into_values().next().map_or(Found::Nobody, Found::One),
        (None, _) => Found::Several(people.into_keys().collect()),
    })
}
