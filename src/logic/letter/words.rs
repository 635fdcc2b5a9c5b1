//! What letters and notices say, apart from how they look: the catalogue that a language fills.
//!
//! A further language is one more file like `english.rs` and the line that chooses it. Deliberately
//! absent: layout and escaping, which are the templates' part.

use serde::Serialize;

/// What an invitation is about, cleaned and ready to be put into sentences.
pub(super) struct Facts {
    /// First name of the invitee; may be empty.
    pub(super) first_name: String,
    /// The host organization.
    pub(super) organization: String,
    /// Who invited; empty when only the organization is known.
    pub(super) invited_by: String,
    /// The invited address; empty where it is not shown.
    pub(super) email: String,
    /// When the invitation runs out, as a reader sees it; empty when unknown.
    pub(super) expires: String,
}

/// The sentences of an invitation letter.
#[derive(Serialize)]
pub(super) struct InvitationWords {
    /// BCP 47 tag, for the `lang` attribute.
    pub(super) lang: &'static str,
    /// Subject line.
    pub(super) subject: String,
    /// Salutation.
    pub(super) greeting: String,
    /// Who invites, to which organization, as what (R9, R11).
    pub(super) invited: String,
    /// What does not change for the person (R39, R40).
    pub(super) unchanged: String,
    /// Heading of the list.
    pub(super) limits_heading: String,
    /// What limited access means (R20 to R38), in plain words.
    pub(super) limits: Vec<String>,
    /// Line before the link.
    pub(super) join: String,
    /// Label of the button.
    pub(super) button: String,
    /// Line before the link written out below the button.
    pub(super) link_in_full: String,
    /// When the invitation runs out.
    pub(super) expires: String,
    /// What to do with and without a Cliq account (R47, R48, R53).
    pub(super) account: String,
    /// Who did not expect the letter.
    pub(super) not_you: String,
    /// Who sends it to whom, and where to ask.
    pub(super) footer: String,
}

/// The sentences of a bot notice about an invitation.
pub(super) struct BotWords {
    /// Card title.
    pub(super) title: String,
    /// The message.
    pub(super) text: String,
    /// Line before a link that stands in the text.
    pub(super) link: String,
    /// Said when the link cannot be given at all.
    pub(super) see_mail: String,
    /// Label of the button.
    pub(super) button: String,
    /// Hint of the button.
    pub(super) hint: String,
}

/// The sentences of a notice to administrators.
#[derive(Serialize)]
pub(super) struct NoticeWords {
    /// BCP 47 tag, for the `lang` attribute.
    pub(super) lang: &'static str,
    /// Subject line.
    pub(super) subject: String,
    /// Who sends it and why the reader gets it.
    pub(super) footer: String,
}
