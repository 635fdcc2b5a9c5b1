//! The program: parse the command line, run it, one exit status. Everything else is the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    cliqbridge::cli::main()
}
