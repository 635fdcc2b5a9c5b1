//! The template engine: unknown names are errors, and what is written into HTML is escaped.
//!
//! Deliberately absent: loading templates at run time. They are part of the program.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value};

/// The engine with these templates, each by the name under which others extend it. The ending of
/// the name decides about escaping.
///
/// # Errors
/// When a template does not parse.
pub(in crate::logic) fn environment(
    templates: &[(&'static str, &'static str)],
) -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build()?,
    );
    for (name, source) in templates {
        environment.add_template(name, source)?;
    }
    Ok(environment)
}

/// A URL for HTML. The engine would also write every slash as an entity, which is correct but not
/// the address that people compare with the one in their browser.
pub(in crate::logic) fn html_url(url: &str) -> Value {
    let escaped = url
        .replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    Value::from_safe_string(escaped)
}
