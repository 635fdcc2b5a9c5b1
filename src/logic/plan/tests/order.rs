//! Listings have no order: whatever order their rows came in, everybody is decided about alike.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;

use super::{NOW, cliq, facts, policy, user};
use crate::domain::{
    CliqId, CliqUser, CrmUser, CrmUserId, Directory, Email, Presence, Roster, Standing, Zuid,
};
use crate::logic::plan::{Facts, doubles, is_claimed, matching, plan_one};

/// What is decided about each, by id.
fn decisions(users: Vec<CrmUser>, rows: Vec<CliqUser>) -> BTreeMap<String, String> {
    let roster = Roster::complete(users, 1).unwrap();
    let directory = Directory::complete(rows, 1);
    let doubles = doubles(&roster);
    let one = |user: &CrmUser| {
        let matched = matching(user, None, &directory);
        let claimed = matches!(matched, super::Matched::One(row)
            if user.standing != Standing::Active && is_claimed(&roster, row));
        let rival = doubles.contains(&user.id);
        let facts = Facts { cliq: matched, rival, claimed, ..facts(Some(user), None, None) };
        (user.id.to_string(), format!("{:?}", plan_one(&policy(), &facts, NOW)))
    };
    roster.iter().map(one).collect()
}

fn person(id: usize, (address, zuid, active): (u8, Option<u8>, bool)) -> CrmUser {
    CrmUser {
        id: CrmUserId::new(id.to_string()),
        zuid: zuid.map(|zuid| Zuid::new(zuid.to_string())),
        standing: if active { Standing::Active } else { Standing::NotActive("deleted".into()) },
        ..user(&format!("p{address}@partner.example"))
    }
}

fn row(id: usize, (address, zuid, presence): (u8, Option<u8>, bool)) -> CliqUser {
    CliqUser {
        id: CliqId::new(format!("c{id}")),
        zuid: zuid.map(|zuid| Zuid::new(zuid.to_string())),
        email: Email::parse(&format!("p{address}@partner.example")).ok(),
        ..cliq(if presence { Presence::Active } else { Presence::Pending })
    }
}

fn shuffled<T: Clone>(rows: &[T], swaps: &[(Index, Index)]) -> Vec<T> {
    let mut rows = rows.to_vec();
    let length = rows.len();
    for (one, other) in swaps.iter().filter(|_| length > 0) {
        rows.swap(one.index(length), other.index(length));
    }
    rows
}

proptest! {
    #[test]
    fn the_order_of_rows_decides_nothing(
        users in prop::collection::vec((0_u8..8, prop::option::of(0_u8..8), any::<bool>()), 1..12),
        rows in prop::collection::vec((0_u8..8, prop::option::of(0_u8..8), any::<bool>()), 0..12),
        swaps in prop::collection::vec(any::<(Index, Index)>(), 0..20),
    ) {
        let users: Vec<CrmUser> =
            users.into_iter().enumerate().map(|(id, facts)| person(id, facts)).collect();
        let rows: Vec<CliqUser> =
            rows.into_iter().enumerate().map(|(id, facts)| row(id, facts)).collect();
        prop_assert_eq!(
            decisions(users.clone(), rows.clone()),
            decisions(shuffled(&users, &swaps), shuffled(&rows, &swaps))
        );
    }
}
