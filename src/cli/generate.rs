//! What is made from the command line's own description: completions and manual pages.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context;
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::args::{self, Shell};
use super::failure::code;
use super::objects;

/// The completion script of `shell`.
pub fn completions(shell: Shell) -> &'static [u8] {
    match shell {
        Shell::Bash => include_bytes!("../../completions/retrier.bash"),
        Shell::Zsh => include_bytes!("../../completions/_retrier"),
        Shell::Fish => include_bytes!("../../completions/retrier.fish"),
    }
}

/// Writes the manual pages into the folder `dir`.
pub(super) fn write_man_pages(dir: &Path) -> anyhow::Result<u8> {
    for (name, page) in man_pages()? {
        let path = dir.join(name);
        fs::write(&path, page).with_context(|| path.display().to_string())?;
    }
    Ok(code::DONE)
}

/// The manual pages, each with the name of its file: one of the program, one per verb.
pub fn man_pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut program = args::command().disable_help_subcommand(true);
    program.build();
    let mut pages = Vec::new();
    collect(&program, &mut pages)?;
    pages.push(("retrier-json.7".to_owned(), objects_page()?));
    Ok(pages)
}

/// What stands below the options in the help, as sections of its own: examples, exit codes, notes.
fn sections(text: &str) -> Roff {
    let mut roff = Roff::new();
    for paragraph in text.split("\n\n") {
        let (title, body) = match paragraph.split_once(':') {
            Some(("Examples", examples)) => ("EXAMPLES", examples),
            Some(("Exit codes", codes)) => ("EXIT STATUS", codes),
            Some(_) | None => ("NOTES", paragraph),
        };
        roff.control("SH", [title]).control("nf", []);
        for line in body.trim_matches('\n').lines() {
            roff.text([roman(line.trim())]);
        }
        roff.control("fi", []);
    }
    roff
}

/// The page about the JSON objects.
fn objects_page() -> io::Result<Vec<u8>> {
    let mut roff = Roff::new();
    let version = concat!("retrier ", env!("CARGO_PKG_VERSION"));
    roff.control("TH", ["retrier-json", "7", "", version]);
    roff.control("nh", []);
    roff.control("SH", ["NAME"]);
    roff.text([roman("retrier-json - the JSON that retrier prints")]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([roman(objects::COMMON)]);
    for object in objects::ALL {
        roff.control("SH", [object.name.to_uppercase().as_str()]);
        roff.text([roman(format!("{}.", object.place))]);
        for (field, kind, meaning) in object.fields {
            roff.control("TP", []);
            roff.text([bold(*field), roman(format!(" ({kind})"))]);
            roff.text([roman(*meaning)]);
        }
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman("retrier(1)")]);
    let mut page = Vec::new();
    roff.to_writer(&mut page)?;
    Ok(page)
}

fn collect(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    if command.is_hide_set() {
        return Ok(());
    }
    let name = command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
        .to_owned();
    let mut page = Vec::new();
    let man = Man::new(command.clone()).title(name.clone());
    man.render_title(&mut page)?;
    // Who searches a page for a name must find it whole.
    Roff::new().control("nh", []).to_writer(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.get_subcommands().any(|verb| !verb.is_hide_set()) {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(text) = command.get_after_help() {
        sections(&text.to_string()).to_writer(&mut page)?;
    }
    pages.push((format!("{name}.1"), page));
    for verb in command.get_subcommands() {
        collect(verb, pages)?;
    }
    Ok(())
}
