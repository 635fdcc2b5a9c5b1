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

fn wild(seed: u64) -> Terms {
    Terms {
        seed,
        people: PEOPLE,
        range: Range::All,
        post: Post::Wild,
        faults: 4,
        deaths: 40,
        guard: None,
        reminders: 2,
        observe: false,
        lapse: 0,
    }
}

async fn tell(terms: Terms) -> Tally {
    let mut telling = Telling::begin(terms).await;
    telling.live().await;
    telling.come_to_rest().await;
    telling.end().await
}

#[tokio::test]
async fn wild_lives() {
    let mut all = Tally::default();
    for seed in seeds(1, 2) {
        all.add(&tell(wild(seed)).await);
    }
    println!("{all:?}");
}
