//! The plans of an organization: what CRM's licence details say, when that is believed, and what it
//! means for external users (R13 to R19, G7, G8).
//!
//! Deliberately absent: removals. No pair of plans takes anybody away, so there is no word for it
//! here.

use std::collections::BTreeSet;

use crate::domain::access::CliqPlan;
use crate::domain::{Access, Subscription};

/// Agreeing reads of CRM's licence details, one after the other, that confirm a downgrade or
/// outweigh what was believed before (design section 11, "Guard" and "Plan webhooks"). A single one
/// may be a slip of the vendor's.
pub const READS_NEEDED: u32 = 2;

/// The downgrade table: what this pair of plans means, whatever it was before.
///
/// `restrict` is the administrator's standing choice for the free plan (R15); `confirmed` says that
/// the downgrade was read twice or approved, since a webhook alone restricts nobody.
pub fn decide(
    cliq_plan: CliqPlan,
    subscription: Subscription,
    restrict: bool,
    confirmed: bool,
) -> Access {
    match (cliq_plan, subscription) {
        (_, Subscription::Active | Subscription::Unknown) => Access::Normal,
        (CliqPlan::Paid, Subscription::Downgraded) => Access::FreeByZoho,
        (CliqPlan::Free, Subscription::Downgraded) if restrict && confirmed => Access::Restricted,
        (CliqPlan::Free, Subscription::Downgraded) => Access::Retained,
    }
}

/// CRM's licence details, as far as they tell the plan (contract section 3.2, `license_details`).
#[derive(Clone, Copy, Debug)]
pub struct Details<'a> {
    /// `paid`
    pub paid: Option<bool>,
    /// `paid_type`
    pub paid_type: Option<&'a str>,
}

/// What one read says, and the type to remember if it is the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said<'a> {
    /// The subscription; unknown says nothing.
    pub subscription: Subscription,
    /// The first type ever seen: it counts as active from now on.
    pub first: Option<&'a str>,
}

/// Reads the licence details against the types that mean CRM Plus (`crmplus_paid_types`), or against
/// the first one seen where none is configured.
///
/// An organization that was never seen paid has nothing to be downgraded from: unknown. Nor is a type
/// taken for the first one while `believed` is downgraded: it may be what it was downgraded to.
pub fn read<'a>(
    details: Details<'a>,
    active: &BTreeSet<String>,
    first_seen: Option<&str>,
    believed: Subscription,
) -> Said<'a> {
    let said = |subscription| Said { subscription, first: None };
    let known = !active.is_empty() || first_seen.is_some();
    match (details.paid, details.paid_type) {
        (Some(false), _) if known => said(Subscription::Downgraded),
        (Some(false), _) | (_, None) => said(Subscription::Unknown),
        (_, Some(word)) => match first_seen {
            _ if active.contains(word) => said(Subscription::Active),
            _ if !active.is_empty() => said(Subscription::Downgraded),
            None if believed == Subscription::Downgraded => said(Subscription::Unknown),
            None => Said { subscription: Subscription::Active, first: Some(word) },
            Some(first) if first == word => said(Subscription::Active),
            Some(_) => said(Subscription::Downgraded),
        },
    }
}

/// What a plan's name in an event says, against the same types; unknown where there is none to go by.
pub fn by_name(name: &str, active: &BTreeSet<String>, first_seen: Option<&str>) -> Subscription {
    if active.contains(name) || (active.is_empty() && first_seen == Some(name)) {
        Subscription::Active
    } else if active.is_empty() {
        Subscription::Unknown
    } else {
        Subscription::Downgraded
    }
}

/// What a read does to what is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Nothing new.
    Nothing,
    /// It is the newest of enough reads that say downgraded, as believed: confirmed.
    Confirms,
    /// It differs from what is believed; one read is not enough to go by it.
    Contradicts,
    /// It is gone by from now on.
    Prevails,
}

/// Weighs a read against what is believed; `reads` agree with it, itself included.
pub fn weigh(believed: Subscription, says: Subscription, reads: u32) -> Weight {
    match (believed, says) {
        (_, Subscription::Unknown) => Weight::Nothing,
        (Subscription::Unknown, _) => Weight::Prevails,
        (Subscription::Downgraded, Subscription::Downgraded) if reads == READS_NEEDED => {
            Weight::Confirms
        }
        _ if believed == says => Weight::Nothing,
        _ if reads >= READS_NEEDED => Weight::Prevails,
        _ => Weight::Contradicts,
    }
}

/// Whether a downgrade is more than one sender's word.
pub fn is_confirmed(read: Option<Subscription>, reads: u32, approved: bool) -> bool {
    approved || (read == Some(Subscription::Downgraded) && reads >= READS_NEEDED)
}

