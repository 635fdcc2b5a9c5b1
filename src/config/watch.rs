//! Checks `organizations.watch` against `[[sources]]`: where the notifications come in.
//!
//! Deliberately absent: whether the CRM can watch a module; only the CRM knows.

use super::keys;
use super::leaf;
use super::reader::Section;
use super::sections::Watch;
use toml::de::DeValue;

/// What the CRM lets a watch name after the module.
const OPERATIONS: &[&str] = &["create", "edit", "delete", "all"];

/// Reads the table itself; `None` where there is none, or a wrong one.
pub(super) fn read_watch(organization: &Section<'_>) -> Option<Watch> {
    if !organization.has("watch") {
        return None;
    }
    let section = organization.section("watch", keys::WATCH);
    let source = section.required("source", "\"crmwatch\", a source of scheme token", leaf::slug);
    let before = section.document.count();
    let mut events = section.list("events", event);
    if !section.has("events") {
        events = vec!["Users.all".to_owned()];
    } else if events.is_empty() && before == section.document.count() {
        section.fail_at("events", "must not be empty; write [\"Users.all\"]");
    }
    Some(Watch { source: source?, events })
}

/// One event, such as `Contacts.edit`.
fn event(value: &DeValue<'_>) -> Result<String, String> {
    let text = leaf::text(value)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match text.split_once('.') {
        Some((module, operation))
            if !module.is_empty()
                && module.chars().all(plain)
                && OPERATIONS.contains(&operation) =>
        {
            Ok(text)
        }
        _ => Err(format!(
            "must be a module of the CRM and one of {}, such as \"Users.all\"",
            OPERATIONS.join(", ")
        )),
    }
}

/// Notes every watch whose source cannot take its notifications. Goes by what is written, so that a
/// mistake elsewhere in a source is not reported here again.
pub(super) fn check_watches(root: &Section<'_>) {
    let sources = root.sections("sources", keys::SOURCE);
    for organization in root.sections("organizations", keys::ORGANIZATION) {
        if !organization.has("watch") {
            continue;
        }
        let watch = organization.section("watch", keys::WATCH);
        let Some(entry) = watch.entry("source") else { continue };
        let (Some(name), id) = (entry.value.as_str(), written(&organization, "id")) else {
            continue;
        };
        let Some(source) = sources.iter().find(|source| written(source, "name") == Some(name))
        else {
            entry.fail(format!(
                "no source has this name; write a [[sources]] with name = \"{name}\" and scheme = \
                 \"token\""
            ));
            continue;
        };
        let scheme = written(source, "scheme");
        if let Some(scheme) = scheme.filter(|scheme| *scheme != "token") {
            entry.fail(format!(
                "that source has scheme = \"{scheme}\"; the CRM signs nothing and only echoes a \
                 token, so name a source with scheme = \"token\""
            ));
        }
        if !may_speak_for(source, id) {
            entry.fail(format!(
                "that source may not speak for {}; add it to the source's organizations",
                id.unwrap_or("this organization")
            ));
        }
    }
}

/// Whether the source's `organizations`, if it is limited, names this one.
fn may_speak_for(source: &Section<'_>, id: Option<&str>) -> bool {
    let Some(list) = source.entry("organizations") else { return true };
    match list.value {
        DeValue::Array(items) => items.iter().any(|item| item.get_ref().as_str() == id),
        _ => true,
    }
}

fn written<'a>(section: &Section<'a>, key: &str) -> Option<&'a str> {
    section.entry(key).and_then(|entry| entry.value.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{problems, with_watch};

    #[test]
    fn the_source_of_a_watch_has_to_be_there_and_able() {
        let right = "name = \"crmwatch\"\nscheme = \"token\"\n";
        for (source, expected) in [
            ("name = \"other\"\nscheme = \"token\"\n".to_owned(), "no source has this name"),
            (right.replace("token", "standard"), "name a source with scheme = \"token\""),
            (format!("{right}organizations = [\"birch\"]\n"), "may not speak for acme"),
        ] {
            let found = problems(&with_watch(&source, "source = \"crmwatch\""));
            let [found] = &found[..] else { panic!("{found:#?}") };
            assert!(found.contains("organizations[0].watch.source: "), "{found}");
            assert!(found.contains(expected), "{found}");
        }
        let found = problems(&with_watch(right, "source = \"crmwatch\", events = [\"Users\"]"));
        assert!(found[0].contains("watch.events[0]: must be a module"), "{found:#?}");
        let found = problems(&with_watch(right, "source = \"crmwatch\", events = []"));
        assert!(found[0].contains("must not be empty"), "{found:#?}");
    }
}
