//! The planner of guests against the rules, case by case.

mod case;

use super::{ChannelStep, GuestDecision, GuestVerdict, Mapping, Terms, hindrance, remedy, room};
use crate::domain::channel::{ChannelFacts, GuestState, Level, Way};
use crate::domain::membership::State;
use crate::domain::{Access, CliqId, CliqPlan, Standing, Zuid};
use case::{Case, DAY, NOW, case, email, facts};

/// One fact of a channel, changed.
type Change = fn(&mut ChannelFacts);

const INVITE: Option<ChannelStep> = Some(ChannelStep::Add(Way::Invitation));
const ADD: Option<ChannelStep> = Some(ChannelStep::Add(Way::Direct));
const REMOVE: Option<ChannelStep> = Some(ChannelStep::Remove);

fn state(decision: &GuestDecision) -> Option<GuestState> {
    decision.guest.as_ref().map(|guest| guest.state)
}

#[test]
fn r41_an_external_channel_is_an_invitation_from_invited_on() {
    for (membership, step) in [
        (State::Invited, INVITE),
        (State::Joined, INVITE),
        (State::Wanted, None),
        (State::Restricted, None),
    ] {
        let decision = case(membership).plan();
        assert_eq!(decision.step, step, "{membership}");
        assert_eq!(state(&decision), Some(GuestState::Wanted), "{membership}");
    }
    for gone in [State::Declined, State::Blocked, State::Left, State::Expired, State::Removed] {
        let decision = case(gone).plan();
        assert_eq!((decision.step, decision.guest), (None, None), "{gone}");
    }
}

#[test]
fn c2_organization_and_private_channels_are_direct_adds_of_who_has_joined() {
    for level in [Level::Organization, Level::Private] {
        assert_eq!(case(State::Joined).level(level).plan().step, ADD);
        let waits = case(State::Invited).level(level).plan();
        assert_eq!((waits.step, waits.verdict), (None, GuestVerdict::WaitsForJoin));
    }
}

#[test]
fn r13_r16_a_downgrade_holds_what_the_table_of_plans_says_and_tells_it() {
    let out = Mapping::Lapsed("test");
    for (access, adds, removes) in [
        (Access::Normal, true, true),
        (Access::FreeByZoho, true, false),
        (Access::Retained, false, false),
        (Access::Restricted, false, false),
    ] {
        let invite = case(State::Joined).with(|case| case.access = access).plan();
        assert_eq!(invite.step.is_some(), adds, "{access:?}");
        let gone = case(State::Joined).guest(GuestState::Joined);
        let gone = gone.with(|case| (case.access, case.mapping) = (access, out)).plan();
        assert_eq!(gone.step.is_some(), removes, "{access:?}");
        for (decision, goes) in [(&invite, adds), (&gone, removes)] {
            let parked = decision.guest.as_ref().and_then(|guest| guest.parked.as_deref());
            assert_eq!(parked, (!goes).then_some("downgraded"), "{access:?}");
            assert_eq!(decision.verdict == GuestVerdict::Downgraded, !goes, "{access:?}");
        }
    }
    // Active again: what was held goes on.
    let mut case = case(State::Joined).guest(GuestState::Joined);
    case.mapping = out;
    case.guest.as_mut().unwrap().parked = Some("downgraded".to_owned());
    assert_eq!(case.plan().step, REMOVE);
}

#[test]
fn r43_own_people_are_added_once_and_never_taken_out() {
    let own = |state: GuestState| {
        let mut case = case(State::Joined).guest(state);
        case.membership = None;
        case.own = Some(CliqId::from("55"));
        case.guest.as_mut().unwrap().membership = None;
        case
    };
    let fresh = own(GuestState::Wanted).with(|case| case.guest = None).plan();
    assert_eq!((fresh.step, fresh.guest.unwrap().membership), (ADD, None));
    assert_eq!(own(GuestState::Left).plan().step, None);
    for state in GuestState::ALL {
        for mapping in [Mapping::Lapsed("the profile changed"), Mapping::Unknown] {
            let decision = own(*state).with(|case| case.mapping = mapping).plan();
            assert_eq!(decision.step, None, "{state}");
        }
    }
}

