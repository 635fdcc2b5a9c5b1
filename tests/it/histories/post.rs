//! The way of webhooks from CRM Plus to the bridge: in order, or lost, doubled, late and shuffled.
//!
//! Deliberately absent: signatures and schemes, which have tests of their own.

use futures_util::future::join_all;

use super::super::support::Bridge;
use super::acts::Event;
use super::dice::Dice;
use super::people::ORGANIZATIONS;

/// How events travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Post {
    /// Each once, in order.
    Orderly,
    /// A part is lost, a part comes twice, a part much later, and none in order.
    Wild,
}

/// Events on their way.
#[derive(Debug)]
pub struct Bag {
    how: Post,
    late: Vec<Event>,
}

impl Bag {
    pub fn new(how: Post) -> Self {
        Self { how, late: Vec::new() }
    }

    /// Delivers what comes now; answers how many requests that was.
    pub async fn deliver(&mut self, bridge: &Bridge, dice: &mut Dice, new: Vec<Event>) -> usize {
        let mut now = Vec::new();
        if self.how == Post::Orderly {
            now = new;
        } else {
            for event in std::mem::take(&mut self.late).into_iter().chain(new) {
                match dice.below(10) {
                    0..3 => {}
                    3 => self.late.push(event),
                    _ => now.push(event),
                }
            }
        }
        let mut bodies: Vec<_> = now
            .iter()
            .map(|event| bridge.event(event.kind, ORGANIZATIONS[event.place], &event.user))
            .collect();
        if self.how == Post::Wild {
            let twice: Vec<_> = bodies.iter().filter(|_| dice.percent(15)).cloned().collect();
            bodies.extend(twice);
            dice.shuffle(&mut bodies);
        }
        let sent = join_all(bodies.iter().map(|body| bridge.webhook("crmplus", body))).await;
        for answer in &sent {
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        sent.len()
    }
}
