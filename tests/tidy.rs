//! The habits that no compiler holds: reads the sources and fails on a breach, saying what to do instead.
//!
//! Start reading at `rules::all`. Each rule has a bad sample below, so that no rule can pass by seeing nothing.

mod rules;
mod source;

use std::fs;
use std::path::{Path, PathBuf};

use source::Source;

#[test]
fn the_sources_are_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("Cargo.toml is there");
    let mut sources = Vec::new();
    for file in rust_files(&root.join("src")).chain(rust_files(&root.join("tests"))) {
        let text = fs::read_to_string(&file).expect("a source is UTF-8");
        let path = file.strip_prefix(root).expect("it is below the root");
        sources.push(Source::new(path.to_str().expect("a UTF-8 path"), &text));
    }
    for known in ["src/main.rs", "src/lib.rs", "tests/tidy.rs"] {
        assert!(
            sources.iter().any(|source| source.path == known),
            "{known} was not read"
        );
    }
    let breaches: Vec<String> = sources
        .iter()
        .flat_map(|source| rules::all(source, &rules::dependencies(&manifest)))
        .collect();
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

fn rust_files(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of sources can be read") {
            let path = entry.expect("a folder of sources can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files.into_iter()
}

const MANIFEST: &str = "[package]\nname = \"x\"\n[dependencies]\nserde = \"1\"\nserde_json = \"1\"\n\
    tracing-subscriber = { version = \"0\" }\n[dependencies.jiff]\nversion = \"0\"\n\
    [dev-dependencies]\nproptest = \"1\"\n";

fn breaches(path: &str, text: &str) -> Vec<String> {
    rules::all(&Source::new(path, text), &rules::dependencies(MANIFEST))
}

/// That this text, after a proper first line, breaches one rule: the one whose message holds these words.
#[track_caller]
fn assert_caught(path: &str, text: &str, words: &str) {
    let found = breaches(path, &format!("//! A room.\n{text}\n"));
    assert_eq!(found.len(), 1, "{words}: {path}: {text:?} gave {found:#?}");
    assert!(found[0].contains(words), "{words}: {found:#?}");
}

#[test]
fn imports_against_the_direction_are_caught() {
    for (path, text) in [
        ("src/model/run.rs", "use crate::store::Db;"),
        ("src/model/mod.rs", "fn f() -> crate::clock::Now {}"),
        ("src/clock.rs", "use crate::sys::timer;"),
        ("src/sys/lock.rs", "pub use crate::store::Db;"),
        (
            "src/store/read.rs",
            "use crate::{\n    model::Run,\n    shim::{Report, Shim},\n};",
        ),
        ("src/shim/mod.rs", "use crate::daemon;"),
        ("src/daemon/pass.rs", "    crate::cli::render(x);"),
        ("src/main.rs", "use retrier::{cli, store};"),
    ] {
        assert_caught(path, text, "imports go one way");
    }
    assert_caught("src/store/read.rs", "use crate::Error;", "is not a room");
    assert_caught("src/util.rs", "", "belongs to no room");
}

#[test]
fn crates_outside_their_room_are_caught() {
    for (path, text) in [
        ("src/daemon/mod.rs", "use nix::poll::poll;"),
        ("src/shim/mod.rs", "    let pid = ::libc::getpid();"),
        ("src/store/mod.rs", "use rustix as r;"),
        ("src/cli/mod.rs", "use signal_hook::flag;"),
        ("src/cli/run.rs", "fn f(x: &rusqlite::Connection) {}"),
        ("src/daemon/mod.rs", "#[derive(clap::Parser)]"),
        ("src/daemon/mod.rs", "use indicatif::ProgressBar;"),
        ("src/lib.rs", "use clap_mangen::Man;"),
    ] {
        assert_caught(path, text, "only in the room");
    }
    for text in [
        "use serde_json::Value;",
        "fn f() -> jiff::Zoned {}",
        "use tracing_subscriber::fmt;",
    ] {
        assert_caught("src/model/run.rs", text, "model is pure");
    }
}

#[test]
fn forbidden_words_are_caught() {
    assert_caught("src/sys/a.rs", "use std::{fs, io::*};", "glob import");
    assert_caught("src/sys/a.rs", "pub use a::b::*;", "glob import");
    assert_caught(
        "src/sys/a.rs",
        "let now = std::time::Instant::now();",
        "clock alone",
    );
    assert_caught("src/cli/a.rs", "let now = SystemTime::now;", "clock alone");
    assert_caught("src/cli/a.rs", "    todo!()", "`todo!`");
    assert_caught("src/cli/a.rs", "    unimplemented!()", "`unimplemented!`");
    assert_caught("src/cli/a.rs", "    dbg!(x);", "`dbg!`");
}

#[test]
fn what_is_too_long_is_caught() {
    let body = "    x();\n".repeat(69);
    let function = format!("pub(crate) const fn f() {{\n{body}}}");
    assert_caught("src/cli/a.rs", &function, "function of 71 lines");
    assert_caught("tests/a.rs", &function, "function of 71 lines");
    let nested = body.replace("    ", "        ");
    let indented = format!(
        "impl X {{\n    fn f(\n    )\n    where\n        X: Y,\n    {{\n{nested}    }}\n}}"
    );
    assert_caught("src/cli/a.rs", &indented, "function of 75 lines");
    assert_caught("src/cli/a.rs", &"// x\n".repeat(399), "file of 401 lines");
    assert_caught(
        "tests/support/a.rs",
        &"// x\n".repeat(399),
        "file of 401 lines",
    );
}

#[test]
fn a_file_without_its_introduction_is_caught() {
    let found = breaches("src/cli/a.rs", "use std::fs;\n");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("`//!`"), "{found:#?}");
}

#[test]
fn tidy_sources_pass() {
    let body = "    x();\n".repeat(68);
    for (path, text) in [
        ("src/main.rs", "use retrier::cli;"),
        (
            "src/cli/run.rs",
            "use crate::{daemon::Loop, store, sys::{self, lock}};\nuse clap::Parser;",
        ),
        (
            "src/daemon/a.rs",
            "use crate::{clock, model::{Run, store}, shim, store, sys};",
        ),
        (
            "src/model/a.rs",
            "use serde::Serialize;\nuse crate::model::run::Run;",
        ),
        (
            "src/model/a.rs",
            "#[cfg(test)]\nmod tests {\n    use super::*;\n    use serde_json::json;\n}",
        ),
        ("src/model/tests.rs", "use super::*;"),
        ("src/clock.rs", "let now = Instant::now();"),
        (
            "src/cli/a.rs",
            "// todo!() and nix::poll\nlet x = \"dbg!(nix::x) \\\" clap::y\";",
        ),
        (
            "src/store/a.rs",
            "let quote = '\"'; /* use a::*; */ let sql = r#\"\"todo!()\"#;",
        ),
        (
            "src/store/a.rs",
            "fn f<'a>(x: &'a crate::sys::nix::X) { crate::point!(x) }",
        ),
        ("src/store/a.rs", &format!("fn f() {{\n{body}}}")),
        (
            "src/store/a.rs",
            &format!(
                "trait T {{\n    fn f();\n    fn g(\n    ) -> X;\n    fn h() {{}}\n{}}}",
                "    // x\n".repeat(80)
            ),
        ),
        ("tests/a.rs", "use proptest::prelude::*;\nlet x = nix::x();"),
    ] {
        let found = breaches(path, &format!("//! A room.\n{text}\n"));
        assert!(found.is_empty(), "{path}: {text}: {found:#?}");
    }
}
