//! The world file: organizations and people that a sandbox starts with, as TOML.
//!
//! Deliberately absent: anything that changes. `state` builds the live model from a `World`.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::entries::{
    CliqUserEntry, CrmUserEntry, DeclineEntry, MemberEntry, OrganizationEntry, PersonEntry,
    SubscriberEntry,
};
use super::populations::{COUNT_MAX, PopulationEntry};

/// The world that the demo plays in, compiled into the binary.
const DEMO: &str = include_str!("../../config/sandbox/demo.toml");

/// `home` of a person whose Cliq account is in an organization that the sandbox does not model.
pub(super) const ELSEWHERE: &str = "elsewhere";

/// Organizations and people to start with; read with [`World::parse`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct World {
    #[serde(default)]
    pub(super) organizations: Vec<OrganizationEntry>,
    #[serde(default)]
    pub(super) people: Vec<PersonEntry>,
    #[serde(default)]
    pub(super) crm_users: Vec<CrmUserEntry>,
    #[serde(default)]
    pub(super) cliq_users: Vec<CliqUserEntry>,
    #[serde(default)]
    pub(super) subscribers: Vec<SubscriberEntry>,
    #[serde(default)]
    pub(super) declines: Vec<DeclineEntry>,
    #[serde(default)]
    populations: Vec<PopulationEntry>,
}

/// Why a world file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// Not TOML, or a key that does not exist, with its place in the file.
    #[error("the world file cannot be read: {0}")]
    Toml(#[from] toml::de::Error),
    /// TOML, but it contradicts itself.
    #[error("the world file contradicts itself: {0}")]
    Contradiction(String),
}

/// The key that people are kept under: trimmed, lower case.
pub(super) fn key_of(email: &str) -> String {
    email.trim().to_lowercase()
}

/// The address of an organization's implicit administrator, who is also its OAuth user.
pub(super) fn admin_of(organization: &str) -> String {
    key_of(&format!("admin@{organization}.example"))
}

impl World {
    /// Reads and checks a world file.
    ///
    /// # Errors
    /// [`WorldError`] for an unknown key, or a row that names something that is not there.
    pub fn parse(toml: &str) -> Result<World, WorldError> {
        let mut world: World = toml::from_str(toml)?;
        world.populate().map_err(WorldError::Contradiction)?;
        world.check().map_err(WorldError::Contradiction)?;
        Ok(world)
    }

    /// The world of `cliqbridge demo`: Acme, Birch, Ada, Bo and Cy.
    ///
    /// # Errors
    /// None in a tested build: the file is compiled in, and a test parses it.
    pub fn demo() -> Result<World, WorldError> {
        World::parse(DEMO)
    }

