//! Who of a member list is whom: by id first, then by address; and who is left over (R57, R58).

use std::collections::BTreeSet;

use crate::domain::channel::{Guest, Member, Members};
use crate::domain::policy::Policy;
use crate::domain::{Class, CliqId, CrmUser, Directory, Email, Membership};
use crate::logic::plan::classify;

/// The person's row in a member list. Guests of other organizations are listed by their account's
/// id, members of the organization by their id in it, so both count.
pub fn find<'a>(
    members: &'a Members,
    crm: Option<&CrmUser>,
    membership: Option<&Membership>,
    guest: Option<&Guest>,
) -> Option<&'a Member> {
    let ids = [
        guest.and_then(|guest| guest.cliq_id.clone()),
        membership.and_then(|row| row.cliq_id.clone()),
        membership.and_then(|row| row.zuid.as_ref()).map(|zuid| CliqId::new(zuid.as_str())),
        crm.and_then(|user| user.zuid.as_ref()).map(|zuid| CliqId::new(zuid.as_str())),
    ];
    let by_id = ids.iter().flatten().find_map(|id| members.get(id));
    let emails: [Option<&Email>; 3] = [
        crm.and_then(|user| user.email.as_ref()),
        membership.map(|row| &row.email),
        guest.and_then(|guest| guest.invited_as.as_ref()),
    ];
    by_id.or_else(|| emails.iter().flatten().find_map(|email| members.by_email(email)))
}

/// Somebody in a channel whom the bridge did not bring in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stranger {
    /// The id that the channel shows.
    pub id: CliqId,
    /// The address, when it is one.
    pub email: Option<Email>,
}

/// The members who are neither guests of ours nor the organization's own people: those whom others
/// brought in (R57, R58). A member row tells no class, so the directory and the domains do.
pub fn strangers(
    policy: &Policy,
    members: &Members,
    guests: &[Guest],
    directory: &Directory,
    own: Option<&CliqId>,
) -> BTreeSet<Stranger> {
    let ids: BTreeSet<&CliqId> = guests.iter().filter_map(|guest| guest.cliq_id.as_ref()).collect();
    let ours = |member: &Member| {
        let email = member.email.as_ref();
        let home = email.is_some_and(|email| policy.internal_domains.contains(email.domain()));
        let row = directory
            .get(&member.id)
            .or_else(|| email.and_then(|email| directory.by_email(email).first().copied()));
        let internal = row.is_some_and(|row| classify(policy, row) == Class::Internal);
        home || internal || ids.contains(&member.id) || own == Some(&member.id)
    };
    members
        .iter()
        .filter(|member| !ours(member))
        .map(|member| Stranger { id: member.id.clone(), email: member.email.clone() })
        .collect()
}
