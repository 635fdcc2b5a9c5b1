//! Lists the language catalogues, so that dropping a file into their folder adds a language.
//!
//! Deliberately absent: reading them. The program does that, and a test reads every sentence.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

/// Where the catalogues are, from the root of the package.
const FOLDER: &str = "src/logic/words/languages";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={FOLDER}");
    let folder = Path::new(&required("CARGO_MANIFEST_DIR")?).join(FOLDER);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            files.push(path);
        }
    }
    files.sort();
    let mut list = String::from("&[\n");
    for path in files {
        let tag = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        // Writing to a String cannot fail.
        let _ = writeln!(list, "    ({tag:?}, include_str!({:?})),", path.to_string_lossy());
    }
    list.push_str("]\n");
    fs::write(Path::new(&required("OUT_DIR")?).join("languages.rs"), list)
}

fn required(name: &str) -> io::Result<std::ffi::OsString> {
    env::var_os(name).ok_or_else(|| io::Error::other(format!("{name} is not set")))
}