#[test]
fn r27_r28_a_team_channel_takes_nobody_and_puts_out_whom_it_held() {
    let team =
        |case: Case| case.level(Level::Team).with(|case| case.hindrance = Some("team_channel"));
    let decision = team(case(State::Joined)).plan();
    assert_eq!(
        (decision.step, decision.guest.unwrap().parked.as_deref()),
        (None, Some("team_channel"))
    );
    let out = team(case(State::Joined).guest(GuestState::Joined)).sees(false).plan();
    assert_eq!((state(&out), out.verdict), (Some(GuestState::Removed), GuestVerdict::PutOut));
    let still = team(case(State::Joined).guest(GuestState::Removed)).sees(false).plan();
    assert_eq!(still.step, None);
}

#[test]
fn r42_only_the_member_list_makes_anybody_joined() {
    for before in GuestState::ALL {
        let seen = case(State::Joined).guest(*before).sees(true).plan();
        let after = state(&seen).unwrap_or(*before);
        assert_eq!((after, seen.step), (GuestState::Joined, None), "{before}");
        let unread = case(State::Joined).guest(*before).plan();
        assert_ne!(state(&unread), Some(GuestState::Joined), "{before}");
    }
}

#[test]
fn r47_r54_an_account_flips_the_case_without_a_second_invitation() {
    let decision = case(State::Invited)
        .guest(GuestState::AwaitingSignup)
        .with(|case| case.crm.as_mut().unwrap().zuid = Some(Zuid::from("1")))
        .plan();
    assert_eq!((state(&decision), decision.step), (Some(GuestState::SignedUp), None));
}

#[test]
fn r53_who_must_sign_up_first_has_longer() {
    let after = |state: GuestState, days: u32| {
        case(State::Invited).guest(state).with(|case| case.now = NOW + DAY * days).plan()
    };
    assert_eq!(state(&after(GuestState::Invited, 7)), Some(GuestState::Expired));
    assert_eq!(state(&after(GuestState::SignedUp, 7)), Some(GuestState::Expired));
    assert_eq!(after(GuestState::AwaitingSignup, 29).guest, None);
    let expired = after(GuestState::AwaitingSignup, 30);
    assert_eq!((state(&expired), expired.step), (Some(GuestState::Expired), None));
}

#[test]
fn r55_who_signs_up_after_expiry_is_invited_once_more() {
    let late = |has_account: bool| {
        case(State::Invited)
            .guest(GuestState::Expired)
            .with(|case| case.crm.as_mut().unwrap().zuid = Some(Zuid::from("1")))
            .with(|case| case.guest.as_mut().unwrap().has_account = has_account)
            .plan()
    };
    assert_eq!((late(false).step, late(false).verdict), (INVITE, GuestVerdict::InviteAgain));
    assert_eq!(late(true).step, None, "an account was there, or the second chance was used");
}

#[test]
fn r48_one_invitation_per_generation_and_a_new_one_asks_once() {
    let open = [GuestState::Invited, GuestState::AwaitingSignup, GuestState::SignedUp];
    let over = [GuestState::Expired, GuestState::Declined, GuestState::Removed];
    for known in open.into_iter().chain(over).chain([GuestState::Joined, GuestState::Left]) {
        assert_eq!(case(State::Joined).guest(known).plan().step, None, "{known}");
        let anew = case(State::Joined)
            .guest(known)
            .with(|case| case.membership.as_mut().unwrap().generation = 2)
            .plan();
        assert_eq!(anew.step, INVITE.filter(|_| over.contains(&known)), "{known}");
        assert_eq!(anew.guest.is_some_and(|guest| guest.generation == 2), over.contains(&known));
    }
}

