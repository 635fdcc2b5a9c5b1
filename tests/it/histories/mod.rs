//! Property tests of the eight invariants: thousands of generated histories, each the life of one
//! person in CRM and Cliq, with webhooks, faults and deaths of the bridge in between.
//!
//! A few hundred people live at once beside one bridge, so that listings have pages and webhooks
//! come in bursts. `HISTORY_SEED=n` tells the story of one seed; `HISTORIES=n` tells n times as
//! many. Deliberately absent: rules one by one; every other file here has those.

mod acts;
pub mod dice;
mod laws;
mod look;
mod pace;
mod people;
mod post;
mod telling;
mod trouble;
mod watch;

use futures_util::future::join_all;

use acts::Range;
use post::Post;
use telling::{Tally, Telling, Terms};

/// People of one telling: two pages of CRM users in an organization, three of Cliq's.
const PEOPLE: usize = 250;

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var_os(name)?.to_str()?.parse().ok()
}

/// The seeds of a test: `count` from `first` on, or what the environment asks for.
fn seeds(first: u64, count: u64) -> Vec<u64> {
    match number("HISTORY_SEED") {
        Some(seed) => vec![seed],
        None => (first..first + count * number("HISTORIES").unwrap_or(1)).collect(),
    }
}

/// The terms of a telling in which everything happens; every fifth has a narrow guard, every fifth
/// an organization whose CRM Plus adds people by itself, and every fifth lets invitations lapse.
fn wild(seed: u64) -> Terms {
    let kind = seed % 5;
    Terms {
        seed,
        people: PEOPLE,
        birch: 85,
        range: Range::All,
        post: Post::Wild,
        faults: 4,
        deaths: 40,
        guard: (kind == 0).then(|| usize::try_from(2 + seed / 5 % 6).unwrap()),
        reminders: usize::try_from(seed % 3).unwrap(),
        observe: kind == 1,
        lapse: if kind == 2 { 7 } else { 0 },
    }
}

/// The terms of a telling that is told again in another way.
fn again(seed: u64, post: Post, faults: usize, deaths: usize) -> Terms {
    let range = Range::CrmOnly;
    Terms { range, post, faults, deaths, guard: None, observe: false, lapse: 0, ..wild(seed) }
}

/// Whatever happens: nobody at home is touched (1, 7), access is taken only from whom CRM does not
/// list, only from ours, and from no more than the guard allows (2), mails are bounded (3), and it
/// comes to rest (4).
async fn whatever_happens(seed: u64) -> Tally {
    let mut telling = Telling::begin(wild(seed)).await;
    telling.live().await;
    telling.calm().await;
    telling.come_to_rest().await;
    telling.rests().await;
    telling.laws().await;
    telling.finish().await
}

/// Tells it to its end.
async fn whole(terms: Terms) -> Telling {
    let mut telling = Telling::begin(terms).await;
    telling.live().await;
    telling.heal().await;
    telling.calm().await;
    telling.come_to_rest().await;
    telling.rests().await;
    telling.laws().await;
    telling
}

/// Tells some hours of it; `failing` is an organization whose every call fails from the second on.
async fn some_hours(terms: Terms, failing: Option<usize>) -> Telling {
    let mut telling = Telling::begin(terms).await;
    telling.hours(80).await;
    if let Some(place) = failing {
        telling.breaks(place).await;
    }
    telling.hours(60).await;
    telling.hours(60).await;
    telling.heal().await;
    telling.hours(0).await;
    telling
}

/// The same acts end in the same Cliq, whatever becomes of webhooks (5), calls and the bridge (6).
async fn told_again(seed: u64) -> Tally {
    let (plain, wild, broken) = tokio::join!(
        whole(again(seed, Post::Orderly, 0, 0)),
        whole(again(seed, Post::Wild, 0, 0)),
        whole(again(seed, Post::Orderly, 4, 100)),
    );
    wild.same("(5) order-free", &plain).await;
    broken.same("(6) crash-free", &plain).await;
    let mut all = Tally::default();
    for telling in [plain, wild, broken] {
        all.add(&telling.finish().await);
    }
    all.of_lives(PEOPLE)
}

/// An organization whose every call fails changes nothing in the other (8): not what is done there,
/// nor in which order, nor how many mails go out.
async fn apart(seed: u64) -> Tally {
    let terms = again(seed, Post::Orderly, 0, 0);
    let (plain, broken) = tokio::join!(some_hours(terms, None), some_hours(terms, Some(1)));
    broken.same_effects("(8) hosts apart", &plain, 0).await;
    let mut all = plain.finish().await;
    all.add(&broken.finish().await);
    all.of_lives(PEOPLE)
}

/// Tells all of these, a few at a time: most of a telling waits for the disk.
#[expect(clippy::print_stdout, reason = "how many were told is a result")]
async fn tell<F: Future<Output = Tally>>(name: &str, seeds: Vec<u64>, told: impl Fn(u64) -> F) {
    const AT_ONCE: usize = 3;
    let mut all = Tally::default();
    for some in seeds.chunks(AT_ONCE) {
        for tally in join_all(some.iter().map(|seed| told(*seed))).await {
            all.add(&tally);
        }
    }
    println!("{name}: {all}");
}

#[tokio::test]
async fn law_1_2_3_4_7_whatever_happens() {
    tell("Whatever happens", seeds(1, 2), whatever_happens).await;
}

#[tokio::test]
async fn law_5_6_the_same_acts_end_in_the_same_cliq() {
    tell("Told three times", seeds(1_001, 1), told_again).await;
}

#[tokio::test]
async fn law_8_a_failing_host_changes_nothing_in_another() {
    tell("Told with one host failing, and without", seeds(2_001, 1), apart).await;
}
