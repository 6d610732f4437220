//! The help and the manual pages: short where one looks, whole where one reads, and nothing that the
//! programs for manuals complain of.

use std::fs;
use std::path::Path;

use crate::support::{Home, Need, skip};

/// The verbs, and those below them.
fn verbs(home: &Home) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for verb in offered(home, &[]) {
        let below = offered(home, &[&verb]);
        found.push(vec![verb.clone()]);
        found.extend(below.into_iter().map(|sub| vec![verb.clone(), sub]));
    }
    found
}

/// What `retrier help VERB…` can be asked of.
fn offered(home: &Home, above: &[&str]) -> Vec<String> {
    let mut call = home.retrier(["__complete", "fish", "retrier", "help"]);
    for verb in above {
        call = call.arg(verb);
    }
    let text = call.arg("").output().ok().text();
    let names = text.lines().skip(1);
    let names = names.filter_map(|line| line.split('\t').next());
    let names = names.filter(|name| *name != "help");
    names.map(str::to_owned).collect()
}

fn pages() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    let files = fs::read_dir(folder).expect("the folder of manual pages is there");
    let files = files.map(|entry| entry.expect("it is listed").path());
    let page = |path: std::path::PathBuf| {
        let text = fs::read_to_string(&path).expect("a page is text");
        (path.display().to_string(), text)
    };
    files.map(page).collect()
}

#[test]
fn the_help_names_each_verb_once_in_its_group_on_one_screen() {
    let home = Home::new();
    let help = home.retrier(["help"]).output().ok().text();
    assert!(help.lines().count() <= 24, "{help}");
    assert!(
        help.lines().all(|line| line.chars().count() <= 80),
        "{help}"
    );
    let mut groups = Vec::new();
    for line in help.lines() {
        if !line.starts_with(' ') {
            groups.extend(line.split(' ').next());
        }
    }
    for group in ["Run", "Look", "Act", "Manage"] {
        assert!(groups.contains(&group), "{group}: {help}");
    }
    for verb in verbs(&home).iter().filter(|verb| verb.len() == 1) {
        let named = help.lines().filter(|line| {
            let rest = line.get(8..).unwrap_or_default();
            rest.split(' ').next() == Some(verb[0].as_str())
        });
        assert_eq!(named.count(), 1, "{verb:?}: {help}");
    }
}

#[test]
fn no_verb_at_all_shows_the_short_help_and_is_wrong_usage() {
    let home = Home::new();
    let help = home.retrier(["help"]).output().ok();
    let asked = home.retrier(["-h"]).output().ok();
    assert_eq!(asked.text(), help.text());
    let bare = home.retrier([] as [&str; 0]).output().exits(2);
    assert_eq!(bare.error_text().trim(), help.text());
    assert_eq!(bare.text(), "");
    let pool = home.retrier(["pool"]).output().exits(2);
    assert!(
        pool.error_text().contains("  pause "),
        "{}",
        pool.error_text()
    );
}

#[test]
fn each_verb_has_a_help_of_one_screen_and_one_with_all_and_two_examples() {
    let home = Home::new();
    let verbs = verbs(&home);
    assert!(verbs.len() > 20, "{verbs:?}");
    for verb in verbs {
        let short = home.retrier(verb.iter().map(String::as_str).chain(["-h"]));
        let short = short.output().ok().text();
        assert!(short.lines().count() <= 50, "{verb:?}: {short}");
        let help = home.retrier(verb.iter().map(String::as_str).chain(["--help"]));
        let help = help.output().ok().text();
        let asked = ["help"].into_iter().chain(verb.iter().map(String::as_str));
        assert_eq!(home.retrier(asked).output().ok().text(), help);
        for text in [&short, &help] {
            let examples = text.split_once("Examples:\n").map(|(_, rest)| rest);
            let examples = examples.unwrap_or_else(|| panic!("{verb:?}: {text}"));
            let examples = examples.lines().take_while(|line| line.starts_with("  "));
            let real = examples.filter(|line| line.contains("retrier "));
            assert!(real.count() >= 2, "{verb:?}: {text}");
        }
    }
}

#[test]
fn each_page_has_the_sections_that_people_look_for() {
    let of_verbs = pages().into_iter().filter(|(name, _)| name.ends_with(".1"));
    for (name, page) in of_verbs {
        let sections: Vec<&str> = page
            .lines()
            .filter_map(|line| line.strip_prefix(".SH "))
            .map(|title| title.trim_matches('"'))
            .collect();
        for title in [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "EXIT STATUS",
            "ENVIRONMENT",
            "FILES",
            "EXAMPLES",
        ] {
            assert!(sections.contains(&title), "{name}: {sections:?}");
        }
        assert!(!sections.contains(&"EXTRA"), "{name}");
        assert!(page.contains("RETRIER_DB"), "{name}");
    }
    let run = &pages()
        .into_iter()
        .find(|(name, _)| name.ends_with("retrier-run.1"));
    let (_, run) = run.as_ref().expect("there is one");
    for part in [
        "\\fBretrier run\\fR [OPTIONS] \\-\\- COMMAND [ARG]...",
        "RETRIER_IDEMPOTENCY_KEY",
        "RETRIER_DEFAULT_MAX_FAILURES",
        "127 it was not found",
    ] {
        assert!(run.contains(part), "{part} is missing");
    }
}

#[test]
fn groff_and_mandoc_have_nothing_to_say_of_the_pages() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    let home = Home::new();
    let lint = |line: &str| {
        let output = home.sh(line).cwd(&folder).output();
        assert_eq!(
            (output.text(), output.error_text()),
            Default::default(),
            "{line}"
        );
    };
    if !skip(Need::Groff) {
        lint("for page in *.1; do groff -man -ww -z -Tutf8 \"$page\"; done");
    }
    if !skip(Need::Mandoc) {
        lint("mandoc -T lint -W warning *.1");
    }
}

#[test]
fn man_writes_the_pages_into_a_folder_that_it_makes() {
    let home = Home::new();
    let folder = home.path("share/man/man1");
    home.retrier(["man", &folder.display().to_string()])
        .output()
        .ok();
    let (name, page) = pages().remove(0);
    let name = Path::new(&name).file_name().expect("it has a name");
    let written = fs::read_to_string(folder.join(name)).expect("it is written");
    assert_eq!(written, page);
}