    /// Makes rows of `[[populations]]`.
    fn populate(&mut self) -> Result<(), String> {
        for population in std::mem::take(&mut self.populations) {
            if population.count > COUNT_MAX {
                return Err(format!("a population has at most {COUNT_MAX} people"));
            }
            self.people.extend(population.people());
            self.crm_users.extend(population.crm_users());
            self.cliq_users.extend(population.cliq_users());
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        if self.organizations.is_empty() {
            return Err("it needs at least one [[organizations]]".to_owned());
        }
        let keys: [fn(&OrganizationEntry) -> &String; 5] = [
            |entry| &entry.id,
            |entry| &entry.client_id,
            |entry| &entry.refresh_token,
            |entry| &entry.cliq_org,
            |entry| &entry.crm_org,
        ];
        for key in keys {
            unique(self.organizations.iter().map(key), "organizations")?;
        }
        let admins: Vec<String> =
            self.organizations.iter().map(|entry| admin_of(&entry.id)).collect();
        let people: Vec<String> =
            self.people.iter().map(|entry| key_of(&entry.email)).chain(admins).collect();
        unique(people.iter(), "people")?;
        unique(self.people.iter().filter_map(|entry| entry.zuid.as_ref()), "people")?;
        self.people.iter().try_for_each(|person| self.check_home(person))?;
        unique(self.crm_users.iter().filter_map(|row| row.id.as_ref()), "crm_users")?;
        let known: BTreeSet<&String> = people.iter().collect();
        let rows = self
            .crm_users
            .iter()
            .map(|row| (&row.organization, row.person.as_ref().unwrap_or(&row.email)));
        let rows = rows.chain(self.cliq_users.iter().map(|row| (&row.organization, &row.email)));
        let rows = rows.chain(self.subscribers.iter().map(|row| (&row.organization, &row.email)));
        let rows = rows.chain(self.declines.iter().map(|row| (&row.organization, &row.email)));
        for (organization, email) in rows {
            self.organization(organization)?;
            if !known.contains(&key_of(email)) {
                return Err(format!("{email} has a row but is not among [[people]]"));
            }
        }
        if let Some(row) =
            self.crm_users.iter().find(|row| key_of(&row.email) == admin_of(&row.organization))
        {
            return Err(format!("{} has a CRM row there without being listed", row.email));
        }
        let channels = self.organizations.iter().flat_map(|organization| &organization.channels);
        for (email, _) in channels.flat_map(|channel| &channel.members).map(MemberEntry::parts) {
            if !known.contains(&key_of(email)) {
                return Err(format!("{email} is in a channel but not among [[people]]"));
            }
        }
        self.organizations.iter().try_for_each(|organization| self.check_teams(organization))?;
        self.subscribers.iter().try_for_each(|row| {
            let bots = &self.organization(&row.organization)?.bots;
            if bots.contains(&row.bot) {
                return Ok(());
            }
            Err(format!("{} has no bot {}", row.organization, row.bot))
        })
    }

    /// Teams hold the organization's own people (R27).
    fn check_teams(&self, organization: &OrganizationEntry) -> Result<(), String> {
        for email in organization.teams.iter().flat_map(|team| &team.members) {
            let person = self.people.iter().find(|person| key_of(&person.email) == key_of(email));
            if person.and_then(|person| person.home.as_ref()) != Some(&organization.id) {
                return Err(format!("{email} is in a team without being internal there (R27)"));
            }
        }
        Ok(())
    }

    fn check_home(&self, person: &PersonEntry) -> Result<(), String> {
        let Some(home) = &person.home else { return Ok(()) };
        if person.zuid.is_none() {
            return Err(format!("{} has a home, so a zuid is needed", person.email));
        }
        if home == ELSEWHERE { Ok(()) } else { self.organization(home).map(|_| ()) }
    }

    fn organization(&self, id: &str) -> Result<&OrganizationEntry, String> {
        self.organizations
            .iter()
            .find(|entry| entry.id == id)
            .ok_or_else(|| format!("there is no organization {id}"))
    }
}

fn unique<'a>(values: impl Iterator<Item = &'a String>, table: &str) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for value in values {
        if !seen.insert(value) {
            return Err(format!("{value} occurs twice in [[{table}]]"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::World;

    #[test]
    fn the_demo_world_is_valid() {
        assert_eq!(World::demo().unwrap().organizations.len(), 2);
    }

    #[test]
    fn a_population_is_as_many_rows_with_their_numbers() {
        let tables = "[[populations]]\ncount = 3\nfirst = 7\n\
            person = { email = 'p{n}@x.example', first_name = 'P', last_name = '{n}', zuid = '90{n}' }\n\
            crm_user = { organization = 'acme', id = '77{n}', email = 'P{n}@X.example' }\n";
        let world = World::parse(&format!("{}{tables}", super::DEMO)).unwrap();
        let last = world.crm_users.last().unwrap();
        assert_eq!((last.id.as_deref(), last.email.as_str()), (Some("779"), "P9@X.example"));
        let zuids = world.people.iter().rev().take(3).map(|person| person.zuid.as_deref());
        assert_eq!(zuids.collect::<Vec<_>>(), [Some("909"), Some("908"), Some("907")]);
        let same = tables.replace("p{n}@", "p@").replace("P{n}@", "P@");
        let twice = World::parse(&format!("{}{same}", super::DEMO)).unwrap_err();
        assert!(twice.to_string().contains("p@x.example occurs twice"), "{twice}");
    }

    #[test]
    fn says_what_is_wrong() {
        let unknown = World::parse("[[people]]\nemail = 'a@x.example'\nage = 3").unwrap_err();
        assert!(unknown.to_string().contains("age"), "{unknown}");
        let demo = super::DEMO.replace("home       = \"acme\"", "home = \"oak\"");
        let nowhere = World::parse(&demo).unwrap_err();
        assert!(nowhere.to_string().contains("no organization oak"), "{nowhere}");
    }
}
