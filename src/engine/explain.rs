//! Why one person stands where they stand, organization by organization: import, match, scope,
//! decide, act. Nothing is written and nobody is called but to read.
//!
//! It reads as a dry run does and asks the same functions as a run. Deliberately absent: a second
//! opinion; what is told is what was decided, and what the ledger and the outbox say.

use serde_json::{Value, json};

use super::apply::{Look, sames};
use super::channels::Preview;
use super::dry_run::{REHEARSED, rehearse_internals};
use super::explain_act::{Acting, act};
use super::facts::ReadError;
use super::outlook::Reading;
use super::people::Sight;
use super::resync::nobody;
use super::{Engine, Host, NotPlanned};
use crate::domain::plan::Plan;
use crate::domain::{CrmUserId, Failure, Membership, OrgId, State, Timestamp};
use crate::logic::explain::{Match, Told, import, matched, scope};
use crate::logic::plan::{Decision, Matched, matching, of_ledger};
use crate::store::outbox::Cause;
use crate::store::{StoreError, Tx, audit, ledger};
use crate::zoho::Meter;

/// Steps of the history that are told.
const HISTORY_MAX: u32 = 10;

impl Engine {
    /// Explains one person, by CRM id, zuid or address, in one organization or in all.
    ///
    /// # Errors
    /// [`NotPlanned`], of which [`NotPlanned::Nobody`] means that every organization could be read and
    /// none knows the person.
    pub async fn explain(
        &self,
        person: &str,
        organization: Option<&str>,
    ) -> Result<Value, NotPlanned> {
        let Some(organizations) = self.organizations(organization) else {
            let name = organization.unwrap_or_default().to_owned();
            return Err(NotPlanned::UnknownOrganization(name));
        };
        let (mut told, mut strangers) = (Vec::new(), Vec::new());
        for id in organizations {
            let Some(host) = self.host(&id) else { continue };
            let host = &host.metered(&Meter::default());
            let why = match self.explain_in(host, person).await {
                Ok(known) if known.is_empty() => {
                    strangers.push(nobody(&id));
                    continue;
                }
                Ok(known) => {
                    told.extend(known);
                    continue;
                }
                Err(ReadError::Store(error)) => return Err(error.into()),
                Err(ReadError::Empty(what)) => what.to_owned(),
                Err(ReadError::Call(error)) => {
                    let failure: Failure = error.failure(self.now());
                    failure.to_string()
                }
            };
            told.extend(self.remembered(&id, person, &why).await?);
        }
        if told.is_empty() {
            return Err(NotPlanned::Nobody(strangers.join("; ")));
        }
        Ok(json!({ "person": person, "organizations": told }))
    }

    /// What one organization shows; empty, if neither it nor the ledger knows the person.
    async fn explain_in(&self, host: &Host, person: &str) -> Result<Vec<Value>, ReadError> {
        let reading = self.read_one(host, person, false).await?;
        let preview = match reading.people.as_slice() {
            [user] => self.preview_members(host, &reading.sides, Some(user)).await?,
            _ => Preview::default(),
        };
        let (engine, id) = (self.clone(), host.id().clone());
        let told = self.inner.store.rehearse(REHEARSED, move |tx| {
            // A configured organization does not go away while the daemon runs.
            let host = engine.host(&id).ok_or(StoreError::Gone)?;
            rehearse_internals(tx, host, &reading.sides)?;
            let own: Vec<Explained> = reading
                .people
                .iter()
                .map(|user| engine.explained(tx, host, &reading, user))
                .collect::<Result<_, _>>()?;
            // From here on as in a resync that an operator asks for.
            preview.rehearse(tx, &id, engine.now())?;
            own.into_iter().map(|one| engine.told(tx, host, &reading, one)).collect()
        });
        Ok(told.await?)
    }

    /// The steps up to the decision, and what the bridge would do by itself.
    fn explained(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        reading: &Reading,
        user: &CrmUserId,
    ) -> Result<Explained, StoreError> {
        let (sides, now) = (&*reading.sides, self.now());
        let look = Look { host, user, sides, cause: Cause::default(), rearm: false, now };
        let (known, decision, sight) = self.decide(tx, &look)?;
        let row = sides.roster.get(user);
        let cliq = match (row, &known) {
            (Some(row), known) => matching(row, known.as_ref(), &sides.directory),
            (None, Some(known)) => of_ledger(known, &sides.directory),
            (None, None) => Matched::Nobody,
        };
        let home = sight.as_ref().map(Sight::verdict);
        let mut others: Vec<CrmUserId> = Vec::new();
        if let Some((row, email)) = row.and_then(|row| Some((row, row.email.as_ref()?))) {
            let rows = sames(tx, host, sides, row, known.as_ref())?;
            others.extend(rows.into_iter().map(|other| other.crm_user_id));
            let listed = sides
                .roster
                .by_email(email)
                .chain(row.zuid.iter().flat_map(|zuid| sides.roster.by_account(zuid.as_str())));
            others.extend(listed.map(|other| other.id.clone()).filter(|other| other != user));
            others.sort();
            others.dedup();
        }
        let one = Match {
            policy: &host.policy,
            user: row,
            known: known.as_ref(),
            cliq,
            complete: sides.complete,
            others,
            home: home.as_ref(),
        };
        let steps = vec![
            import(user, row, sides.complete, sides.begun_at),
            matched(&one),
            scope(&host.policy, row, cliq, home.as_ref()),
            decided(known.as_ref(), &decision),
        ];
        let alone = Reading { people: vec![user.clone()], ..reading.clone() };
        let by_itself = self.outlook_as(tx, host, &alone, false, None, now)?.plan;
        Ok(Explained { user: user.clone(), known, steps, by_itself })
    }

