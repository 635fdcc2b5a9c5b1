//! One telling: a bridge, a sandbox, and a few hundred people who live through some weeks at once.
//!
//! Deliberately absent: which laws a test is about.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::time::Duration;

use cliqbridge::engine::LETTERS_PARALLEL;
use serde_json::{Value, json};

use super::super::support::harness::rows;
use super::super::support::{Bridge, Setup};
use super::acts::{self, Act, Event, Range};
use super::dice::Dice;
use super::laws;
use super::look::Cliq;
use super::pace::Pace;
use super::people::{self, ORGANIZATIONS, Town};
use super::post::{Bag, Post};
use super::trouble;
use super::watch::{Key, Watch};

const HOUR: Duration = Duration::from_hours(1);

const DAY: Duration = Duration::from_hours(24);

/// The guard's window of every telling.
const WINDOW: Duration = DAY;

/// How many in a hundred do something in each round of acts.
const ROUNDS: [usize; 4] = [80, 50, 50, 50];

/// Days between the last looks: enough for grace, removal, a fresh start, and its expiry.
const LAST_DAYS: [u32; 6] = [1, 1, 8, 2, 9, 20];

/// How a story is told.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub seed: u64,
    pub people: usize,
    /// How many in a hundred are Birch's.
    pub birch: usize,
    pub range: Range,
    pub post: Post,
    /// Faults in a round, at most.
    pub faults: usize,
    /// Chance in a hundred that the bridge dies in a round.
    pub deaths: usize,
    /// `guard.max_removals`, where it matters.
    pub guard: Option<usize>,
    /// `invitations.reminders`
    pub reminders: usize,
    /// Acme's CRM Plus makes external users by itself.
    pub observe: bool,
    /// Days after which Zoho forgets an open invitation; 0 is never.
    pub lapse: u64,
}

/// What a telling came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Lives that were told, each counted once.
    pub histories: usize,
    /// Lives that were told, each as often as it was.
    pub tellings: usize,
    pub acts: usize,
    pub webhooks: usize,
    pub runs: usize,
    pub deaths: usize,
    pub effects: usize,
    pub mails: usize,
}

impl Tally {
    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        self.histories += other.histories;
        self.tellings += other.tellings;
        self.acts += other.acts;
        self.webhooks += other.webhooks;
        self.runs += other.runs;
        self.deaths += other.deaths;
        self.effects += other.effects;
        self.mails += other.mails;
    }

    /// The same lives told more than once are that many histories.
    pub fn of_lives(self, histories: usize) -> Self {
        Self { histories, ..self }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} histories in {} tellings; {} acts, {} webhooks, {} runs, {} deaths; {} effects, {} \
             of them mails",
            self.histories,
            self.tellings,
            self.acts,
            self.webhooks,
            self.runs,
            self.deaths,
            self.effects,
            self.mails
        )
    }
}

/// A story while it is told.
pub struct Telling {
    pub bridge: Bridge,
    pub town: Town,
    pub watch: Watch,
    pub tally: Tally,
    terms: Terms,
    bag: Bag,
    pace: Pace,
    /// The sandbox's Cliq after the last look.
    cliq: Cliq,
    /// What happens to people; the same in every telling of a seed.
    fate: Dice,
    /// What happens to webhooks, calls and the bridge.
    luck: Dice,
}

impl Telling {
    /// Begins: the organizations are looked at for the first time.
    pub async fn begin(terms: Terms) -> Self {
        let mut fate = Dice::new(terms.seed, "fate");
        let luck = Dice::new(terms.seed, &format!("luck {:?} {}", terms.post, terms.deaths));
        let plain = terms.range == Range::CrmOnly;
        let (town, tables) = people::settle(&mut fate, terms.people, terms.birch, plain);
        let bridge = setup(&terms, tables).start().await;
        let cliq = Cliq::of(&bridge, &town).await;
        let mut telling = Self {
            pace: Pace::of(&bridge),
            bridge,
            cliq,
            town,
            watch: Watch::default(),
            tally: Tally { histories: terms.people, tellings: terms.people, ..Tally::default() },
            terms,
            bag: Bag::new(terms.post),
            fate,
            luck,
        };
        telling.reconcile(HOUR).await;
        telling
    }

