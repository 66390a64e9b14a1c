//! `baton generate`: the manual and the shells' completions, from the definition of the commands.

use crate::exit;
use anyhow::{Context, Result};
use clap::{Command, ValueEnum};
use clap_complete::Shell;
use clap_mangen::Man;
use std::io::Write;
use std::path::Path;

/// Section of the manual: administration.
const SECTION: &str = "8";

/// What is generated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum What {
    /// Manual pages: one, or with a folder one for each command as well.
    Man,
    /// Completions for bash.
    Bash,
    /// Completions for zsh.
    Zsh,
    /// Completions for fish.
    Fish,
}

impl What {
    fn shell(self) -> Option<Shell> {
        match self {
            Self::Man => None,
            Self::Bash => Some(Shell::Bash),
            Self::Zsh => Some(Shell::Zsh),
            Self::Fish => Some(Shell::Fish),
        }
    }
}

/// The exit codes, for the end of `baton --help`.
#[must_use]
pub fn exit_codes() -> String {
    let lines: Vec<String> = exit::TEXTS
        .iter()
        .map(|(code, text)| format!("  {code}  {text}"))
        .collect();
    format!("Exit status:\n{}", lines.join("\n"))
}

/// Writes it into the folder `dir`, under the names that the system looks for; without one, to
/// the standard output.
///
/// # Errors
/// A file cannot be written.
pub fn generate(command: Command, what: What, dir: Option<&Path>) -> Result<()> {
    match (what.shell(), dir) {
        (Some(shell), Some(dir)) => {
            let mut command = command;
            clap_complete::generate_to(shell, &mut command, "baton", dir)
                .map(drop)
                .with_context(|| format!("writing to {}", dir.display()))
        }
        (Some(shell), None) => {
            let mut command = command;
            clap_complete::generate(shell, &mut command, "baton", &mut std::io::stdout());
            Ok(())
        }
        (None, Some(dir)) => pages(command, dir),
        (None, None) => {
            let text = page(main_page(command), true)?;
            std::io::stdout().write_all(&text)?;
            Ok(())
        }
    }
}

/// The exit codes have a section of their own in the manual.
fn main_page(command: Command) -> Command {
    command
        .disable_help_subcommand(true)
        .after_long_help(None::<&str>)
}

/// `baton.8`, and `baton-COMMAND.8` for each command.
fn pages(command: Command, dir: &Path) -> Result<()> {
    let mut command = main_page(command);
    command.build();
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let name = format!("baton-{}.{SECTION}", sub.get_name());
        write(&dir.join(name), &page(sub.clone(), false)?)?;
    }
    write(&dir.join(format!("baton.{SECTION}")), &page(command, true)?)
}

fn write(path: &Path, text: &[u8]) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

fn page(command: Command, with_codes: bool) -> Result<Vec<u8>> {
    let manual = Man::new(command).section(SECTION).manual("Baton");
    let mut text = Vec::new();
    manual.render(&mut text)?;
    // clap_mangen refers to section 1 nowhere else than in the list of commands.
    if with_codes {
        text.extend(b".SH \"EXIT STATUS\"\n");
        for (code, words) in exit::TEXTS {
            text.extend(format!(".TP\n\\fB{code}\\fR\n{words}\n").bytes());
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        Command::new("baton")
            .about("Update")
            .after_long_help(exit_codes())
            .subcommand(Command::new("load").about("Boot"))
            .subcommand(Command::new("secret").hide(true))
    }

    #[test]
    fn pages_are_in_section_8_and_hidden_commands_have_none() {
        let dir = tempfile::TempDir::new().unwrap();
        generate(command(), What::Man, Some(dir.path())).unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name));
        let main = read("baton.8").unwrap();
        assert!(main.contains(".TH baton 8"));
        assert_eq!(main.matches("EXIT STATUS").count(), 1);
        assert!(!main.contains("EXTRA"));
        assert!(read("baton-load.8").unwrap().contains(".TH baton-load 8"));
        assert!(read("baton-secret.8").is_err());
    }

    #[test]
    fn completions_have_the_names_that_shells_look_for() {
        let dir = tempfile::TempDir::new().unwrap();
        for (what, name) in [
            (What::Bash, "baton.bash"),
            (What::Zsh, "_baton"),
            (What::Fish, "baton.fish"),
        ] {
            generate(command(), what, Some(dir.path())).unwrap();
            let text = std::fs::read_to_string(dir.path().join(name)).unwrap();
            assert!(text.contains("load"), "{name}");
        }
    }
}