#[test]
fn an_operator_who_asks_for_the_person_leads_out_of_a_dead_end() {
    for known in GuestState::ALL {
        let asks = case(State::Joined).guest(*known).with(|case| case.rearm = true).plan();
        let dead = matches!(
            known,
            GuestState::Removed | GuestState::Expired | GuestState::Declined | GuestState::Wanted
        );
        assert_eq!(asks.step, INVITE.filter(|_| dead), "{known}");
        let held = case(State::Joined)
            .guest(*known)
            .with(|case| (case.rearm, case.mapping) = (true, Mapping::Held))
            .plan();
        assert_eq!(held.step, None, "{known}");
    }
    // Asked twice without an answer, whatever became of the mark.
    for parked in [None, Some("unanswered".to_owned())] {
        let unanswered = case(State::Joined)
            .guest(GuestState::Invited)
            .with(|case| case.rearm = true)
            .with(|case| {
                let guest = case.guest.as_mut().unwrap();
                (guest.unanswered, guest.parked) = (2, parked);
            })
            .plan();
        assert_eq!(unanswered.step, INVITE);
        assert_eq!(unanswered.guest.unwrap().unanswered, 0);
    }
}

#[test]
fn who_is_meant_again_is_invited_once_after_a_day() {
    let again = |state: GuestState, hours: u64, ours: bool| {
        case(State::Joined)
            .guest(state)
            .with(|case| case.now = NOW + std::time::Duration::from_hours(hours))
            .with(|case| case.guest.as_mut().unwrap().invited_at = ours.then_some(NOW))
            .plan()
            .step
    };
    for ours in [true, false] {
        assert_eq!(again(GuestState::Removed, 23, ours), None);
        assert_eq!(again(GuestState::Removed, 24, ours), INVITE);
        assert_eq!(again(GuestState::Left, 240, ours), None);
    }
    let team = case(State::Joined)
        .guest(GuestState::Removed)
        .level(Level::Team)
        .with(|case| case.now = NOW + DAY * 9)
        .plan();
    assert_eq!(team.guest, None, "put out by Cliq (R28)");
}

#[test]
fn r57_who_comes_back_after_being_out_came_by_another_hand() {
    let left = case(State::Joined)
        .guest(GuestState::Joined)
        .with(|case| case.guest.as_mut().unwrap().unseen_since = Some(NOW))
        .with(|case| case.now = NOW + DAY)
        .sees(false)
        .plan();
    let row = left.guest.unwrap();
    assert_eq!((row.state, row.is_ours()), (GuestState::Left, false));
    let back = case(State::Joined)
        .with(|case| case.guest = Some(row))
        .with(|case| case.mapping = Mapping::Lapsed("the profile changed"))
        .sees(true)
        .plan();
    assert_eq!((state(&back), back.step), (Some(GuestState::Joined), None));
}

#[test]
fn r29_who_does_not_show_as_external_is_left_alone_in_every_state() {
    for known in [GuestState::Joined, GuestState::Invited, GuestState::SignedUp] {
        let decision = case(State::Removed)
            .guest(known)
            .with(|case| case.guest.as_mut().unwrap().parked = Some("not_external".to_owned()))
            .plan();
        assert_eq!(decision.step, None, "{known}");
    }
    // One of the organization's own by now, who was invited as an external one.
    let own = case(State::Joined)
        .guest(GuestState::Invited)
        .with(|case| (case.membership, case.own) = (None, Some(CliqId::from("55"))))
        .with(|case| case.mapping = Mapping::Lapsed("the profile changed"))
        .plan();
    assert_eq!(own.step, None);
}

#[test]
fn nobody_is_taken_out_of_a_channel_that_is_not_shown() {
    let plan = |hindrance: &'static str| {
        case(State::Removed)
            .guest(GuestState::Joined)
            .with(|case| case.hindrance = Some(hindrance))
            .plan()
    };
    for code in ["channel_not_found", "channel_not_exists", "channel_unreadable"] {
        let decision = plan(code);
        assert_eq!(
            (decision.step, decision.verdict),
            (None, GuestVerdict::Parked(code.to_owned()))
        );
    }
    assert_eq!(plan("permission").step, REMOVE, "that is about bringing in");
}

#[test]
fn left_takes_two_complete_lists_and_is_for_good() {
    let first = case(State::Joined).guest(GuestState::Joined).sees(false).plan();
    let row = first.guest.unwrap();
    assert_eq!((row.state, row.unseen_since), (GuestState::Joined, Some(NOW)));
    let second = case(State::Joined)
        .with(|case| case.guest = Some(row.clone()))
        .with(|case| case.now = NOW + DAY)
        .sees(false)
        .plan();
    assert_eq!((state(&second), second.step), (Some(GuestState::Left), None));
    let back = case(State::Joined).with(|case| case.guest = Some(row)).sees(true).plan();
    assert_eq!(back.guest.unwrap().unseen_since, None);
}

