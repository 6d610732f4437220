//! What is made for other programs to read: completions, and manual pages from the command line's own
//! description.

use std::fs;
use std::io;
use std::path::Path;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use super::args::{self, Shell};
use super::failure::{Failure, code};
use super::manual::{COMMAND_SEES, ENVIRONMENT, EXIT_CODES, Entry, FILES};
use super::objects;

/// When what the pages tell was last looked through; a page without a date is taken for unfinished.
const DATE: &str = "2026-11-30";

/// The completion script of `shell`.
pub fn completions(shell: Shell) -> &'static [u8] {
    match shell {
        Shell::Bash => include_bytes!("../../completions/retrier.bash"),
        Shell::Zsh => include_bytes!("../../completions/_retrier"),
        Shell::Fish => include_bytes!("../../completions/retrier.fish"),
    }
}

/// Writes the manual pages into the folder `dir`, which is made when it is not there. Beside a folder man1 that
/// of section 7 belongs into one of its own.
pub(super) fn write_man_pages(dir: &Path) -> anyhow::Result<u8> {
    let of_path = |path: &Path, error: &io::Error| {
        Failure::of_file(path.display(), error).hint("name a folder that you can write to")
    };
    fs::create_dir_all(dir).map_err(|error| of_path(dir, &error))?;
    let beside = dir.with_file_name("man7");
    let of_section_7 = match dir.file_name() {
        Some(name) if name == "man1" => beside.as_path(),
        Some(_) | None => dir,
    };
    fs::create_dir_all(of_section_7).map_err(|error| of_path(of_section_7, &error))?;
    for (name, page) in man_pages()? {
        let dir = if name.ends_with(".7") {
            of_section_7
        } else {
            dir
        };
        let path = dir.join(name);
        fs::write(&path, page).map_err(|error| of_path(&path, &error))?;
    }
    Ok(code::DONE)
}

/// The manual pages, each with the name of its file: one of the program, one per verb.
pub fn man_pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut program = args::command().disable_help_subcommand(true);
    program.build();
    let mut pages = Vec::new();
    collect(&program, None, &mut pages)?;
    pages.push(("retrier-json.7".to_owned(), objects_page()?));
    Ok(pages)
}

