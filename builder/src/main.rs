//! The program `tarsia`: flags, environment, progress and rendering around the library's `ops`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