#[test]
fn removal_needs_positive_evidence_and_ownership() {
    let lapsed = Mapping::Lapsed("the profile changed");
    for known in [
        GuestState::Joined,
        GuestState::Invited,
        GuestState::AwaitingSignup,
        GuestState::SignedUp,
        GuestState::Expired,
    ] {
        let plan = |mapping: Mapping, ours: bool| {
            case(State::Joined)
                .guest(known)
                .with(|case| case.mapping = mapping)
                .with(|case| case.guest.as_mut().unwrap().invited_at = ours.then_some(NOW))
                .plan()
        };
        assert_eq!(plan(lapsed, true).step, REMOVE, "{known}");
        assert_eq!(plan(lapsed, true).guest, None, "the state follows the deed: {known}");
        assert_eq!(plan(lapsed, false).step, None, "{known}");
        assert_eq!(plan(Mapping::Unknown, true).step, None, "{known}");
    }
    for known in [GuestState::Left, GuestState::Removed, GuestState::Declined] {
        let decision = case(State::Joined).guest(known).with(|case| case.mapping = lapsed).plan();
        assert_eq!((decision.step, decision.guest), (None, None), "{known}");
    }
    let never =
        case(State::Joined).guest(GuestState::Wanted).with(|case| case.mapping = lapsed).plan();
    assert_eq!((state(&never), never.step), (Some(GuestState::Removed), None));
}

#[test]
fn leavers_go_and_whom_an_administrator_restricted_stays() {
    let leaving = |state: State, by_bridge: bool, suspected: bool| {
        case(state)
            .guest(GuestState::Joined)
            .with(|case| {
                let row = case.membership.as_mut().unwrap();
                row.restricted_by_bridge = by_bridge;
                row.suspected_at = suspected.then_some(NOW);
            })
            .plan()
            .step
    };
    assert_eq!(leaving(State::RemovalStaged, false, true), REMOVE);
    assert_eq!(leaving(State::Removed, false, false), REMOVE);
    assert_eq!(leaving(State::Restricted, true, true), None, "deactivated is not leaving (G16)");
    assert_eq!(leaving(State::Restricted, true, false), None, "restricted by a standing choice");
    assert_eq!(leaving(State::Restricted, false, true), None);
    assert_eq!(leaving(State::Joined, false, true), None);
}

#[test]
fn whoever_declines_loses_open_invitations_and_keeps_what_was_accepted() {
    assert_eq!(case(State::Declined).guest(GuestState::Invited).plan().step, REMOVE);
    assert_eq!(case(State::Declined).guest(GuestState::Joined).plan().step, None);
    let never = case(State::Declined).guest(GuestState::Wanted).plan();
    assert_eq!((state(&never), never.step), (Some(GuestState::Removed), None));
}

#[test]
fn g17_who_joins_after_a_cancelled_invitation_is_taken_out() {
    let decision = case(State::Removed).guest(GuestState::Removed).sees(true).plan();
    assert_eq!((state(&decision), decision.step), (Some(GuestState::Joined), REMOVE));
}

#[test]
fn g2_a_changed_address_is_no_second_invitation() {
    let decision = case(State::Joined)
        .guest(GuestState::Invited)
        .with(|case| case.crm.as_mut().unwrap().email = Some(email("bo@new.example")))
        .plan();
    assert_eq!((decision.step, decision.verdict), (None, GuestVerdict::Renamed));
}

