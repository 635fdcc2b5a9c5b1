//! The sandbox's HTML pages: index, mailboxes, the page where a person joins.
//!
//! Plain HTML that follows the reader's light or dark scheme. Deliberately absent: scripts, and
//! anything from another host; a mail's HTML is shown in a sandboxed frame.

use std::fmt::Write as _;

use super::Urls;
use super::entries::Status;
use super::mailbox::Mailbox;
use super::state::State;
use super::wire::encoded;

/// The style of every page; system colours, so that dark mode needs no second set.
const STYLE: &str = "
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin: 0; }
table { border-collapse: collapse; } td, th { padding: .3rem 1rem .3rem 0; text-align: left; }
article { border: 1px solid color-mix(in srgb, currentColor 25%, transparent); border-radius: .5rem;
  padding: 1rem; margin: 1rem 0; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }
.meta { opacity: .75; }
iframe { width: 100%; height: 28rem; border: 0; border-radius: .3rem; background: white; }
button { font: inherit; padding: .4rem 1.2rem; }
";

/// Text made safe between tags and in quoted attributes.
pub(super) fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, char| {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(char),
        }
        out
    })
}

fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    // An empty icon: a browser that asks for one would be a violation in the journal.
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <link rel=\"icon\" href=\"data:,\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>{STYLE}</style></head><body><h1>{title}</h1>{body}</body></html>"
    )
}

/// What there is.
pub(super) fn index(urls: &Urls, state: &State) -> String {
    let mut body = String::from("<p>A simulated Zoho. Nothing here is real.</p><ul>");
    for (path, what) in [
        ("mail", "mailboxes"),
        ("mailboxes", "mailboxes as JSON"),
        ("bots", "bot messages and channel posts as JSON"),
        ("channel-invitations", "open invitations to channels, as JSON"),
        ("state", "people and organizations as JSON"),
        ("journal", "every call, as JSON"),
        ("faults", "faults in force, as JSON"),
    ] {
        let _ = write!(body, "<li><a href=\"/sandbox/{path}\">{what}</a></li>");
    }
    let _ = write!(
        body,
        "</ul><p>Mail is taken at <code>{}</code>.</p><table><tr><th>Organization</th>\
         <th>Cliq plan</th><th>Paid seats</th><th>CRM users</th><th>Cliq users</th></tr>",
        escape(&urls.smtp)
    );
    for org in state.organizations.values() {
        let plan = match org.entry.cliq_plan {
            super::entries::CliqPlan::Free => "free",
            super::entries::CliqPlan::Paid => "paid",
        };
        let _ = write!(
            body,
            "<tr><td>{}</td><td>{plan}</td><td>{}{}</td><td>{}</td><td>{}</td></tr>",
            escape(&org.entry.name),
            org.seats_used(),
            org.entry.paid_licences.map(|pool| format!(" of {pool}")).unwrap_or_default(),
            org.crm.values().filter(|row| !row.deleted).count(),
            org.cliq.len()
        );
    }
    body.push_str("</table>");
    channels(&mut body, state);
    page("cliqbridge sandbox", &body)
}

fn channels(body: &mut String, state: &State) {
    body.push_str(
        "<h2>Channels</h2><table><tr><th>Organization</th><th>Channel</th><th>Level</th>\
         <th>Members</th><th>Invited</th></tr>",
    );
    for org in state.organizations.values() {
        for channel in &org.channels {
            let _ = write!(
                body,
                "<tr><td>{}</td><td>#{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                escape(&org.entry.name),
                escape(&channel.unique_name),
                channel.level.as_str(),
                channel.members.len(),
                channel.invited.len()
            );
        }
    }
    body.push_str("</table>");
}

/// All mailboxes.
pub(super) fn mailboxes(boxes: &[Mailbox<'_>]) -> String {
    if boxes.is_empty() {
        return page("Mailboxes", "<p>No mail yet.</p>");
    }
    let mut body = String::from("<table><tr><th>Address</th><th>Mails</th></tr>");
    for mailbox in boxes {
        let _ = write!(
            body,
            "<tr><td><a href=\"/sandbox/mail/{}\">{}</a></td><td>{}</td></tr>",
            escape(&encoded(&mailbox.address)),
            escape(&mailbox.address),
            mailbox.mails.len()
        );
    }
    body.push_str("</table>");
    page("Mailboxes", &body)
}

/// One mailbox, the newest mail first.
pub(super) fn mailbox(address: &str, mailbox: Option<&Mailbox<'_>>) -> String {
    let mut body = String::from("<p><a href=\"/sandbox/mail\">All mailboxes</a></p>");
    let mails = mailbox.map(|mailbox| mailbox.mails.as_slice()).unwrap_or_default();
    if mails.is_empty() {
        body.push_str("<p>No mail yet.</p>");
    }
    for mail in mails.iter().rev() {
        let _ = write!(
            body,
            "<article><h2>{}</h2><p class=\"meta\">from {} · {}</p>",
            escape(mail.subject()),
            escape(mail.from()),
            escape(mail.at())
        );
        if let Some(html) = mail.html() {
            // An empty `sandbox` forbids scripts, forms and navigation.
            let _ = write!(
                body,
                "<iframe sandbox=\"\" title=\"The mail as HTML\" srcdoc=\"{}\"></iframe>",
                escape(html)
            );
        }
        if let Some(text) = mail.text() {
            let open = if mail.html().is_none() { " open" } else { "" };
            let _ = write!(
                body,
                "<details{open}><summary>Plain text</summary><pre>{}</pre></details>",
                escape(text)
            );
        }
        body.push_str("</article>");
    }
    page(address, &body)
}

/// The page behind the link of Zoho's invitation (R10, R11).
pub(super) fn join(organization: &str, email: &str, status: Option<Status>) -> String {
    let (organization, email) = (escape(organization), escape(email));
    let body = match status {
        Some(Status::Pending) => format!(
            "<p>{email} can join {organization} as an external user with limited access.</p>\
             <form method=\"post\"><button>Join</button></form>"
        ),
        Some(Status::Active) => format!("<p>{email} has joined {organization}.</p>"),
        Some(Status::Inactive) => format!("<p>Access to {organization} is restricted.</p>"),
        None => format!("<p>There is no invitation to {organization} for {email}.</p>"),
    };
    page("Join", &body)
}