/// What follows from a change of the subscription, for the notice about it; `{id}` stands for the
/// organization.
pub fn outlook(
    cliq_plan: CliqPlan,
    subscription: Subscription,
    restrict: bool,
    portal_adds: bool,
) -> &'static str {
    match (cliq_plan, subscription) {
        (_, Subscription::Unknown) => "Nothing follows from that.",
        (_, Subscription::Active) => {
            "Whom cliqbridge restricted because of a downgrade is restored; no licence is changed, \
             so look through the licences yourself: CRM Plus, Admin panel, Users."
        }
        (CliqPlan::Paid, Subscription::Downgraded) => {
            "Cliq is on a paid plan, so Zoho itself makes external users free users. cliqbridge \
             records that and changes nothing back. It goes on adding people and inviting them to \
             channels; nobody is removed or taken out of a channel until the plan is active again. \
             Licences are given in CRM Plus, Admin panel, \
             Users; in function mode also with `cliqbridge memberships assign-licence` or by the \
             list `assign_licence`."
        }
        (CliqPlan::Free, Subscription::Downgraded) if !restrict => {
            "Cliq is on its free plan, so everybody keeps access and nothing is changed; nobody is \
             invited to a channel or taken out of one until the plan is active again. To \
             restrict external users all the same: CRM Plus, Admin panel, Users; in function mode \
             also `cliqbridge memberships restrict`, or on_free_downgrade = \"restrict\"."
        }
        (CliqPlan::Free, Subscription::Downgraded) if portal_adds => {
            "on_free_downgrade = \"restrict\": external users are restricted as soon as two reads \
             of CRM's licence details agree, or an operator approves it: POST \
             /api/v1/organizations/{id}/approve-downgrade."
        }
        (CliqPlan::Free, Subscription::Downgraded) => {
            "on_free_downgrade = \"restrict\", but in observe mode cliqbridge cannot restrict: \
             restrict external users in CRM Plus, Admin panel, Users."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIRS: [(CliqPlan, Subscription); 4] = [
        (CliqPlan::Free, Subscription::Active),
        (CliqPlan::Free, Subscription::Downgraded),
        (CliqPlan::Paid, Subscription::Active),
        (CliqPlan::Paid, Subscription::Downgraded),
    ];

    #[test]
    fn r13_r16_g8_the_downgrade_table() {
        let expected = [Access::Normal, Access::Retained, Access::Normal, Access::FreeByZoho];
        for ((plan, subscription), expected) in PAIRS.into_iter().zip(expected) {
            for confirmed in [false, true] {
                assert_eq!(decide(plan, subscription, false, confirmed), expected);
            }
        }
    }

    #[test]
    fn r15_c5_restricting_takes_the_standing_choice_and_a_confirmation() {
        for (restrict, confirmed) in [(false, false), (false, true), (true, false), (true, true)] {
            for (plan, subscription) in PAIRS {
                let access = decide(plan, subscription, restrict, confirmed);
                let both = restrict && confirmed;
                let here = (plan, subscription) == (CliqPlan::Free, Subscription::Downgraded);
                assert_eq!(access == Access::Restricted, both && here, "{plan} {subscription}");
            }
        }
    }

    #[test]
    fn an_unknown_subscription_changes_nothing() {
        for plan in [CliqPlan::Free, CliqPlan::Paid] {
            assert_eq!(decide(plan, Subscription::Unknown, true, true), Access::Normal);
        }
    }

    fn says(
        paid: Option<bool>,
        word: Option<&str>,
        active: &[&str],
        first: Option<&str>,
    ) -> String {
        let active = active.iter().map(|word| (*word).to_owned()).collect();
        let said = read(Details { paid, paid_type: word }, &active, first, Subscription::Unknown);
        format!("{}{}", said.subscription, said.first.map_or("", |_| ", remembered"))
    }

    #[test]
    fn the_first_type_seen_counts_as_active_where_none_is_configured() {
        assert_eq!(says(Some(true), Some("plus"), &[], None), "active, remembered");
        assert_eq!(says(Some(true), Some("plus"), &[], Some("plus")), "active");
        assert_eq!(says(Some(true), Some("free"), &[], Some("plus")), "downgraded");
        assert_eq!(says(Some(false), Some("plus"), &[], Some("plus")), "downgraded");
        assert_eq!(says(None, Some("plus"), &[], Some("plus")), "active");
        assert_eq!(says(Some(false), Some("trial"), &[], None), "unknown", "never seen paid");
        assert_eq!(says(Some(true), None, &[], Some("plus")), "unknown");
        assert_eq!(says(None, None, &["plus"], None), "unknown");
    }

    #[test]
    fn a_first_type_seen_after_a_downgrade_is_no_baseline() {
        let details = Details { paid: Some(true), paid_type: Some("free") };
        let said = read(details, &BTreeSet::new(), None, Subscription::Downgraded);
        assert_eq!(said, Said { subscription: Subscription::Unknown, first: None });
    }

    #[test]
    fn configured_types_outweigh_the_first_one_seen() {
        let types = ["plus", "plus2"];
        assert_eq!(says(Some(true), Some("plus2"), &types, Some("free")), "active");
        assert_eq!(says(Some(true), Some("free"), &types, Some("free")), "downgraded");
        assert_eq!(says(Some(false), None, &types, None), "downgraded");
    }

    #[test]
    fn a_contradiction_prevails_when_it_is_read_twice() {
        use Subscription::{Active, Downgraded, Unknown};
        assert_eq!(weigh(Active, Downgraded, 1), Weight::Contradicts);
        assert_eq!(weigh(Active, Downgraded, 2), Weight::Prevails);
        assert_eq!(weigh(Downgraded, Active, 1), Weight::Contradicts);
        assert_eq!(weigh(Downgraded, Downgraded, 1), Weight::Nothing);
        assert_eq!(weigh(Downgraded, Downgraded, 2), Weight::Confirms);
        assert_eq!(weigh(Downgraded, Downgraded, 3), Weight::Nothing);
        assert_eq!(weigh(Active, Active, 2), Weight::Nothing);
        for believed in [Active, Downgraded, Unknown] {
            assert_eq!(weigh(believed, Unknown, 9), Weight::Nothing, "says nothing");
        }
        assert_eq!(weigh(Unknown, Downgraded, 1), Weight::Prevails, "nothing to contradict");
    }

    #[test]
    fn a_webhook_alone_confirms_nothing() {
        use Subscription::{Active, Downgraded};
        assert!(!is_confirmed(None, 0, false));
        assert!(!is_confirmed(Some(Downgraded), 1, false));
        assert!(!is_confirmed(Some(Active), 9, false));
        assert!(is_confirmed(Some(Downgraded), 2, false));
        assert!(is_confirmed(None, 0, true));
    }
}