/// The page about the JSON objects.
fn objects_page() -> io::Result<Vec<u8>> {
    let mut roff = Roff::new();
    let version = concat!("retrier ", env!("CARGO_PKG_VERSION"));
    roff.control("TH", ["retrier-json", "7", DATE, version]);
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

fn collect(
    command: &Command,
    above: Option<&str>,
    pages: &mut Vec<(String, Vec<u8>)>,
) -> io::Result<()> {
    if command.is_hide_set() {
        return Ok(());
    }
    let name = command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
        .to_owned();
    let verbs = || command.get_subcommands().filter(|verb| !verb.is_hide_set());
    let mut page = Vec::new();
    let man = Man::new(command.clone());
    let program = concat!("retrier ", env!("CARGO_PKG_VERSION"));
    let title = [&name.to_uppercase(), "1", DATE, program, "User Commands"];
    // Who searches a page for a name must find it whole.
    let mut head = Roff::new();
    head.control("TH", title).control("nh", []);
    head.to_writer(&mut page)?;
    man.render_name_section(&mut page)?;
    synopsis(command).to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    if above.is_none() {
        let mut roff = Roff::new();
        roff.control("SH", ["VERBS"]);
        for verb in verbs() {
            let about = verb.get_about().map(ToString::to_string);
            entry(&mut roff, verb.get_name(), &about.unwrap_or_default());
        }
        roff.to_writer(&mut page)?;
    }
    page.extend(options(&man)?);
    if above.is_some() && verbs().next().is_some() {
        man.render_subcommands_section(&mut page)?;
    }
    let is_program = above.is_none();
    let text = command.get_after_help().filter(|_| !is_program);
    let text = text.map(ToString::to_string).unwrap_or_default();
    sections(&name, is_program, &text).to_writer(&mut page)?;
    let others = above.into_iter().map(|above| (above.to_owned(), "1"));
    let below = verbs().map(|verb| (format!("{name}-{}", verb.get_name()), "1"));
    let beside = related(&name)
        .iter()
        .map(|verb| (format!("retrier-{verb}"), "1"));
    let prints_json = command
        .get_arguments()
        .any(|option| option.get_id() == "json");
    let json = (is_program || prints_json).then(|| ("retrier-json".to_owned(), "7"));
    see_also(others.chain(below).chain(beside).chain(json)).to_writer(&mut page)?;
    pages.push((format!("{name}.1"), without_double_breaks(&page)));
    for verb in verbs() {
        collect(verb, Some(&name), pages)?;
    }
    Ok(())
}

/// The options: what has a heading in the help stands below one section.
fn options(man: &Man) -> io::Result<Vec<u8>> {
    let mut section = Vec::new();
    man.render_options_section(&mut section)?;
    let section = String::from_utf8_lossy(&section);
    let parts = section.replace("\n.SH ", "\n.SS ");
    Ok(parts
        .replacen("\n.SS OPTIONS", "\n.SH OPTIONS", 1)
        .into_bytes())
}

/// clap_mangen breaks the line around an empty one, which breaks it already.
fn without_double_breaks(page: &[u8]) -> Vec<u8> {
    let page = String::from_utf8_lossy(page);
    page.replace(".br\n\n.br\n", ".sp\n").into_bytes()
}

/// How it is called, a line for each way.
fn synopsis(command: &Command) -> Roff {
    let usage = command.clone().render_usage().to_string();
    let name = command.get_bin_name().unwrap_or_default();
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    let lines = usage.trim_start_matches("Usage:").lines().map(str::trim);
    for (number, line) in lines.enumerate() {
        if number > 0 {
            roff.control("br", []);
        }
        match line.strip_prefix(name) {
            Some(rest) => roff.text([bold(name), roman(rest)]),
            None => roff.text([roman(line)]),
        };
    }
    roff
}

/// What stands below the options in the help, as sections of its own, and what all verbs share.
fn sections(name: &str, is_program: bool, text: &str) -> Roff {
    let paragraphs = || text.split("\n\n").filter(|one| !one.is_empty());
    let titled = |title: &str| {
        paragraphs().find_map(|one| one.strip_prefix(title).map(str::trim).map(str::to_owned))
    };
    let mut roff = Roff::new();
    let is_note = |one: &&str| !one.starts_with("Examples:") && !one.starts_with("Exit codes");
    for (number, note) in paragraphs().filter(is_note).enumerate() {
        match number {
            0 => roff.control("SH", ["NOTES"]),
            _ => roff.control("PP", []),
        };
        roff.text(joined(note));
    }
    roff.control("SH", ["EXIT STATUS"]);
    let of_all = if is_program {
        EXIT_CODES
    } else {
        &EXIT_CODES[..3]
    };
    entries(&mut roff, of_all);
    if let Some(own) = titled("Exit codes") {
        let own = match own.strip_prefix(": ") {
            Some(own) => format!("Here: {own}"),
            None => own.replacen("of ", "Of ", 1),
        };
        roff.control("PP", []);
        roff.text(joined(&own));
    }
    roff.control("SH", ["ENVIRONMENT"]);
    entries(&mut roff, ENVIRONMENT);
    if is_program || name == "retrier-run" {
        roff.control("PP", []);
        roff.text([roman("A command finds in its environment:")]);
        entries(&mut roff, COMMAND_SEES);
    }
    roff.control("SH", ["FILES"]);
    entries(&mut roff, FILES);
    let examples = match is_program {
        true => Some(PROGRAM_EXAMPLES.to_owned()),
        false => titled("Examples:"),
    };
    if let Some(examples) = examples {
        roff.control("SH", ["EXAMPLES"]).control("nf", []);
        for line in examples.lines() {
            roff.text([roman(line.trim())]);
        }
        roff.control("fi", []);
    }
    roff
}

/// The program's own examples.
const PROGRAM_EXAMPLES: &str = "retrier run -- curl -fsS https://example.com/hook\n\
    retrier run --wait --max-failures 8 --timeout 10m -- rsync -a /srv/ backup:srv/\n\
    retrier list --state failed";

fn joined(text: &str) -> [Inline; 1] {
    [roman(text.split_whitespace().collect::<Vec<_>>().join(" "))]
}

fn entries(roff: &mut Roff, all: &[Entry]) {
    for (name, what) in all {
        entry(roff, name, what);
    }
}

fn entry(roff: &mut Roff, name: &str, what: &str) {
    roff.control("TP", []);
    roff.text([bold(name)]);
    roff.text([roman(what)]);
}

/// The verbs that somebody who reads about this one is likely to need.
fn related(name: &str) -> &'static [&'static str] {
    match name.strip_prefix("retrier-").unwrap_or_default() {
        "run" => &["wait", "explain", "pool", "cancel"],
        "wait" => &["run", "logs", "status"],
        "status" => &["list", "logs", "events", "explain"],
        "list" => &["status", "stats"],
        "logs" => &["status", "events", "wait"],
        "events" => &["explain", "status"],
        "explain" => &["run", "events", "status"],
        "stats" => &["list", "pool"],
        "retry" | "cancel" => &["list", "status", "events"],
        "cleanup" => &["list", "backup", "daemon"],
        "backup" => &["cleanup", "doctor"],
        "pool" => &["run", "stats"],
        "daemon" => &["doctor", "pool"],
        "doctor" => &["daemon", "backup", "events"],
        _ => &[],
    }
}

fn see_also(names: impl Iterator<Item = (String, &'static str)>) -> Roff {
    let mut roff = Roff::new();
    let mut inlines = Vec::new();
    for (name, section) in names {
        if !inlines.is_empty() {
            inlines.push(roman(", "));
        }
        inlines.push(bold(name));
        inlines.push(roman(format!("({section})")));
    }
    if !inlines.is_empty() {
        roff.control("SH", ["SEE ALSO"]).text(inlines);
    }
    roff
}
