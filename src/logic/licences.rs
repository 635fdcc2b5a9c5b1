//! Licences of external users: what a listing tells about them, and who is given one (R17 to R19).
//!
//! Deliberately absent: taking one away. No plan does that; an operator can.

use crate::domain::membership::{Membership, State};
use crate::domain::{Licence, MembershipId};

/// Whose hand changed a licence, as far as it can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hand {
    /// Zoho's, because of the downgrade (R16, R17).
    Downgrade,
    /// An administrator's, who gave one.
    Gave,
    /// An administrator's, who took one.
    Took,
}

/// What is to be written down of one member's licence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The licence that is shown.
    pub licence: Licence,
    /// Whether the policy list may give one no more.
    pub given: bool,
    /// Whose change this is; `None` when it is the first look at this person.
    pub hand: Option<Hand>,
}

/// The circumstances of a look.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// CRM Plus is downgraded.
    pub downgraded: bool,
    /// The person had joined before the downgrade began.
    pub was_in_before: bool,
}

/// Compares what a listing shows with what is known; `None` when nothing is to be written.
///
/// While downgraded, a paid licence that is gone was Zoho's doing unless it was given since: then it
/// was an administrator's. What an administrator gave or took is never changed by a plan.
pub fn observe(row: &Membership, shown: Licence, look: Look) -> Option<Observed> {
    let seen = |given, hand| Some(Observed { licence: shown, given, hand });
    match (row.licence, shown) {
        (Some(before), now) if before == now => None,
        (None, Licence::Free) if look.downgraded && look.was_in_before => {
            seen(row.licence_given, Some(Hand::Downgrade))
        }
        (None, _) => seen(row.licence_given, None),
        (Some(_), Licence::Paid) => seen(true, Some(Hand::Gave)),
        (Some(_), Licence::Free) if look.downgraded && !row.licence_given => {
            seen(false, Some(Hand::Downgrade))
        }
        (Some(_), Licence::Free) => seen(true, Some(Hand::Took)),
    }
}

/// Whether the policy list may give this member a licence: a joined external user whom a listing
/// shows as free, at most once each.
pub fn may_be_given(row: &Membership) -> bool {
    row.state == State::Joined
        && row.external
        && !row.licence_given
        && row.licence == Some(Licence::Free)
}

/// How many seats are left; `None` when nobody knows how many there are.
///
/// `pool` is what the operator says, `learnt` what was in use when the portal refused for want of
/// one.
pub fn room(pool: Option<u32>, learnt: Option<u32>, used: u32) -> Option<u32> {
    let seats = pool.into_iter().chain(learnt).min()?;
    Some(seats.saturating_sub(used))
}

/// Who gets a seat and who goes without, in the stable order of the ids.
pub fn seat(
    mut wanted: Vec<MembershipId>,
    room: Option<u32>,
) -> (Vec<MembershipId>, Vec<MembershipId>) {
    wanted.sort_unstable();
    let room = room.map_or(wanted.len(), |room| usize::try_from(room).unwrap_or(usize::MAX));
    let without = wanted.split_off(room.min(wanted.len()));
    (wanted, without)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::membership::Origin;
    use crate::domain::{CrmUserId, Email, OrgId, Timestamp};

    fn row(licence: Option<Licence>, licence_given: bool) -> Membership {
        Membership {
            id: MembershipId(1),
            organization: OrgId::from("acme"),
            crm_user_id: CrmUserId::from("7"),
            zuid: None,
            cliq_id: None,
            email: Email::parse("bo@partner.example").unwrap(),
            invited_as: None,
            first_name: String::new(),
            last_name: String::new(),
            invited_by: String::new(),
            language: String::new(),
            time_zone: String::new(),
            state: State::Joined,
            origin: Origin::Made,
            external: true,
            generation: 1,
            sends: 1,
            since: Timestamp(0),
            invited_at: None,
            join_url: None,
            suspected_at: None,
            absent_since: None,
            seen: true,
            unseen_since: None,
            reminded: 0,
            overdue_told: false,
            licence,
            licence_given,
            restricted_by_bridge: false,
            parked: None,
        }
    }

    fn hand(licence: Option<Licence>, given: bool, shown: Licence, look: Look) -> Option<Hand> {
        observe(&row(licence, given), shown, look).and_then(|observed| observed.hand)
    }

    #[test]
    fn r17_a_paid_licence_that_is_gone_after_a_downgrade_is_zohos_doing() {
        use Licence::{Free, Paid};
        let after = Look { downgraded: true, was_in_before: true };
        assert_eq!(hand(Some(Paid), false, Free, after), Some(Hand::Downgrade));
        assert_eq!(hand(None, false, Free, after), Some(Hand::Downgrade), "never looked at before");
        let later = Look { was_in_before: false, ..after };
        let joined_later = observe(&row(None, false), Free, later).unwrap();
        assert_eq!(joined_later.hand, None, "later joiners are expected free");
        assert_eq!(observe(&row(Some(Free), false), Free, after), None);
        let flipped = observe(&row(Some(Paid), false), Free, after).unwrap();
        assert!(!flipped.given, "the list may give one once more");
    }

    #[test]
    fn r18_what_an_administrator_gave_or_took_is_settled() {
        use Licence::{Free, Paid};
        for downgraded in [false, true] {
            let look = Look { downgraded, was_in_before: true };
            let gave = observe(&row(Some(Free), false), Paid, look).unwrap();
            assert_eq!((gave.hand, gave.given), (Some(Hand::Gave), true));
            let took = observe(&row(Some(Paid), true), Free, look).unwrap();
            assert_eq!((took.hand, took.given), (Some(Hand::Took), true));
            assert!(!may_be_given(&row(Some(Free), took.given)));
        }
        let look = Look { downgraded: false, was_in_before: true };
        let took = observe(&row(Some(Paid), false), Free, look).unwrap();
        assert_eq!((took.hand, took.given), (Some(Hand::Took), true), "no downgrade did that");
    }

    #[test]
    fn r18_only_a_joined_external_user_who_is_shown_free_is_given_a_licence() {
        let free = row(Some(Licence::Free), false);
        assert!(may_be_given(&free));
        assert!(!may_be_given(&row(None, false)), "not looked at");
        assert!(!may_be_given(&row(Some(Licence::Paid), false)));
        assert!(!may_be_given(&Membership { state: State::Invited, ..free.clone() }));
        assert!(!may_be_given(&Membership { external: false, ..free }));
    }

    #[test]
    fn r18_the_pool_is_filled_in_a_stable_order() {
        let people: Vec<MembershipId> = [5, 2, 9, 1].map(MembershipId).into();
        let (given, without) = seat(people.clone(), room(Some(10), None, 8));
        assert_eq!(
            (given, without),
            (vec![MembershipId(1), MembershipId(2)], vec![MembershipId(5), MembershipId(9)])
        );
        assert_eq!(seat(people.clone(), room(None, None, 8)).1, []);
        assert_eq!(seat(people, room(Some(2), None, 8)).0, [], "more in use than there are");
    }

    #[test]
    fn g13_what_the_portal_refused_is_learnt_until_a_seat_is_free() {
        assert_eq!(room(None, Some(3), 3), Some(0));
        assert_eq!(room(None, Some(3), 2), Some(1));
        assert_eq!(room(Some(10), Some(3), 3), Some(0));
        assert_eq!(room(None, None, 3), None);
    }
}