    /// Fails with the seed, and with everything that is known of the person.
    pub async fn fail(&self, key: Option<Key>, law: &str) -> ! {
        let seed = self.terms.seed;
        let mut text = format!("{law}\nHISTORY_SEED={seed} repeats it. {:?}\n", self.terms);
        if let Some(key) = key {
            text.push_str(&self.story(key).await);
        }
        panic!("{text}");
    }

    /// What happened to one person, as the sandbox and the bridge tell it.
    async fn story(&self, (place, number): Key) -> String {
        let person = &self.town.people[number];
        let mut text = format!("{} of {}: {person:#?}\n", person.email, ORGANIZATIONS[place]);
        for entry in &self.bridge.journal().await.0 {
            let subject = entry["subject"].as_str().unwrap_or_default();
            if self.town.find(subject) == Some(number) {
                let word = |key: &str| entry[key].as_str().unwrap_or("-").to_owned();
                writeln!(
                    text,
                    "{} {} {} {} {subject} {}",
                    word("at"),
                    word("organization"),
                    word("kind"),
                    word("call"),
                    word("detail")
                )
                .unwrap();
            }
        }
        let path = format!("/memberships?organization={}&q={number}%40", ORGANIZATIONS[place]);
        let mut known: Vec<Value> =
            rows(&self.bridge.admin(&path).await.body["items"]).cloned().collect();
        let path = format!("/memberships?organization={}&q=p{number}", ORGANIZATIONS[place]);
        known.extend(rows(&self.bridge.admin(&path).await.body["items"]).cloned());
        for row in known {
            if self.town.find(row["email"].as_str().unwrap()) == Some(number) {
                let id = row["id"].as_str().unwrap();
                let whole = self.bridge.admin(&format!("/memberships/{id}")).await.body;
                writeln!(text, "{whole:#}").unwrap();
            }
        }
        text
    }

    async fn judge(&self, verdict: Result<(), (Key, String)>) {
        if let Err((key, law)) = verdict {
            self.fail(Some(key), &law).await;
        }
    }

    /// Looks what the bridge did since the last look.
    async fn look(&mut self) {
        let read = self.watch.read_on(&self.bridge, &mut self.town).await;
        if let Err((key, law)) = read {
            self.fail(key, &law).await;
        }
        let after = Cliq::of(&self.bridge, &self.town).await;
        if self.cliq.internals() != after.internals() {
            self.fail(None, "(7) a row of one of the organization's own has changed").await;
        }
        self.cliq = after;
    }

    /// Lets the time pass, without a look at the organizations.
    async fn pass(&mut self, time: Duration) {
        self.pace.pass(&self.bridge, time).await;
        self.look().await;
    }

    /// One look at both organizations, and the time in which all follows.
    pub async fn reconcile(&mut self, time: Duration) {
        self.bridge.resync(json!({})).await;
        self.tally.runs += ORGANIZATIONS.len();
        self.pass(time).await;
    }

    /// A part of the people does something, or has something done to them.
    async fn act(&mut self, share: usize) -> Vec<Event> {
        let mut events = Vec::new();
        let mut moved = false;
        for number in 0..self.town.people.len() {
            if !self.fate.percent(share) {
                continue;
            }
            let person = &self.town.people[number];
            let chosen =
                acts::choose(&mut self.fate, (number, person), &self.cliq, self.terms.range);
            if let Some((place, act)) = chosen {
                moved |= matches!(act, Act::MoveIn | Act::MoveOut);
                events.extend(self.perform((number, place, act)).await);
            }
        }
        if moved {
            self.cliq = Cliq::of(&self.bridge, &self.town).await;
        }
        events
    }

