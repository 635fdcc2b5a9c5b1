//! Reads who is meant: `scope`, and the `when` of a channel (design section 11, "Scope").
//!
//! Deliberately absent: teams, roles as a target and inactivity; `keys::FORBIDDEN` says why.

use super::address;
use super::keys;
use super::leaf;
use super::reader::{Section, unique};
use super::sections::Channel;
use crate::domain::policy::Matcher;

const EXAMPLE: &str = "{ profile = [\"Partner\"] }, or { all = true } for everyone";

/// `organizations.scope`: who is included (`None` is everyone), and who never is.
pub(super) fn read_scope(organization: &Section<'_>) -> (Option<Matcher>, Matcher) {
    let scope = organization.section("scope", keys::SCOPE);
    let include = scope.has("include").then(|| {
        let section = scope.section("include", keys::MATCHER);
        not_empty(&section, read_matcher, "remove it to mirror every active user, or list values")
    });
    let exclude = read_matcher(&scope.section("exclude", keys::EXCLUDE));
    let written = organization
        .entry("scope")
        .is_some_and(|entry| entry.value.as_table().is_some_and(toml::map::Map::is_empty));
    if written {
        scope.fail(
            "is empty; remove it to mirror every active user who is not internal, or \
                    write include or exclude",
        );
    }
    (include, exclude)
}

/// `[[organizations.channels]]`
pub(super) fn read_channels(organization: &Section<'_>) -> Vec<Channel> {
    let sections = organization.sections("channels", keys::CHANNEL);
    unique(&sections, "channel", "a channel of this organization");
    sections.iter().filter_map(read_channel).collect()
}

fn read_channel(section: &Section<'_>) -> Option<Channel> {
    let channel = section.required("channel", "\"extsupport\"", leaf::unique_name);
    if !section.has("when") {
        section.missing("when", EXAMPLE);
    }
    let when = section.section("when", keys::MATCHER);
    let when = if section.has("when") {
        not_empty(&when, read_matcher, "write { all = true } for everyone, or list values")
    } else {
        Matcher::default()
    };
    let internals = section.or("internals", false, leaf::flag);
    Some(Channel { channel: channel?, when, internals })
}

/// `organizations.assign_licence`: who gets a paid licence; absent is nobody.
pub(super) fn read_licensed(organization: &Section<'_>) -> Option<Matcher> {
    organization.has("assign_licence").then(|| {
        let section = organization.section("assign_licence", keys::MATCHER);
        not_empty(&section, read_matcher, "remove it to assign no licences, or list values")
    })
}

/// An empty matcher matches nobody (I11), which nobody means; not said on top of another mistake.
fn not_empty(
    section: &Section<'_>,
    read: impl Fn(&Section<'_>) -> Matcher,
    advice: &str,
) -> Matcher {
    let before = section.document.count();
    let matcher = read(section);
    if matcher.is_empty() && before == section.document.count() {
        section.fail(format!("matches nobody; {advice}"));
    }
    matcher
}

fn read_matcher(section: &Section<'_>) -> Matcher {
    Matcher {
        all: section.or("all", false, leaf::flag),
        profile: section.list("profile", leaf::text).into_iter().collect(),
        role: section.list("role", leaf::text).into_iter().collect(),
        domain: section.list("domain", address::domain).into_iter().collect(),
        email: section.list("email", address::email).into_iter().collect(),
    }
}
