//! Who leaves, by the planner alone: evidence, the two steps of leaving, and what is never taken.

use super::*;
use crate::logic::plan::Leaver;

const DAY: Duration = Duration::from_hours(24);

fn leaver(state: State, absent_for: u64) -> Membership {
    let since = NOW - Duration::from_hours(absent_for);
    Membership { absent_since: Some(since), seen: true, ..member(state) }
}

fn gone<'a>(seen: Option<&'a CliqUser>, row: &'a Membership) -> Facts<'a> {
    Facts { complete: true, ..facts(None, seen, Some(row)) }
}

#[test]
fn g1_absence_counts_in_complete_listings_a_grace_apart() {
    let seen = cliq(Presence::Active);
    let fresh = Membership { seen: true, ..member(State::Joined) };
    let single = plan(&facts(None, Some(&seen), Some(&fresh)));
    assert_eq!((single.verdict, single.ledger.unwrap().absent_since), (Verdict::Absent, None));
    let first = plan(&gone(Some(&seen), &fresh));
    assert_eq!((first.steps, first.ledger.unwrap().absent_since), (vec![], Some(NOW)));
    let early = leaver(State::Joined, 23);
    assert_eq!(plan(&gone(Some(&seen), &early)).steps, []);
    let due = leaver(State::Joined, 24);
    let decision = plan(&gone(Some(&seen), &due));
    assert!(decision.guarded);
    assert_eq!(decision.steps, [Step::Portal(PortalVerb::Restrict)]);
    assert_eq!(decision.ledger.unwrap().state, State::RemovalStaged);
    let ada = user("ada@acme.example");
    let back = plan(&facts(Some(&ada), Some(&seen), Some(&due)));
    assert_eq!((back.steps, back.ledger.unwrap().absent_since), (vec![], None));
}

#[test]
fn g1_a_leaver_is_restricted_first_and_removed_after_the_time_between() {
    let seen = cliq(Presence::Inactive);
    let staged = |days: u64| Membership {
        since: NOW - Duration::from_hours(24 * days),
        restricted_by_bridge: true,
        ..leaver(State::RemovalStaged, 500)
    };
    assert_eq!(plan(&gone(Some(&seen), &staged(6))).verdict, Verdict::Staged(Leaver::Gone));
    let decision = plan(&gone(Some(&seen), &staged(7)));
    assert_eq!(decision.steps, [Step::Portal(PortalVerb::RemoveExternal)]);
    let once = plan(&gone(None, &staged(8)));
    let row = once.ledger.unwrap();
    assert_eq!((once.steps, row.state), (vec![], State::RemovalStaged), "a short list may be");
    let twice = plan_one(&policy(), &gone(None, &row), NOW + Duration::from_mins(15));
    assert_eq!((twice.steps, twice.ledger.unwrap().state), (vec![], State::Removed));
}

#[test]
fn g17_an_open_invitation_is_cancelled_and_a_late_join_is_taken_back() {
    let pending = cliq(Presence::Pending);
    let invited = leaver(State::Invited, 30);
    let decision = plan(&gone(Some(&pending), &invited));
    assert_eq!(decision.verdict, Verdict::Cancel(Leaver::Gone));
    assert_eq!(decision.steps, [Step::Portal(PortalVerb::RemoveExternal)]);
    let joined = cliq(Presence::Active);
    let removed = leaver(State::Removed, 30);
    let decision = plan(&gone(Some(&joined), &removed));
    assert_eq!(decision.verdict, Verdict::LateJoin);
    assert_eq!(decision.steps, [Step::Portal(PortalVerb::RemoveExternal)]);
}

#[test]
fn g16_a_deactivated_user_is_restricted_at_once_and_never_removed() {
    let mut ada = user("ada@acme.example");
    ada.standing = Standing::NotActive("Disabled".into());
    let active = cliq(Presence::Active);
    let row = Membership { suspected_at: None, ..member(State::Joined) };
    let decision = plan(&facts(Some(&ada), Some(&active), Some(&row)));
    assert!(decision.guarded);
    assert_eq!(decision.steps, [Step::Portal(PortalVerb::Restrict)]);
    let blocked = cliq(Presence::Inactive);
    let old = Membership { since: NOW - Duration::from_hours(9_999), ..row };
    assert_eq!(plan(&facts(Some(&ada), Some(&blocked), Some(&old))).steps, []);
}

#[test]
fn r29_nobody_is_taken_away_who_is_not_ours_and_external() {
    let active = cliq(Presence::Active);
    let due = leaver(State::Joined, 30);
    let present = Membership { origin: Origin::Present, ..due.clone() };
    assert_eq!(plan(&gone(Some(&active), &present)).verdict, Verdict::NotOurs);
    let at_home = CliqUser { organization_id: Some("745".into()), ..active.clone() };
    let decision = plan(&gone(Some(&at_home), &due));
    assert_eq!((decision.steps, decision.verdict), (vec![], Verdict::Released));
    let silent = CliqUser { organization_id: None, zoid: None, ..active.clone() };
    assert_eq!(plan(&gone(Some(&silent), &due)).verdict, Verdict::UnknownClass);
    let claimed = Facts { claimed: true, ..gone(Some(&active), &due) };
    assert_eq!(plan(&claimed).verdict, Verdict::Succeeded);
    let by_hand = Policy { portal_adds: false, ..policy() };
    let decision = plan_one(&by_hand, &gone(Some(&active), &due), NOW);
    assert_eq!((decision.steps, decision.verdict), (vec![], Verdict::RemoveByHand(Leaver::Gone)));
}

