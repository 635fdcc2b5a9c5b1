//! One process of the built binary: what it prints, the signals it gets, how it ends.
//!
//! Deliberately absent: what the process is for. A child that a test forgets is killed.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::thread;

use tokio::sync::watch;

use super::PATIENCE;

/// A running child.
pub struct Program {
    child: Option<Child>,
    pid: u32,
    out: watch::Receiver<Vec<String>>,
    err: watch::Receiver<Vec<String>>,
}

/// How a child ended, and all that it printed.
#[derive(Debug)]
pub struct Ended {
    /// The exit status; `None` when a signal ended it.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Program {
    /// Starts the binary, without this process's systemd environment.
    pub fn spawn(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cliqbridge"));
        for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM"] {
            command.env_remove(name);
        }
        let mut child = command
            .args(arguments)
            .env_remove("CREDENTIALS_DIRECTORY")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = lines(child.stdout.take().unwrap());
        let err = lines(child.stderr.take().unwrap());
        Self { pid: child.id(), child: Some(child), out, err }
    }

    /// Runs the binary to its end.
    pub async fn run(arguments: &[&str]) -> Ended {
        Self::spawn(arguments, &[]).ended().await
    }

    /// Waits for a line on stderr that holds the text.
    pub async fn says(&self, text: &str) -> String {
        self.line(&self.err, text).await
    }

    /// Waits for a line on stdout that holds the text.
    pub async fn prints(&self, text: &str) -> String {
        self.line(&self.out, text).await
    }

    async fn line(&self, from: &watch::Receiver<Vec<String>>, text: &str) -> String {
        let mut from = from.clone();
        let found = |lines: &Vec<String>| lines.iter().any(|line| line.contains(text));
        let seen = tokio::time::timeout(PATIENCE, from.wait_for(found)).await;
        let Ok(Ok(lines)) = seen else { panic!("no {text:?}; stderr was:\n{}", self.err()) };
        lines.iter().find(|line| line.contains(text)).unwrap().clone()
    }

    /// Everything on stderr so far.
    pub fn err(&self) -> String {
        self.err.borrow().join("\n")
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let arguments = ["-c", "kill -s \"$0\" \"$1\"", name, &self.pid.to_string()];
        assert!(Command::new("sh").args(arguments).status().unwrap().success());
    }

    /// Kills it as a power cut would, and waits until it is gone.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> Ended {
        let mut child = self.child.take().unwrap();
        let waiting = tokio::task::spawn_blocking(move || child.wait().unwrap());
        let Ok(status) = tokio::time::timeout(PATIENCE, waiting).await else {
            self.signal("KILL");
            panic!("it did not end; stderr was:\n{}", self.err());
        };
        // Both end when the last line is read.
        let _ = self.out.clone().wait_for(|_| false).await;
        let _ = self.err.clone().wait_for(|_| false).await;
        let out = self.out.borrow().join("\n");
        Ended { code: status.unwrap().code(), out, err: self.err() }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end();
    }
}

fn lines(from: impl Read + Send + 'static) -> watch::Receiver<Vec<String>> {
    let (sender, receiver) = watch::channel(Vec::new());
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            sender.send_modify(|lines| lines.push(line));
        }
    });
    receiver
}
