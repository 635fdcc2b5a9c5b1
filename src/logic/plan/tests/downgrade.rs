//! What each pair of plans does to people in each state: the table of domain rules, section 2.

use super::*;
use crate::domain::{CliqPlan, Subscription};
use crate::logic::access;

const PAIRS: [(CliqPlan, Subscription); 4] = [
    (CliqPlan::Free, Subscription::Active),
    (CliqPlan::Free, Subscription::Downgraded),
    (CliqPlan::Paid, Subscription::Active),
    (CliqPlan::Paid, Subscription::Downgraded),
];

const PRESENCES: [Presence; 4] =
    [Presence::Active, Presence::Pending, Presence::Inactive, Presence::Unknown];

fn restricting() -> Policy {
    Policy { restrict_on_free_downgrade: true, ..policy() }
}

fn look(row: &Membership, presence: Presence, access: Access) -> Decision {
    let (ada, seen) = (user("ada@acme.example"), cliq(presence));
    let facts = Facts { access, ..facts(Some(&ada), Some(&seen), Some(row)) };
    plan_one(&restricting(), &facts, NOW)
}

fn known(state: State, restricted_by_bridge: bool) -> Membership {
    Membership { external: true, sends: 1, restricted_by_bridge, ..member(state) }
}

fn takes(step: Step) -> bool {
    matches!(step, Step::Portal(PortalVerb::RemoveExternal | PortalVerb::Restrict))
}

/// Every state, presence and CRM standing, under one access.
fn everybody(access: Access, mut check: impl FnMut(&Membership, Presence, bool, &Decision)) {
    let long_ago = NOW - Duration::from_hours(10_000);
    for state in State::ALL {
        for presence in PRESENCES {
            for standing in ["active", "disabled", "deleted", "absent"] {
                let row = Membership {
                    since: long_ago,
                    suspected_at: Some(long_ago),
                    absent_since: Some(long_ago),
                    ..known(*state, false)
                };
                let user = CrmUser {
                    standing: match standing {
                        "active" => Standing::Active,
                        word => Standing::NotActive(word.to_owned()),
                    },
                    ..user("ada@acme.example")
                };
                let (crm, seen) = ((standing != "absent").then_some(&user), cliq(presence));
                let facts = facts(crm, Some(&seen), Some(&row));
                let facts = Facts { access, complete: true, ..facts };
                check(&row, presence, standing == "active", &plan_one(&restricting(), &facts, NOW));
            }
        }
    }
}

#[test]
fn g8_no_transition_between_two_pairs_of_plans_removes_anybody() {
    for (from, to) in PAIRS.iter().flat_map(|from| PAIRS.map(|to| (*from, to))) {
        for confirmed in [false, true] {
            // Only the new pair counts: nothing is remembered of the old one.
            let access = access::decide(to.0, to.1, true, confirmed);
            everybody(access, |row, presence, active, decision| {
                let removal = Step::Portal(PortalVerb::RemoveExternal);
                let removes = decision.steps.contains(&removal);
                let downgraded = to.1 == Subscription::Downgraded;
                assert!(
                    !removes || (!downgraded && !active),
                    "{from:?} to {to:?}: {} {presence:?} {decision:?}",
                    row.state
                );
            });
        }
    }
}

#[test]
fn r13_r14_r16_a_downgrade_takes_nothing_from_anybody() {
    for access in [Access::Retained, Access::FreeByZoho] {
        everybody(access, |row, presence, _, decision| {
            assert!(
                !decision.steps.iter().copied().any(takes),
                "{access}: {} {presence:?} {decision:?}",
                row.state
            );
        });
    }
}

#[test]
fn r15_restricting_is_for_owned_external_people_who_are_in() {
    for state in State::ALL {
        let restricts = |row: &Membership, presence| {
            look(row, presence, Access::Restricted).steps == [Step::Portal(PortalVerb::Restrict)]
        };
        let row = known(*state, false);
        assert!(restricts(&row, Presence::Active), "{state}");
        for presence in [Presence::Pending, Presence::Inactive, Presence::Unknown] {
            assert!(!restricts(&row, presence), "{state} {presence:?}");
        }
        let theirs = Membership { origin: Origin::Present, ..row };
        assert!(!restricts(&theirs, Presence::Active), "there before the bridge");
    }
    let decision = look(&known(State::Joined, false), Presence::Active, Access::Restricted);
    assert!(!decision.guarded, "the guard does not count it");
}

#[test]
fn r15_what_the_bridge_restricted_stays_so_until_the_downgrade_is_over() {
    let row = known(State::Restricted, true);
    let during = look(&row, Presence::Inactive, Access::Restricted);
    assert_eq!((during.steps, during.verdict), (vec![], Verdict::StaysRestricted));
    for after in [Access::Normal, Access::Retained, Access::FreeByZoho] {
        let restored = look(&row, Presence::Inactive, after);
        assert_eq!(restored.steps, [Step::Portal(PortalVerb::Restore)], "{after}");
    }
    for access in Access::ALL {
        let theirs = look(&known(State::Restricted, false), Presence::Inactive, *access);
        assert_eq!(theirs.steps, [], "an administrator's restriction is never undone");
    }
}

#[test]
fn r15_a_restriction_that_an_administrator_lifted_is_noticed_and_not_repeated_at_once() {
    let row = known(State::Restricted, true);
    let lifted = look(&row, Presence::Active, Access::Restricted);
    assert_eq!(lifted.steps, []);
    assert_eq!(
        lifted.ledger.map(|row| (row.state, row.restricted_by_bridge)),
        Some((State::Joined, false))
    );
    let not_shown_yet = look(&known(State::Joined, true), Presence::Active, Access::Restricted);
    assert_eq!(not_shown_yet.steps, []);
    assert!(not_shown_yet.ledger.is_none_or(|row| row.restricted_by_bridge), "still the bridge's");
}

#[test]
fn r15_a_refused_restriction_is_not_tried_again_by_itself() {
    let parked = Membership { parked: Some("no_permission".into()), ..known(State::Joined, false) };
    let decision = look(&parked, Presence::Active, Access::Restricted);
    assert_eq!(
        (decision.steps, decision.verdict),
        (vec![], Verdict::Parked("no_permission".into()))
    );
}

#[test]
fn nobody_is_invited_to_be_restricted_on_arrival() {
    let ada = user("ada@acme.example");
    let fresh = facts(Some(&ada), None, None);
    let held = plan_one(&restricting(), &Facts { access: Access::Restricted, ..fresh }, NOW);
    assert_eq!((held.steps, held.verdict), (vec![], Verdict::HeldByDowngrade));
    for access in [Access::Normal, Access::Retained, Access::FreeByZoho] {
        let added = plan_one(&restricting(), &Facts { access, ..fresh }, NOW);
        assert_eq!(added.verdict, Verdict::Add, "{access}");
    }
}
