//! What a valid configuration may not have meant: no mistake, but worth a word in `check`.
//!
//! Deliberately absent: anything that keeps a daemon from starting.

use super::sections::{Config, Listen};

impl Config {
    /// A sentence for each doubt.
    pub fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if let Listen::Tcp(address) = &self.server.admin_listen
            && !address.ip().is_loopback()
        {
            doubts.push(format!(
                "server.admin_listen {address} is not only this machine: the admin API speaks plain HTTP \
                 there, tokens and addresses included; write a loopback address or unix:/path/of/the.sock"
            ));
        }
        for organization in &self.organizations {
            let id = &organization.id;
            match (&organization.bot, &organization.admin_channel) {
                (None, Some(channel)) => doubts.push(format!(
                    "{id}: admin_channel {channel} gets nothing without a bot, which posts in it; write bot"
                )),
                (_, None) if self.mail.admins.is_empty() => doubts.push(format!(
                    "{id}: no administrator hears anything; write mail.admins, or bot and admin_channel"
                )),
                _ => {}
            }
        }
        doubts
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{EXAMPLE, try_parse};

    #[test]
    fn nobody_who_hears_and_a_door_to_everybody_are_worth_a_word() {
        let (admins, listen) = ("admins   = [\"it@acme.example\"]", "127.0.0.1:8081");
        let (bot, channel) =
            ("bot               = \"bridge\"", "admin_channel     = \"bridgeadmins\"");
        for (written, instead, doubt) in [
            (&[][..], "", None),
            (&[listen], "0.0.0.0:8081", Some("plain HTTP")),
            (&[listen], "[::1]:8081", None),
            (&[listen], "unix:/run/a.sock", None),
            (&[bot], "", Some("acme: admin_channel bridgeadmins gets nothing without a bot")),
            (&[admins], "", None),
            (&[channel], "", None),
            (&[admins, channel], "", Some("acme: no administrator hears anything")),
        ] {
            let text = written.iter().fold(EXAMPLE.to_owned(), |text, one| {
                assert!(text.contains(one), "{one}");
                text.replacen(one, instead, 1)
            });
            let doubts = try_parse(&text).unwrap().doubts();
            assert_eq!(doubts.len(), usize::from(doubt.is_some()), "{written:?}: {doubts:?}");
            let said = doubts.first().is_none_or(|said| said.contains(doubt.unwrap_or_default()));
            assert!(said, "{doubts:?}");
        }
    }
}