    async fn perform(&mut self, what: (usize, usize, Act)) -> Option<Event> {
        self.tally.acts += 1;
        self.cliq.forget((what.1, what.0));
        acts::perform(&self.bridge, &mut self.fate, &mut self.town, what).await
    }

    /// Whoever has an open invitation answers it, each in their way.
    async fn answer(&mut self) {
        for number in 0..self.town.people.len() {
            for place in 0..ORGANIZATIONS.len() {
                if let Some(act) =
                    acts::answer(&self.town.people[number], (place, number), &self.cliq)
                {
                    self.perform((number, place, act)).await;
                }
            }
        }
    }

    /// One round: acts, webhooks, trouble, work, and some time.
    async fn round(&mut self, share: usize) {
        let events = self.act(share).await;
        self.deliver(events).await;
        trouble::faults(&self.bridge, &mut self.luck, self.terms.faults).await;
        if self.luck.percent(self.terms.deaths) {
            self.tally.deaths += 1;
            trouble::die_at_work(&mut self.bridge, &mut self.luck).await;
            self.pace = Pace::of(&self.bridge);
        }
        if self.fate.percent(60) {
            self.bridge.resync(json!({})).await;
            self.tally.runs += ORGANIZATIONS.len();
        }
        let time = self.fate.of(&[HOUR * 2, HOUR * 20, DAY, DAY * 3]);
        self.pass(time).await;
        self.answer().await;
        if self.luck.percent(50) {
            self.bridge.clear_faults().await;
        }
    }

    /// Hands events over to the post.
    pub async fn deliver(&mut self, events: Vec<Event>) {
        self.tally.webhooks += self.bag.deliver(&self.bridge, &mut self.luck, events).await;
    }

    /// Two hours in which a part of the people does something, webhooks come, and both sides are
    /// looked at.
    pub async fn hours(&mut self, share: usize) {
        let events = self.act(share).await;
        self.deliver(events).await;
        self.reconcile(HOUR * 2).await;
        self.answer().await;
    }

    /// All rounds.
    pub async fn live(&mut self) {
        for share in ROUNDS {
            self.round(share).await;
        }
    }

    /// CRM's administrator leaves everybody as a regular, confirmed, active user, or takes them out:
    /// what cannot differ between two tellings.
    pub async fn heal(&mut self) {
        let mut events = Vec::new();
        for number in 0..self.town.people.len() {
            for place in 0..ORGANIZATIONS.len() {
                let acts = match self.town.people[number].places[place].row {
                    Some(_) if self.fate.percent(30) => vec![Act::Delete],
                    _ => acts::heal(&self.town.people[number], place),
                };
                for act in acts {
                    events.extend(self.perform((number, place, act)).await);
                }
            }
        }
        self.deliver(events).await;
    }

    /// From this moment on every call for the organization fails.
    pub async fn breaks(&mut self, place: usize) {
        let forever = json!({ "organization": ORGANIZATIONS[place], "times": null });
        self.bridge.fault("*", forever, json!({ "kind": "status", "status": 401 })).await;
    }

    /// Weeks of reconciliation, in which people answer.
    pub async fn come_to_rest(&mut self) {
        for days in LAST_DAYS {
            self.reconcile(DAY * days + HOUR).await;
            self.answer().await;
        }
        self.reconcile(DAY).await;
    }

    /// The trouble is over, and an operator confirms whose home has changed (G6).
    pub async fn calm(&mut self) {
        self.bridge.clear_faults().await;
        self.reconcile(HOUR).await;
        for person in self.town.people.iter().filter(|person| person.moved) {
            let shown = person.places.iter().filter_map(|place| place.row.as_ref());
            for address in shown.map(|row| &row.email).chain([&person.email]) {
                let path = format!("/people/{address}/confirm-home");
                self.bridge.admin_post(&path, &Value::Null).await;
            }
        }
    }

