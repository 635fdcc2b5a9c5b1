//! What people are told, in their language: the catalogues, and the choice among them.
//!
//! A further language is one more file in `languages`: the build finds it. Letters, bot messages
//! and pages say the same things with the same sentences. Deliberately absent: layout, which is
//! each medium's own, and what administrators are told, which is English.

pub(super) mod clean;
mod language;
pub(super) mod layout;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, LazyLock};

use minijinja::value::Object;
use minijinja::{Error, ErrorKind, State, Value, context};

use crate::domain::Timestamp;
use crate::domain::letter::Invitation;
pub(super) use language::Language;

/// The language that stands in where the person's own has no catalogue.
const FALLBACK: &str = "en";

/// Tag and text of every catalogue in the folder.
const CATALOGUES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/languages.rs"));

static LANGUAGES: LazyLock<Result<Vec<Language>, String>> =
    LazyLock::new(|| CATALOGUES.iter().map(|(tag, text)| Language::read(tag, text)).collect());

/// What limited access means (R20 to R38), in the order in which a person meets it; each a key
/// below `limits`.
pub(super) const LIMITS: &[&str] =
    &["role", "teams", "outside", "integrations", "remote_work", "tag", "visible", "security"];

/// Most channels that are listed; somebody with more finds the rest where Cliq lists them.
const CHANNELS_SHOWN_MAX: usize = 20;

/// Why something cannot be written. Each is a mistake on our side; trying again does not help.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The join URL is not an http(s) URL that is short enough.
    #[error("the join URL is not an http or https URL of at most {0} characters")]
    JoinUrl(usize),
    /// `expires_at` is not an RFC 3339 instant.
    #[error("expires_at is not an RFC 3339 time: {0:?}")]
    ExpiresAt(String),
    /// A template or sentence does not fit its facts.
    #[error("the template does not render: {0:#}")]
    Template(#[from] minijinja::Error),
    /// A catalogue or a template of the program cannot be used.
    #[error("the catalogues cannot be used: {0}")]
    Catalogue(String),
}

/// Every language there is, in the order of their tags.
///
/// # Errors
/// When a catalogue is broken.
pub(super) fn languages() -> Result<&'static [Language], RenderError> {
    LANGUAGES.as_deref().map_err(|what| RenderError::Catalogue(what.clone()))
}

/// The first language of these that there is: each is looked for exactly (`pt_BR`), then without
/// its region (`pt`). English when there is none.
///
/// # Errors
/// When a catalogue is broken.
pub(super) fn language<'a>(
    wanted: impl IntoIterator<Item = &'a str>,
) -> Result<&'static Language, RenderError> {
    let all = languages()?;
    best(all, wanted)
        .or_else(|| best(all, [FALLBACK]))
        .ok_or_else(|| RenderError::Catalogue(format!("{FALLBACK} is missing")))
}

fn best<'a, 'l>(
    all: &'l [Language],
    wanted: impl IntoIterator<Item = &'a str>,
) -> Option<&'l Language> {
    let find = |tag: &str| all.iter().find(|language| language.tag.eq_ignore_ascii_case(tag));
    wanted.into_iter().find_map(|tag| {
        let tag = tag.trim().replace('_', "-");
        let base = tag.split('-').next().unwrap_or_default();
        find(&tag).or_else(|| find(base))
    })
}

/// What sentences may speak of; cleaned, and ready to be read.
#[derive(Clone, Default)]
pub(super) struct Facts {
    /// First name of the invitee; may be empty.
    pub(super) first_name: String,
    /// The host organization.
    pub(super) organization: String,
    /// Who invited; empty when only the organization is known.
    pub(super) inviter: String,
    /// The invited address, or as much of it as may be shown.
    pub(super) email: String,
    /// When the invitation runs out, as the language writes it; empty when unknown.
    pub(super) expires: String,
}

impl Facts {
    /// The facts of an invitation. `email` is what is shown of the address.
    ///
    /// # Errors
    /// When the expiry is no time.
    pub(super) fn of(
        invitation: &Invitation,
        email: &str,
        language: &Language,
    ) -> Result<Self, RenderError> {
        let expires = Timestamp::parse(&invitation.expires_at)
            .ok_or_else(|| RenderError::ExpiresAt(invitation.expires_at.clone()))?;
        Ok(Self {
            first_name: clean::name(&invitation.first_name),
            // The organization's name is the operator's own and may well be a domain.
            organization: clean::one_line(&invitation.organization, clean::NAME_MAX_CHARS),
            inviter: clean::name(&invitation.invited_by),
            email: email.to_owned(),
            expires: language.time(expires, &invitation.time_zone)?,
        })
    }
}

/// The names of the channels that wait, as they may be shown.
pub(super) fn channels(invitation: &Invitation) -> Vec<String> {
    let shown = |name: &String| clean::one_line(name, clean::NAME_MAX_CHARS);
    let names = invitation.channels.iter().map(shown).filter(|name| !name.is_empty());
    names.take(CHANNELS_SHOWN_MAX).collect()
}

/// A language and what it speaks of: `say('letter.greeting')` in a template.
#[derive(Clone)]
pub(super) struct Speech {
    language: &'static Language,
    facts: Value,
}

impl Speech {
    /// The language about these facts.
    pub(super) fn new(language: &'static Language, facts: &Facts) -> Self {
        let Facts { first_name, organization, inviter, email, expires } = facts;
        let facts = context! { first_name, organization, inviter, email, expires };
        Self { language, facts }
    }

    /// One sentence, by its key.
    ///
    /// # Errors
    /// When there is no such sentence.
    pub(super) fn say(&self, key: &str) -> Result<String, Error> {
        self.language.say(key, &self.facts)
    }

    /// The same for templates, to be called with a key.
    pub(super) fn as_value(&self) -> Value {
        Value::from_object(self.clone())
    }
}

impl fmt::Debug for Speech {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Speech").field("language", &self.language.tag).finish_non_exhaustive()
    }
}

impl Object for Speech {
    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        match args {
            [key] if key.as_str().is_some() => {
                self.say(key.as_str().unwrap_or_default()).map(Value::from)
            }
            _ => Err(Error::new(ErrorKind::InvalidOperation, "say takes one key")),
        }
    }
}
