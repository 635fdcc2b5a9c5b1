//! Birch's people from the outside: who joins, what CRM says of them, and what was done to them.

use serde_json::{Value, json};

use super::harness::{Bridge, answer};
use super::setup::ADMIN_TOKEN;
use super::traces::Journal;

/// A page of CRM's listing that shows these and nobody else, as if they were all.
pub fn roster(people: &[(&str, &str)]) -> Value {
    let row = |(id, email): &(&str, &str)| {
        json!({ "id": id, "email": email, "first_name": "P", "last_name": "P", "status": "active",
                "confirm": true, "category": "regular_user",
                "profile": { "name": "Standard", "id": "1" }, "role": { "name": "CEO", "id": "2" } })
    };
    let users: Vec<Value> = people.iter().map(row).collect();
    json!({ "kind": "status", "status": 200, "body": {
        "info": { "per_page": 200, "count": users.len(), "page": 1, "more_records": false },
        "users": users,
    }})
}

impl Bridge {
    /// Invites these people to Birch and lets them join; answers their CRM ids.
    pub async fn joined(&self, people: &[&str]) -> Vec<String> {
        let mut ids = Vec::new();
        for email in people {
            ids.push(self.added("birch", email).await);
        }
        self.settle().await;
        for email in people {
            self.by_hand("birch", email, "accept").await;
        }
        self.run_over("birch").await;
        ids
    }

    /// What `/metrics` shows under this name for an organization.
    pub async fn gauge(&self, name: &str, organization: &str) -> Option<i64> {
        let url = format!("http://{}/metrics", self.admin_address());
        let page = answer(self.http.get(url).bearer_auth(ADMIN_TOKEN)).await.text;
        let head = format!("{name}{{organization=\"{organization}\"}} ");
        page.lines().find_map(|line| line.strip_prefix(&head)?.parse().ok())
    }

    /// The membership's state in Birch.
    pub async fn state(&self, email: &str) -> String {
        self.membership("birch", email).await["state"].as_str().unwrap().to_owned()
    }

    /// Birch is answered so whenever it makes this call, until the faults are cleared.
    pub async fn answers(&self, call: &str, status: u16) {
        let more = json!({ "organization": "birch", "times": null });
        self.fault(call, more, json!({ "kind": "status", "status": status })).await;
    }

    /// Birch's quarantine; null when there is none.
    pub async fn quarantine(&self) -> Value {
        self.organization("birch").await["quarantine"].clone()
    }

    /// Changes a row of Birch's CRM.
    pub async fn crm(&self, id: &str, change: Value) {
        self.patch(&format!("/organizations/birch/crm-users/{id}"), &change).await;
    }

    /// Deletes a row of Birch's CRM.
    pub async fn crm_delete(&self, id: &str) {
        self.delete(&format!("/organizations/birch/crm-users/{id}")).await;
    }

    /// Says something of a user of Birch by webhook.
    pub async fn say(&self, kind: &str, id: &str) {
        let event = self.event(kind, "birch", id);
        let answer = self.webhook("crmplus", &event).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// How many changes and letters there were so far.
    pub async fn count(&self) -> usize {
        self.journal().await.effects().len()
    }

    /// The changes and letters after so many, in a word each.
    pub async fn done_after(&self, count: usize) -> Vec<String> {
        self.journal().await.words().split_off(count)
    }
}

impl Journal {
    /// Everything of [`Journal::effects`], in a word each.
    pub fn words(&self) -> Vec<String> {
        let word = |entry: &&Value| match entry["kind"].as_str() {
            Some("mail") => "letter".to_owned(),
            _ => entry["detail"].as_str().unwrap_or_default().replace(": done", ""),
        };
        self.effects().iter().map(word).collect()
    }
}