    /// (4) Nothing is left to do, and nothing is left over.
    pub async fn rests(&mut self) {
        let before = self.watch.effects;
        self.reconcile(HOUR).await;
        if self.watch.effects != before {
            self.fail(None, "(4) a reconciliation after the last one did something").await;
        }
        let queue = self.bridge.admin("/status").await.body["queue"].clone();
        for open in [&queue["hints"], &queue["actions"]["waiting"], &queue["runs"]] {
            if *open != 0 {
                self.fail(None, &format!("(4) left over: {queue}")).await;
            }
        }
    }

    /// The laws that hold at the end of every story.
    pub async fn laws(&self) {
        let mails = laws::mails_are_bounded(&self.watch, &self.town, self.terms.reminders);
        self.judge(mails).await;
        // A death may come after the mail server has taken what is on its way.
        if self.watch.copies > self.watch.answers_lost + self.tally.deaths * LETTERS_PARALLEL {
            self.fail(None, "(3) a mail twice, and no answer of the mail server was lost").await;
        }
        if let Some(most) = self.terms.guard
            && let Err(law) = laws::losses_are_bounded(&self.watch, WINDOW, most)
        {
            self.fail(None, &law).await;
        }
        if self.terms.guard.is_none() && !self.terms.observe {
            let left = laws::nobody_stays_behind(&self.watch, &self.town, &self.cliq);
            self.judge(left).await;
        }
    }

    /// Everybody is where the other telling of the seed left them.
    pub async fn same(&self, law: &str, other: &Self) {
        let (now, before) = (self.cliq.externals(), other.cliq.externals());
        for key in before.keys().chain(now.keys()).collect::<BTreeSet<_>>() {
            if before.get(key) != now.get(key) {
                let (before, now) = (before.get(key), now.get(key));
                self.fail(Some(*key), &format!("{law}: {before:?} otherwise, now {now:?}")).await;
            }
        }
    }

    /// The bridge did in one organization what it did in the other telling of the seed.
    pub async fn same_effects(&self, law: &str, other: &Self, place: usize) {
        for number in 0..self.town.people.len() {
            let key = (place, number);
            let of = |telling: &Self| {
                let mails = telling.watch.mails.get(&key).map_or(0, BTreeSet::len);
                let row = telling.cliq.status(key).map(str::to_owned);
                (telling.watch.done.get(&key).cloned(), mails, row)
            };
            if of(self) != of(other) {
                let text = format!("{law}: {:?} otherwise, now {:?}", of(other), of(self));
                self.fail(Some(key), &text).await;
            }
        }
    }

    /// Ends.
    pub async fn finish(mut self) -> Tally {
        self.tally.effects = self.watch.effects;
        self.tally.mails = self.watch.mails.values().map(BTreeSet::len).sum();
        self.bridge.finish_with_leftovers("invitations may be open for ever").await;
        self.tally
    }
}

fn setup(terms: &Terms, tables: String) -> Setup {
    let most = terms.guard.map_or(100_000, |most| most);
    let guard = format!("max_removals = {most}\nmax_percent = 100\nmax_invites = 100000");
    let observing = "propagate = true\npropagate_after_s = 60\n";
    let lapse = format!("invitation_days = {}\n", terms.lapse);
    let acme = if terms.observe { format!("{observing}{lapse}") } else { lapse.clone() };
    let setup = Setup::demo()
        .people(tables.leak())
        .world("acme", acme.leak())
        .world("birch", lapse.leak())
        .with("guard", &guard)
        .with("mail", "per_hour = 100000")
        .with("invitations", &format!("reminders = {}", terms.reminders))
        .with("schedule", "reconcile = \"0 0 0 1 1 *\"\npoll_plan = \"0 0 0 1 1 *\"");
    if terms.observe { setup.observe("acme") } else { setup }
}
