//! The English catalogue.
//!
//! Deliberately absent: anything a reader cannot act on, and any promise about Zoho's own pages.

use super::words::{BotWords, Facts, InvitationWords, NoticeWords};

const LANG: &str = "en";

/// The sentences of an invitation letter.
pub(super) fn invitation(facts: &Facts) -> InvitationWords {
    let Facts { first_name, organization, email, expires, .. } = facts;
    let greeting =
        if first_name.is_empty() { "Hello,".to_owned() } else { format!("Hello {first_name},") };
    InvitationWords {
        lang: LANG,
        subject: format!("{organization} invites you to Cliq as an external user"),
        greeting,
        invited: format!(
            "{} you to join {organization} in Zoho Cliq as an external user with limited access.",
            inviter(facts)
        ),
        unchanged: format!(
            "If you have an account in an organization of your own, it stays as it is, and you can \
             switch between that organization and {organization} at any time."
        ),
        limits_heading: "What limited access means".to_owned(),
        limits: limits(organization),
        join: format!("To join {organization}, open this page and confirm:"),
        button: format!("Join {organization}"),
        link_in_full: "If the button does not work, copy this address into your browser:"
            .to_owned(),
        expires: format!("This invitation runs out on {expires}."),
        account: format!(
            "If you already use Cliq, sign in with {email}. If you have no Cliq account yet, sign \
             up for Cliq with {email} first, then open the page again and join. Signing up alone \
             does not make you a member of {organization}."
        ),
        not_you: "Not you, or not expected? Ignore this mail. Nothing happens unless you join."
            .to_owned(),
        footer: format!(
            "cliqbridge sent this to {email} on behalf of {organization}. Questions? Reply to this \
             mail."
        ),
    }
}

/// R20 to R38 as the person meets them.
fn limits(organization: &str) -> Vec<String> {
    vec![
        format!(
            "The security settings of {organization} do not apply to you: not its multi-factor \
             sign-in (MFA), not its policies, not its list of allowed IP addresses."
        ),
        format!("Your role in {organization} is fixed; its administrators cannot change it."),
        "You do not see the Remote Work tab.".to_owned(),
        "You cannot be part of a team or create team channels.".to_owned(),
        format!(
            "While you work in {organization}, you cannot add external contacts or bring people \
             into external channels."
        ),
        "You can use an integration only if it is connected with an application that you share."
            .to_owned(),
        format!(
            "Everyone there sees the tag External User beside your name. The administrators of \
             {organization} see your profile and your channels, not your sign-ins or sessions."
        ),
    ]
}

/// The sentences of a bot notice.
pub(super) fn bot(facts: &Facts) -> BotWords {
    let Facts { organization, expires, .. } = facts;
    let mut text = format!(
        "{} you to join {organization} in Cliq as an external user with limited access: a fixed \
         role, no teams or team channels, no external contacts. Nothing changes in your own \
         organization.",
        inviter(facts)
    );
    if !expires.is_empty() {
        text = format!("{text}\nThe invitation runs out on {expires}.");
    }
    BotWords {
        title: format!("Invitation from {organization}"),
        text,
        link: "Join here:".to_owned(),
        see_mail: "The link to join is in the invitation mail.".to_owned(),
        button: "Join".to_owned(),
        hint: format!("Join {organization} as an external user"),
    }
}

/// The sentences around a notice to administrators.
pub(super) fn notice(organization: &str, title: &str) -> NoticeWords {
    NoticeWords {
        lang: LANG,
        subject: format!("[cliqbridge] {organization}: {title}"),
        footer: format!(
            "cliqbridge sent this because you are listed as an administrator of {organization}."
        ),
    }
}

/// "Grace Hopper of Acme Ltd invites", or "Acme Ltd invites" when nobody is known by name.
fn inviter(facts: &Facts) -> String {
    if facts.invited_by.is_empty() {
        format!("{} invites", facts.organization)
    } else {
        format!("{} of {} invites", facts.invited_by, facts.organization)
    }
}
