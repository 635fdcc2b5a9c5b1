//! `check`: every mistake of a configuration at once, with line, key and what to write instead; and a
//! warning, which is no mistake, for what may not be meant.

use serde_json::json;

use super::{CheckOptions, Outcome, credentials, print, say};
use crate::config::{self, Portal};

pub(super) fn run(options: &CheckOptions) -> Outcome {
    let file = &options.file.config;
    let loaded = config::load(file, credentials().as_deref());
    match (&loaded, options.json) {
        (Ok(config), true) => {
            let document = json!({ "valid": true, "problems": [], "warnings": config.doubts() });
            print(&document.to_string());
        }
        (Ok(config), false) => {
            print(&format!("{} is valid.", file.display()));
            for organization in &config.organizations {
                let portal = match organization.portal {
                    Portal::Observe => "watches for people whom CRM Plus adds",
                    Portal::Function { .. } => "adds people through the portal function",
                };
                print(&format!("  {}: {portal}", organization.id));
            }
            for source in &config.sources {
                let url = config.server.public_url.as_str().trim_end_matches('/');
                print(&format!("  POST {url}/webhooks/{}", source.name));
            }
            for doubt in config.doubts() {
                say(&format!("warning: {doubt}"));
            }
        }
        (Err(problems), true) => {
            let list: Vec<_> = problems
                .problems
                .iter()
                .map(|problem| {
                    json!({
                        "line": problem.line, "column": problem.column, "key": problem.key,
                        "value": problem.value, "message": problem.message,
                    })
                })
                .collect();
            print(&json!({ "valid": false, "problems": list }).to_string());
        }
        (Err(problems), false) => say(&problems.to_string()),
    }
    if loaded.is_ok() { Outcome::Good } else { Outcome::BadConfig }
}