#[test]
fn i24_who_was_seen_is_gone_after_two_complete_listings_and_comes_back_when_shown() {
    let ada = user("ada@acme.example");
    for (state, after) in [(State::Joined, State::Left), (State::Invited, State::Declined)] {
        let row = Membership {
            seen: true,
            invited_at: Some(NOW),
            invited_as: Some(Email::parse("ada@acme.example").unwrap()),
            sends: 1,
            ..member(state)
        };
        let nobody = Facts { complete: true, ..facts(Some(&ada), None, Some(&row)) };
        let first = plan(&nobody).ledger.unwrap();
        assert_eq!((first.state, first.unseen_since), (state, Some(NOW)));
        let later = NOW + Duration::from_mins(15);
        let nobody = Facts { complete: true, ..facts(Some(&ada), None, Some(&first)) };
        let second = plan_one(&policy(), &nobody, later);
        assert!(second.vanished);
        let second = second.ledger.unwrap();
        assert_eq!(second.state, after);
        let seen = cliq(if state == State::Joined { Presence::Active } else { Presence::Pending });
        let back = plan_one(&policy(), &facts(Some(&ada), Some(&seen), Some(&second)), later);
        assert_eq!((back.steps, back.ledger.unwrap().state), (vec![], state));
    }
    let never_seen = Membership { seen: false, ..member(State::Invited) };
    let nobody = Facts { complete: true, ..facts(Some(&ada), None, Some(&never_seen)) };
    assert_eq!(plan(&nobody).ledger, None, "the portal said so and Cliq lags");
}

#[test]
fn i10_i21_whom_the_scope_does_not_mean_any_more_leaves_guarded() {
    let narrow = Policy { include: Some(Matcher::default()), ..policy() };
    let (bo, seen) = (user("bo@partner.example"), cliq(Presence::Active));
    let member = |origin| Membership { origin, seen: true, ..member(State::Joined) };
    let ours = member(Origin::Made);
    let decision = plan_one(&narrow, &facts(Some(&bo), Some(&seen), Some(&ours)), NOW);
    assert_eq!(decision.steps, [Step::Portal(PortalVerb::Restrict)]);
    assert!(decision.guarded);
    let why = Leaver::Unscoped("`scope.include` does not name the person");
    assert_eq!(decision.verdict, Verdict::Restrict(why));
    let theirs = member(Origin::Present);
    let decision = plan_one(&narrow, &facts(Some(&bo), Some(&seen), Some(&theirs)), NOW);
    assert_eq!((decision.steps, decision.verdict), (vec![], Verdict::NotOurs));
    let pending = cliq(Presence::Pending);
    let invited = Membership { state: State::Invited, ..ours };
    let decision = plan_one(&narrow, &facts(Some(&bo), Some(&pending), Some(&invited)), NOW);
    assert_eq!(decision.verdict, Verdict::Cancel(why));
    assert!(decision.guarded);
}

#[test]
fn i30_a_row_that_does_not_show_what_the_scope_asks_for_takes_nobody_and_adds_nobody() {
    let partners =
        Matcher { profile: BTreeSet::from(["Partner".to_owned()]), ..Matcher::default() };
    let bare = CrmUser { profile: None, ..user("bo@partner.example") };
    let seen = cliq(Presence::Active);
    let ours = Membership { origin: Origin::Made, seen: true, ..member(State::Joined) };
    let included = Policy { include: Some(partners.clone()), ..policy() };
    let excluded = Policy { exclude: partners, ..policy() };
    for narrow in [included, excluded] {
        let decision = plan_one(&narrow, &facts(Some(&bare), Some(&seen), Some(&ours)), NOW);
        assert_eq!((decision.steps, decision.ledger), (vec![], None));
        let decision = plan_one(&narrow, &facts(Some(&bare), None, None), NOW);
        assert_eq!(decision.steps, []);
        assert!(matches!(decision.verdict, Verdict::OutOfScope(why) if why.contains("show")));
    }
}

#[test]
fn g17_i21_whoever_is_back_out_of_the_scope_by_anothers_hand_is_not_taken_for_a_late_join() {
    let narrow = Policy { include: Some(Matcher::default()), ..policy() };
    let (bo, seen) = (user("bo@partner.example"), cliq(Presence::Active));
    let gone = Membership {
        origin: Origin::Made,
        invited_at: Some(NOW - DAY * 20),
        since: NOW - DAY * 10,
        ..member(State::Removed)
    };
    let judge = |row: &Membership| {
        plan_one(&narrow, &facts(Some(&bo), Some(&seen), Some(row)), NOW).verdict
    };
    assert_eq!(judge(&gone), Verdict::LateJoin, "the invitation was withdrawn, and accepted");
    let had_joined = Membership { restricted_by_bridge: true, ..gone.clone() };
    assert_eq!(judge(&had_joined), Verdict::NotOurs);
    let never_invited = Membership { invited_at: None, ..gone.clone() };
    assert_eq!(judge(&never_invited), Verdict::NotOurs);
    let long_ago = Membership { since: NOW - DAY * 61, ..gone };
    assert_eq!(judge(&long_ago), Verdict::NotOurs);
}
