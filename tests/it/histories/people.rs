//! The people whose lives are told, and what the test itself knows of them: their CRM rows as they
//! are now, whose they were before the bridge looked, and how they answer an invitation.
//!
//! Deliberately absent: anything that the bridge says of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::dice::Dice;

/// The organizations, by their place in [`Person::places`].
pub const ORGANIZATIONS: [&str; 2] = ["acme", "birch"];

/// What a person does with an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temper {
    /// Joins whenever there is one.
    Eager,
    /// Says no whenever there is one.
    Refuser,
    /// Never answers.
    Timid,
}

/// A live row of an organization's CRM.
#[derive(Clone, Debug)]
pub struct Row {
    pub id: String,
    pub email: String,
    pub status: &'static str,
    pub confirmed: bool,
    pub regular: bool,
}

/// One person in one organization.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, not a state")]
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The CRM row, while there is one.
    pub row: Option<Row>,
    /// Whether CRM ever had the person.
    pub listed: bool,
    /// In CRM and in Cliq when the bridge first looked: not ours.
    pub theirs: bool,
    /// In Cliq when the bridge first looked, and not in CRM: somebody else put the row there.
    pub planted: bool,
    /// An administrator of Cliq has let the person in by hand: not undone.
    pub let_in: bool,
}

impl Place {
    /// Whether CRM lists the person as active.
    pub fn is_active(&self) -> bool {
        self.row.as_ref().is_some_and(|row| row.status == "active")
    }
}

#[derive(Clone, Debug)]
pub struct Person {
    /// The address of the account: what Cliq shows.
    pub email: String,
    /// Whether there is a Zoho account.
    pub account: bool,
    /// The organization that is the home.
    pub home: Option<usize>,
    pub temper: Temper,
    pub places: [Place; 2],
    /// How many addresses there were.
    pub renames: usize,
    /// The organization that is the first to have the person.
    pub first: usize,
    /// Whether the home has changed, so that somebody has to confirm it (G6).
    pub moved: bool,
}

/// Everybody, and whose which address is or was.
#[derive(Clone, Debug, Default)]
pub struct Town {
    pub people: Vec<Person>,
    addresses: BTreeMap<String, usize>,
}

impl Town {
    /// The person who has or had the address.
    pub fn find(&self, address: &str) -> Option<usize> {
        self.addresses.get(&address.to_lowercase()).copied()
    }

    /// Notes an address of a person.
    pub fn note(&mut self, number: usize, address: &str) {
        self.addresses.insert(address.to_lowercase(), number);
    }
}

/// How people are when their story begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beginning {
    /// In nobody's CRM yet.
    Stranger,
    /// In CRM, and not in Cliq.
    Listed,
    /// In CRM and in Cliq, in this state.
    Present(&'static str),
    /// In Cliq alone, in this state.
    Planted(&'static str),
    /// One of an organization's own.
    Internal,
}

/// Makes `count` people, and the tables that put them into the sandbox's world; this share of them,
/// in a hundred, is Birch's. `plain` leaves out everybody but strangers and listed ones.
pub fn settle(dice: &mut Dice, count: usize, birch: usize, plain: bool) -> (Town, String) {
    let (mut town, mut tables) = (Town::default(), String::new());
    for number in 0..count {
        let beginning = match dice.below(100) {
            0..70 => Beginning::Stranger,
            _ if plain => Beginning::Listed,
            70..84 => Beginning::Listed,
            84..91 => Beginning::Present(dice.of(&["active", "active", "pending", "inactive"])),
            91..95 => Beginning::Planted(dice.of(&["active", "pending"])),
            _ => Beginning::Internal,
        };
        let first = usize::from(dice.percent(birch));
        let person = one(dice, number, (first, beginning), &mut tables);
        town.note(number, &person.email);
        town.people.push(person);
    }
    (town, tables)
}

fn one(
    dice: &mut Dice,
    number: usize,
    (first, beginning): (usize, Beginning),
    tables: &mut String,
) -> Person {
    let at = |place: usize| place == first;
    let home = (beginning == Beginning::Internal).then_some(first);
    let email = match home {
        Some(home) => format!("i{number}@{}.example", ORGANIZATIONS[home]),
        None => format!("p{number}@partner.example"),
    };
    // Whoever is known before the bridge looks can be told apart for ever.
    let fixed = !matches!(beginning, Beginning::Stranger | Beginning::Listed);
    let account = fixed || dice.percent(40);
    write!(
        tables,
        "\n[[people]]\nemail = \"{email}\"\nfirst_name = \"P\"\nlast_name = \"{number}\"\n\
         language = \"{}\"\ntime_zone = \"{}\"\n",
        dice.of(&["en", "de", "fr", "xx"]),
        dice.of(&["Europe/Berlin", "America/New_York", "Asia/Tokyo"]),
    )
    .unwrap();
    if account {
        let home = home.map_or("elsewhere", |home| ORGANIZATIONS[home]);
        writeln!(tables, "zuid = \"{}\"\nhome = \"{home}\"", 900_000_000 + number).unwrap();
    }
    let temper = dice.of(&[
        Temper::Eager,
        Temper::Eager,
        Temper::Eager,
        Temper::Eager,
        Temper::Refuser,
        Temper::Timid,
    ]);
    let mut person = Person {
        email,
        account,
        home,
        temper,
        places: Default::default(),
        renames: 0,
        first,
        moved: false,
    };
    for (place, name) in ORGANIZATIONS.iter().enumerate().filter(|(place, _)| at(*place)) {
        let email = &person.email;
        if matches!(beginning, Beginning::Listed | Beginning::Present(_) | Beginning::Internal) {
            let id = format!("77{place}{number:09}");
            writeln!(
                tables,
                "[[crm_users]]\norganization = \"{name}\"\nid = \"{id}\"\nemail = \"{email}\""
            )
            .unwrap();
            person.places[place].row = Some(Row {
                id,
                email: email.clone(),
                status: "active",
                confirmed: true,
                regular: true,
            });
        }
        if let Beginning::Present(status) | Beginning::Planted(status) = beginning {
            writeln!(
                tables,
                "[[cliq_users]]\norganization = \"{name}\"\nemail = \"{email}\"\n\
                 status = \"{status}\""
            )
            .unwrap();
        }
        person.places[place].listed = person.places[place].row.is_some();
        person.places[place].theirs = matches!(beginning, Beginning::Present(_));
        person.places[place].planted = matches!(beginning, Beginning::Planted(_));
    }
    person
}
