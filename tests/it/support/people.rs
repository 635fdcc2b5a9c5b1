//! People who are in an organization's Cliq before the test begins, and what tests say about plans.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::harness::{Bridge, rows};
use super::traces::Journal;

/// The address of the person with this number.
pub fn address(number: usize) -> String {
    format!("p{number}@partner.example")
}

/// Tables for the sandbox's world: `count` people of an organization's CRM who are active external
/// users of its Cliq, with this licence.
pub fn crowd(organization: &str, count: usize, licence: &str) -> &'static str {
    let mut tables = String::new();
    for number in 0..count {
        let email = address(number);
        let zuid = 900_000_000 + number;
        write!(
            tables,
            "\n[[people]]\nemail = \"{email}\"\nfirst_name = \"P\"\nlast_name = \"{number}\"\n\
             zuid = \"{zuid}\"\nhome = \"elsewhere\"\n\
             [[crm_users]]\norganization = \"{organization}\"\nemail = \"{email}\"\n\
             profile = \"Partner\"\n\
             [[cliq_users]]\norganization = \"{organization}\"\nemail = \"{email}\"\n\
             status = \"active\"\nlicence = \"{licence}\"\n"
        )
        .unwrap();
    }
    tables.leak()
}

/// The same for a whole population: numbers from `first` on, in Cliq with this status, or not there.
pub fn population(organization: &str, first: usize, count: usize, status: Option<&str>) -> String {
    let row = "email = \"p{n}@partner.example\"";
    let cliq = status.map_or_else(String::new, |status| {
        let to = format!("organization = \"{organization}\"");
        format!("cliq_user = {{ {to}, {row}, status = \"{status}\" }}\n")
    });
    format!(
        "\n[[populations]]\nfirst = {first}\ncount = {count}\n\
         person = {{ {row}, first_name = \"P\", last_name = \"{{n}}\", zuid = \"90{{n}}\", \
         home = \"elsewhere\" }}\n\
         crm_user = {{ organization = \"{organization}\", id = \"77{{n}}\", {row}, \
         profile = \"Partner\" }}\n{cliq}"
    )
}

impl Bridge {
    /// One whole run over the organization; answers it.
    pub async fn run_over(&self, organization: &str) -> Value {
        let id = self.resync(json!({ "organization": organization })).await;
        self.settle().await;
        self.admin(&format!("/runs/{id}")).await.body
    }

    /// Looks at the crowd for the first time, and takes it over.
    pub async fn adopted(&self, organization: &str) {
        self.run_over(organization).await;
        let body = json!({ "organization": organization });
        let answer = self.admin_post("/memberships/adopt", &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// A verified plan event about the subscription.
    pub async fn plan_event(&self, organization: &str, kind: &str) {
        let mut event = self.event(kind, organization, "");
        event["data"] = json!({ "plan": { "product": "crmplus" } });
        let answer = self.webhook("crmplus", &event).await;
        assert_eq!(answer.body["status"], "accepted", "{answer:?}");
        self.settle().await;
    }

    /// What CRM's licence details say from now on.
    pub async fn paid_type(&self, organization: &str, word: &str) {
        let path = format!("/organizations/{organization}");
        self.patch(&path, &json!({ "paid_type": word })).await;
    }

    /// Reads CRM's licence details once.
    pub async fn poll(&self, organization: &str) -> Value {
        let path = format!("/organizations/{organization}/poll-plan");
        let answer = self.admin_post(&path, &Value::Null).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        self.settle().await;
        answer.body
    }

    /// An administrator's act on a member, by hand.
    pub async fn by_hand(&self, organization: &str, email: &str, act: &str) {
        let path = format!("/organizations/{organization}/members/{email}/{act}");
        self.act(&path, &Value::Null).await;
    }

    /// The rows of an organization's Cliq as the sandbox has them.
    pub async fn cliq_rows(&self, organization: &str) -> Vec<Value> {
        let state = self.sandbox("/state").await;
        let found = rows(&state["organizations"]).find(|org| org["id"] == organization);
        rows(&found.unwrap()["cliq_users"]).cloned().collect()
    }

    /// A command for one membership; answers what the admin API says.
    pub async fn order(&self, organization: &str, email: &str, verb: &str) -> super::Answer {
        let id = self.membership(organization, email).await["id"].as_str().unwrap().to_owned();
        self.admin_post(&format!("/memberships/{id}/{verb}"), &Value::Null).await
    }

    /// Steps of a membership with this name.
    pub async fn steps(&self, organization: &str, email: &str, event: &str) -> usize {
        let id = self.membership(organization, email).await["id"].as_str().unwrap().to_owned();
        let row = self.admin(&format!("/memberships/{id}")).await.body;
        rows(&row["history"]).filter(|step| step["event"] == event).count()
    }
}

impl Journal {
    /// Portal calls that took effect, by operation.
    pub fn portal_writes(&self, operation: &str) -> usize {
        let said = format!("{operation}: done");
        let writes = self.of("write", "portal");
        writes.iter().filter(|entry| entry["detail"] == said.as_str()).count()
    }
}
