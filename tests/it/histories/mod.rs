//! Property tests of the eight invariants: thousands of generated histories, each the life of one
//! person in CRM and Cliq, with webhooks, faults and deaths of the bridge in between.
//!
//! A few hundred people live at once beside one bridge, so that listings have pages and webhooks
//! come in bursts. `HISTORY_SEED=n` tells the story of one seed; `HISTORIES=n` tells n times as
//! many. Deliberately absent: rules one by one; every other file here has those.

mod acts;
mod dice;
mod laws;
mod look;
mod pace;
mod people;
mod post;
mod telling;
mod trouble;
mod watch;

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
async fn whatever_happens(seeds: Vec<u64>) -> Tally {
    let mut all = Tally::default();
    for seed in seeds {
        let mut telling = Telling::begin(wild(seed)).await;
        telling.live().await;
        telling.calm().await;
        telling.come_to_rest().await;
        telling.rests().await;
        telling.laws().await;
        all.add(&telling.finish().await);
    }
    all
}

/// The same acts end in the same Cliq, whatever becomes of webhooks (5), calls and the bridge (6).
async fn told_again(seeds: Vec<u64>) -> Tally {
    let mut all = Tally::default();
    for seed in seeds {
        let mut ends = Vec::new();
        for (law, post, faults, deaths) in [
            ("(5)", Post::Orderly, 0, 0),
            ("(5) order-free", Post::Wild, 0, 0),
            ("(6) crash-free", Post::Orderly, 4, 100),
        ] {
            let mut telling = Telling::begin(again(seed, post, faults, deaths)).await;
            telling.live().await;
            telling.heal().await;
            telling.calm().await;
            telling.come_to_rest().await;
            telling.rests().await;
            telling.laws().await;
            let end = telling.externals().clone();
            if let Some(first) = ends.first() {
                telling.same(law, first).await;
            }
            ends.push(end);
            all.add(&telling.finish().await);
        }
    }
    all
}

#[tokio::test]
async fn wild_lives() {
    let mut all = Tally::default();
    for seed in seeds(17, 10) {
        all.add(&whatever_happens(vec![seed]).await);
        println!("seed {seed} {all:?} cpu {}", cpu());
    }
    println!("{all:?}");
}

#[tokio::test]
async fn twins() {
    let mut all = Tally::default();
    for seed in seeds(1002, 5) {
        all.add(&told_again(vec![seed]).await);
        println!("seed {seed} {all:?} cpu {}", cpu());
    }
    println!("{all:?}");
}
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after = stat.rsplit(')').next().unwrap();
    let f: Vec<&str> = after.split_whitespace().collect();
    (f[11].parse::<f64>().unwrap() + f[12].parse::<f64>().unwrap()) / 100.0
}