    /// The whole of it, with what a resync of the person would do.
    fn told(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        reading: &Reading,
        one: Explained,
    ) -> Result<Value, StoreError> {
        let alone = Reading { people: vec![one.user.clone()], ..reading.clone() };
        let asked = self.outlook_as(tx, host, &alone, true, None, self.now())?.plan;
        let acting = Acting {
            host,
            known: one.known.as_ref(),
            by_itself: Some(&one.by_itself),
            asked: Some(&asked),
            hold: self.whole_hold(tx, host)?,
        };
        let mut steps = one.steps;
        steps.push(act(tx, &acting)?);
        entry(tx, host.id(), Some(&one.user), one.known.as_ref(), &steps)
    }

    /// What the ledger and the outbox say where the organization cannot be read.
    async fn remembered(
        &self,
        id: &OrgId,
        person: &str,
        why: &str,
    ) -> Result<Vec<Value>, StoreError> {
        let (engine, id, person) = (self.clone(), id.clone(), person.to_owned());
        let text =
            format!("{id} could not be read: {why}. What follows is what the ledger remembers.");
        let unread = Told { step: "import", ok: false, text, facts: json!({ "error": why }) };
        self.inner
            .store
            .read(move |tx| {
                let host = engine.host(&id).ok_or(StoreError::Gone)?;
                let hold = engine.whole_hold(tx, host)?;
                let rows = ledger::find(tx, Some(&id), &person)?;
                if rows.is_empty() {
                    let steps = [unread, unasked("match", "The ledger does not know the person.")];
                    return Ok(vec![entry(tx, &id, None, None, &steps)?]);
                }
                let told = rows.iter().map(|row| {
                    let known = Some(row);
                    let acting =
                        Acting { host, known, by_itself: None, asked: None, hold: hold.clone() };
                    let steps = [
                        unread.clone(),
                        remembered_match(row),
                        unasked("scope", "Nobody is judged without a CRM row that was read."),
                        Told {
                            text: format!("Nothing is decided without a read. {}", standing(known)),
                            ..unasked("decide", "")
                        },
                        act(tx, &acting)?,
                    ];
                    entry(tx, &id, Some(&row.crm_user_id), known, &steps)
                });
                told.collect()
            })
            .await
    }
}

/// A person up to the decision.
struct Explained {
    user: CrmUserId,
    known: Option<Membership>,
    steps: Vec<Told>,
    by_itself: Plan,
}

fn unasked(step: &'static str, text: &str) -> Told {
    Told { step, ok: false, text: text.to_owned(), facts: json!({}) }
}

fn remembered_match(row: &Membership) -> Told {
    let said = |id: Option<String>| id.unwrap_or_else(|| "not known".to_owned());
    let (cliq, zuid) =
        (row.cliq_id.as_ref().map(ToString::to_string), row.zuid.as_ref().map(ToString::to_string));
    let text = format!(
        "Cliq was not asked. The ledger remembers CRM user {}, address {}, Cliq id {}, zuid {}.",
        row.crm_user_id,
        row.email.as_str(),
        said(cliq.clone()),
        said(zuid.clone()),
    );
    Told { text, facts: json!({ "cliq_id": cliq, "zuid": zuid }), ..unasked("match", "") }
}

fn decided(known: Option<&Membership>, decision: &Decision) -> Told {
    let verdict = &decision.verdict;
    let after = decision.ledger.as_ref().or(known).map(|row| row.state.as_str());
    let text = format!("{} {}", verdict.sentence(), standing(known));
    let facts = json!({
        "verdict": verdict.word(),
        "before": known.map(|row| row.state.as_str()),
        "after": after,
        "membership": known.map(|row| row.id.to_string()),
        "origin": known.map(|row| row.origin.as_str()),
        "owned": known.map(Membership::is_owned),
        "since": known.map(|row| row.since.to_rfc3339()),
        "generation": known.map(|row| row.generation),
        "letters": known.map(|row| row.sends),
        "guarded": decision.guarded,
    });
    Told { step: "decide", ok: verdict.is_on_the_way(), text, facts }
}

/// Where the membership stands, in a sentence.
fn standing(known: Option<&Membership>) -> String {
    let Some(row) = known else { return "The ledger does not know the person yet.".to_owned() };
    let whose = if row.is_owned() { "the bridge's" } else { "not the bridge's" };
    let letters = match row.sends {
        1 => "1 letter".to_owned(),
        sends => format!("{sends} letters"),
    };
    let sticky =
        matches!(row.state, State::Declined | State::Expired | State::Blocked | State::Left);
    let again = if sticky {
        format!(
            " It stays so until an operator invites again: cliqbridge memberships resend {}.",
            row.id
        )
    } else {
        String::new()
    };
    format!(
        "In the ledger {} is {} since {}: {whose} (origin {}), generation {}, {letters} in it.{again}",
        row.id,
        row.state.as_str(),
        row.since.to_rfc3339(),
        row.origin.as_str(),
        row.generation,
    )
}

fn entry(
    tx: &Tx<'_>,
    organization: &OrgId,
    user: Option<&CrmUserId>,
    known: Option<&Membership>,
    steps: &[Told],
) -> Result<Value, StoreError> {
    let lines = known.map(|row| audit::history(tx, row.id, HISTORY_MAX)).transpose()?;
    let line = |(at, event, reason): (Timestamp, String, String)| json!({ "at": at.to_rfc3339(), "event": event, "reason": reason });
    Ok(json!({
        "organization": organization.as_str(),
        "crm_user_id": user.map(CrmUserId::as_str),
        "membership": known.map(|row| row.id.to_string()),
        "steps": steps.iter().map(Told::to_json).collect::<Vec<_>>(),
        "history": lines.unwrap_or_default().into_iter().map(line).collect::<Vec<_>>(),
    }))
}