#[test]
fn refusals_wait_for_an_operator_and_limits_for_their_cause() {
    let parked = |code: &str, rearm: bool| {
        case(State::Joined)
            .guest(GuestState::Wanted)
            .with(|case| case.guest.as_mut().unwrap().parked = Some(code.to_owned()))
            .with(|case| case.rearm = rearm)
            .plan()
            .step
    };
    assert_eq!(parked("member_add_failed", false), None);
    assert_eq!(parked("member_add_failed", true), INVITE);
    for limit in [
        "permission",
        "plan_free",
        "channel_full",
        "team_channel",
        "over_quota",
        "channel_not_exists",
        "channel_unreadable",
        "refused_for_all:member_add_failed",
    ] {
        assert_eq!(parked(limit, false), INVITE, "{limit} is gone");
    }
    let full = case(State::Joined).with(|case| case.room = Some(0)).plan();
    assert_eq!(full.guest.unwrap().parked.as_deref(), Some("channel_full"));
}

#[test]
fn z18_another_data_centre_hinders_the_membership_and_not_an_external_channel() {
    let plan = |level: Level| {
        case(State::Wanted)
            .level(level)
            .with(|case| {
                case.membership.as_mut().unwrap().parked = Some("other_data_centre".to_owned());
            })
            .plan()
            .step
    };
    assert_eq!(plan(Level::External), INVITE);
    assert_eq!(plan(Level::Private), None);
}

#[test]
fn nobody_is_invited_who_is_suspected_inactive_or_not_meant() {
    let suspected = |case: &mut Case| {
        case.membership.as_mut().unwrap().suspected_at = Some(NOW);
    };
    let inactive = |case: &mut Case| {
        case.crm.as_mut().unwrap().standing = Standing::NotActive("inactive".to_owned());
    };
    for change in [suspected as fn(&mut Case), inactive, |case| case.mapping = Mapping::Unknown] {
        assert_eq!(case(State::Joined).guest(GuestState::Wanted).with(change).plan().step, None);
    }
}

#[test]
fn z19_r36_r59_what_hinders_everybody_is_known_before_the_call() {
    let paid = Terms { plan: CliqPlan::Paid, licences: Some(2) };
    let of = |change: Change, terms: Terms| {
        let mut facts = facts(Level::External);
        change(&mut facts);
        hindrance(Some(&facts), Some(true), None, terms)
    };
    assert_eq!(of(|_| {}, paid), None);
    let cases: [(Change, &str); 5] = [
        (|facts| facts.alive = false, "channel_archived"),
        (|facts| facts.level = Level::Team, "team_channel"),
        (|facts| facts.level = Level::Unknown, "unknown_level"),
        (|facts| facts.external_channels = Some(11), "over_quota"),
        (|facts| facts.may_add = Some(false), "permission"),
    ];
    for (change, code) in cases {
        assert_eq!(of(change, paid).as_deref(), Some(code));
    }
    assert_eq!(of(|facts| facts.external_channels = Some(10), paid), None);
    let free = Terms { plan: CliqPlan::Free, licences: None };
    assert_eq!(of(|_| {}, free).as_deref(), Some("plan_free"));
    assert_eq!(of(|facts| facts.level = Level::Private, free), None);
    assert_eq!(hindrance(None, Some(false), None, paid).as_deref(), Some("channel_not_found"));
    assert_eq!(hindrance(None, None, None, paid), None);
    let inviter = Some("R36_external_inviter");
    assert_eq!(
        hindrance(Some(&facts(Level::Private)), Some(true), inviter, paid).as_deref(),
        inviter
    );
}

#[test]
fn room_counts_who_is_in_and_who_is_invited() {
    let mut facts = facts(Level::External);
    facts.participants = Some(490);
    assert_eq!(room(Some(&facts), 4), Some(6));
    assert_eq!(room(Some(&facts), 40), Some(0));
    facts.participants = None;
    assert_eq!(room(Some(&facts), 0), None);
    assert_eq!(room(None, 0), None);
}

#[test]
fn every_code_says_what_to_do() {
    for code in [
        "channel_not_found",
        "channel_archived",
        "team_channel",
        "unknown_level",
        "plan_free",
        "over_quota",
        "permission",
        "channel_full",
        "R36_external_inviter",
        "chat_with_other_org_disabled",
        "unanswered",
        "not_external",
        "channel_not_exists",
        "channel_unreadable",
        "refused_for_all:any_code",
    ] {
        let text = remedy(code);
        assert!(text.starts_with(code) && !text.contains("refused by Cliq"), "{text}");
    }
    assert!(remedy("brand_new").contains("resync the person"));
}
