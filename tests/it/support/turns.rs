//! Two actors that take their store transactions in turns, in every order there is.
//!
//! An actor is a future of the bridge. Each of its store transactions is announced in the log right
//! before it is queued; that is where the actor stops until it is its turn. A turn commits the
//! transaction and does everything up to the next one. Deliberately absent: what the turns mean.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, OnceLock};

use tokio::sync::Notify;
use tracing::field::{Field, Visit};
use tracing::instrument::WithSubscriber;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, Event, Metadata, Subscriber};

/// Transactions that take no turn: each call to Zoho is written down before it is sent, which has
/// nothing to do with any person.
const NO_TURN: &str = "manners";

/// Where an actor is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// On its way to the next transaction.
    Away,
    /// Before this transaction.
    Before(String),
    /// Nothing of it is left.
    Done,
}

/// Where only one subscriber lives, tracing asks the thread that meets a place of the log first, which
/// may be another test's, and remembers its "no" for everybody. With others about, it asks them all.
static OTHERS: OnceLock<[Dispatch; 2]> = OnceLock::new();

struct Inner {
    place: Mutex<Place>,
    may_go: Condvar,
    moved: Notify,
}

/// One actor.
#[derive(Clone)]
pub struct Actor(Arc<Inner>);

impl Actor {
    /// Sets the future on its way, up to its first transaction.
    pub fn new<F: Future<Output = ()> + Send + 'static>(work: F) -> Self {
        let inner =
            Inner { place: Mutex::new(Place::Away), may_go: Condvar::new(), moved: Notify::new() };
        let actor = Self(Arc::new(inner));
        let (gate, me) = (Gate(actor.clone()), actor.clone());
        OTHERS.get_or_init(|| [(); 2].map(|()| Dispatch::new(NoSubscriber::new())));
        tokio::spawn(
            async move {
                // Also when the work panics: whoever waits for it must not wait for ever.
                let _done = Done(me);
                work.await;
            }
            .with_subscriber(gate),
        );
        actor
    }

    /// The transaction it stands before; `None` when nothing of it is left.
    pub async fn stands_before(&self) -> Option<String> {
        loop {
            let moved = self.0.moved.notified();
            let place = self.0.place.lock().unwrap().clone();
            match place {
                Place::Away => moved.await,
                Place::Before(name) => return Some(name),
                Place::Done => return None,
            }
        }
    }

    /// Lets it take one turn, and waits until that is over.
    pub async fn turn(&self) {
        *self.0.place.lock().unwrap() = Place::Away;
        self.0.may_go.notify_all();
        self.stands_before().await;
    }

    fn stop_before(&self, name: String) {
        tokio::task::block_in_place(|| {
            let mut place = self.0.place.lock().unwrap();
            *place = Place::Before(name);
            self.0.moved.notify_one();
            while matches!(*place, Place::Before(_)) {
                place = self.0.may_go.wait(place).unwrap();
            }
        });
    }
}

struct Done(Actor);

impl Drop for Done {
    fn drop(&mut self) {
        *self.0.0.place.lock().unwrap() = Place::Done;
        self.0.0.moved.notify_one();
    }
}

/// Hears of an actor's transactions, and stops it there.
struct Gate(Actor);

#[derive(Default)]
struct Transaction(Option<String>);

impl Visit for Transaction {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "transaction" {
            self.0 = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

impl Subscriber for Gate {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().ends_with("::store")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut transaction = Transaction::default();
        event.record(&mut transaction);
        if let Some(name) = transaction.0.filter(|name| name != NO_TURN) {
            self.0.stop_before(name);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Which of the two takes a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    One,
    Other,
}

/// A turn that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    pub turn: Turn,
    /// Whether the other actor could have gone instead, and that would have been another order.
    pub open: bool,
}

/// The orders that are still to be tried.
///
/// An order is a beginning that was chosen, and after it the first actor as long as it can. Of each
/// that was tried, every place after its beginning where the other could have gone instead makes a
/// new beginning: so each order comes exactly once. Two orders that differ only in neighbouring turns
/// of which neither can see the other are one: only the first actor's turn first is tried.
pub struct Orders(Vec<Vec<Turn>>);

impl Orders {
    pub fn all() -> Self {
        Self(vec![Vec::new()])
    }

    /// Some beginnings that are to be tried next, at most this many.
    pub fn some(&mut self, most: usize) -> Vec<Vec<Turn>> {
        let kept = self.0.len().saturating_sub(most);
        self.0.split_off(kept)
    }

    /// Notes what came after a beginning.
    pub fn tried(&mut self, beginning: usize, taken: &[Taken]) {
        for at in beginning..taken.len() {
            if taken[at].turn == Turn::One && taken[at].open {
                let mut next: Vec<Turn> = taken[..at].iter().map(|taken| taken.turn).collect();
                next.push(Turn::Other);
                self.0.push(next);
            }
        }
    }
}

/// Who goes next: as the beginning says, else the first; after a turn of the other, only what can see
/// it. `None` when this order is another's twin, or nothing is left.
pub fn next(
    beginning: &[Turn],
    taken: &[(Turn, String)],
    (one, other): (Option<&str>, Option<&str>),
    see: impl Fn(&str, &str) -> bool,
) -> Option<Taken> {
    let twin = match (taken.last(), one) {
        (Some((Turn::Other, last)), Some(one)) => !see(last, one),
        _ => false,
    };
    let wished = beginning.get(taken.len()).copied().unwrap_or(Turn::One);
    match (one.filter(|_| !twin), other) {
        (Some(_), Some(_)) => Some(Taken { turn: wished, open: true }),
        (Some(_), None) => Some(Taken { turn: Turn::One, open: false }),
        (None, Some(_)) => Some(Taken { turn: Turn::Other, open: false }),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Orders, Turn, next};

    /// Tries every order of actors with so many turns.
    fn count(one: usize, other: usize, see: impl Fn(&str, &str) -> bool) -> usize {
        let (mut orders, mut count) = (Orders::all(), 0);
        while let Some(beginning) = orders.some(1).pop() {
            let (mut done, mut names, mut taken) = ([0, 0], Vec::new(), Vec::new());
            loop {
                let name = |done: usize, all: usize| (done < all).then(|| done.to_string());
                let places = [name(done[0], one), name(done[1], other)];
                let both = (places[0].as_deref(), places[1].as_deref());
                let Some(turn) = next(&beginning, &names, both, &see) else {
                    count += usize::from(done == [one, other]);
                    break;
                };
                let who = usize::from(turn.turn == Turn::Other);
                names.push((turn.turn, places[who].clone().unwrap()));
                done[who] += 1;
                taken.push(turn);
            }
            orders.tried(beginning.len(), &taken);
        }
        count
    }

    #[test]
    fn every_order_comes_once() {
        let all = |one, other| count(one, other, |_, _| true);
        assert_eq!([all(1, 0), all(0, 3), all(2, 2), all(6, 5)], [1, 1, 6, 462]);
    }

    #[test]
    fn orders_that_nobody_can_tell_apart_come_once() {
        assert_eq!(count(3, 3, |_, _| false), 1);
        // Only the last turns of each see each other.
        assert_eq!(count(3, 3, |one, other| (one, other) == ("2", "2")), 2);
    }
}
