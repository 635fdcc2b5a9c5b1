//! Plans, runs and approvals, as a test asks for them.

use std::pin::pin;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};

use super::Bridge;
use super::harness::{Answer, rows};

const DAY: Duration = Duration::from_hours(24);

/// Tables that a look may write to: calls that were made and counted, and the token they were made with.
const MANNERS: [&str; 4] = ["budget_calls", "budget_locks", "counters", "tokens"];

impl Bridge {
    /// The plan of Birch, dry.
    pub async fn plan(&self) -> Value {
        self.plan_of(json!({ "organization": "birch" })).await
    }

    /// A dry run; must be answered with a plan.
    pub async fn plan_of(&self, mut asked: Value) -> Value {
        asked["dry_run"] = true.into();
        let answer = self.patient(self.admin_post("/resync", &asked)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// Approves; whatever the reads wait for in memory comes at once.
    pub async fn approve(&self, run: &str, checksum: &str) -> Answer {
        let path = format!("/runs/{run}/approve");
        self.patient(self.admin_post(&path, &json!({ "checksum": checksum }))).await
    }

    /// Approves with the run's own checksum, which must be accepted, and works it off.
    pub async fn approved(&self, run: &Value) {
        let (id, checksum) = (run["run_id"].as_str().unwrap(), run["checksum"].as_str().unwrap());
        let answer = self.approve(id, checksum).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        self.settle().await;
    }

    /// A whole run over Birch, worked off.
    pub async fn run_birch(&self) -> Value {
        let run = self.resync(json!({ "organization": "birch" })).await;
        self.settle().await;
        self.admin(&format!("/runs/{run}")).await.body
    }

    /// Explains one person.
    pub async fn explain(&self, person: &str, organization: Option<&str>) -> Answer {
        let query = organization.map_or(String::new(), |id| format!("?organization={id}"));
        let path = format!("/explain/{person}{query}");
        self.patient(self.admin(&path)).await
    }

    async fn patient(&self, asking: impl Future<Output = Answer>) -> Answer {
        let mut asking = pin!(asking);
        loop {
            tokio::select! {
                biased;
                answer = &mut asking => return answer,
                until = self.clock.next_wait() => self.clock.advance_to(until),
            }
        }
    }

    /// Adds these people to Birch and lets them join. Answers their CRM ids.
    pub async fn joined_in_birch(&self, people: &[String]) -> Vec<String> {
        let mut ids = Vec::new();
        for email in people {
            ids.push(self.add("birch", email).await);
        }
        self.run_birch().await;
        for email in people {
            let path = format!("/organizations/birch/members/{email}/accept");
            self.act(&path, &Value::Null).await;
        }
        self.run_birch().await;
        for email in people {
            assert_eq!(self.membership("birch", email).await["state"], "joined");
        }
        ids
    }

    /// Deletes these CRM users of Birch, and lets the grace pass between two runs over the rest.
    /// Answers the second.
    pub async fn gone_from_birch(&self, ids: &[String]) -> Value {
        for id in ids {
            self.delete(&format!("/organizations/birch/crm-users/{id}")).await;
        }
        self.run_birch().await;
        self.clock.advance(DAY);
        self.run_birch().await
    }

    /// How often the portal did this.
    pub async fn portal_did(&self, verb: &str) -> usize {
        let done = format!("{verb}: done");
        let did =
            |entry: &&&Value| entry["detail"].as_str().is_some_and(|text| text.starts_with(&done));
        self.journal().await.of("write", "portal").iter().filter(did).count()
    }

    /// Every row of every table that a look may not write to.
    pub fn stored(&self) -> Vec<(String, Vec<String>)> {
        let store = Connection::open(self.folder.path().join("bridge.db")).unwrap();
        let names =
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
                     ORDER BY name";
        let mut names = store.prepare(names).unwrap();
        let names: Vec<String> =
            names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let names = names.into_iter().filter(|name| !MANNERS.contains(&name.as_str()));
        names.map(|name| (name.clone(), all_rows(&store, &name))).collect()
    }
}

fn all_rows(store: &Connection, table: &str) -> Vec<String> {
    let mut statement = store.prepare(&format!("SELECT * FROM {table}")).unwrap();
    let columns = statement.column_count();
    let text = |row: &rusqlite::Row<'_>| {
        let cells: rusqlite::Result<Vec<String>> = (0..columns)
            .map(|column| {
                row.get::<_, rusqlite::types::Value>(column).map(|cell| format!("{cell:?}"))
            })
            .collect();
        cells.map(|cells| cells.join("|"))
    };
    let mut rows: Vec<String> =
        statement.query_map([], text).unwrap().map(Result::unwrap).collect();
    rows.sort();
    rows
}

/// People of a partner, by number.
pub fn partners(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("p{number}@partner.example")).collect()
}

/// Operation and address of each line.
pub fn lines(list: &Value) -> Vec<(String, String)> {
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    rows(list).map(|row| (text(row, "operation"), text(row, "email"))).collect()
}
