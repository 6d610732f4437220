//! The rules. Each takes one source and returns its breaches, as `path:line: what is wrong; what to do`.

use super::source::{Source, indentation, is_name, line_of, numbered};

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;

/// The rooms of `src`, each with the rooms that it may name. `lib` only declares them.
const ROOMS: [(&str, &[&str]); 11] = [
    ("main", &["cli"]),
    ("lib", &[]),
    (
        "cli",
        &[
            "daemon", "shim", "store", "json", "text", "model", "sys", "clock",
        ],
    ),
    (
        "daemon",
        &["shim", "store", "json", "text", "model", "sys", "clock"],
    ),
    ("shim", &["json", "text", "model", "sys", "clock"]),
    ("store", &["json", "model", "sys", "clock"]),
    ("sys", &["model", "clock"]),
    ("clock", &["model"]),
    ("json", &["model"]),
    ("text", &["model"]),
    ("model", &[]),
];

/// Crates that live in one room only.
const HOUSED_CRATES: [(&str, &[&str]); 3] = [
    ("sys", &["nix", "libc", "rustix", "signal_hook"]),
    ("store", &["rusqlite"]),
    ("cli", &["clap", "indicatif", "clap_mangen"]),
];

/// All breaches of one source. `dependencies` are the names under which the package's crates are used.
pub fn all(source: &Source, dependencies: &[String]) -> Vec<String> {
    let mut breaches = file_length(source);
    breaches.extend(function_length(source));
    let Some(room) = source.room() else {
        return breaches;
    };
    breaches.extend(introduction(source));
    breaches.extend(forbidden_words(source));
    breaches.extend(time_outside_clock(source, room));
    breaches.extend(glob_imports(source));
    breaches.extend(import_direction(source, room));
    breaches.extend(housed_crates(source, room));
    if room == "model" {
        breaches.extend(impure_model(source, dependencies));
    }
    breaches
}

/// The names of the crates in the `[dependencies]` of a manifest, as code writes them.
pub fn dependencies(manifest: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            let header = header.trim_end_matches(']');
            inside = header == "dependencies" || header.ends_with(".dependencies");
            names.extend(header.strip_prefix("dependencies.").map(str::to_owned));
        } else if inside && line.starts_with(is_name) {
            let end = line.find(|c| !is_name(c) && c != '-').unwrap_or(line.len());
            names.push(line[..end].to_owned());
        }
    }
    names.iter().map(|name| name.replace('-', "_")).collect()
}

fn file_length(source: &Source) -> Vec<String> {
    let lines = source.text.lines().count();
    if lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    vec![format!(
        "{}:1: file of {lines} lines; move what belongs together into a module of its own, {FILE_LINES_MAX} lines at most",
        source.path
    )]
}

fn function_length(source: &Source) -> Vec<String> {
    let lines: Vec<&str> = source.code.lines().collect();
    let mut breaches = Vec::new();
    for (number, line) in numbered(&source.code).filter(|(_, line)| starts_function(line)) {
        let length = function_lines(&lines[number - 1..]);
        if length > FUNCTION_LINES_MAX {
            breaches.push(format!(
                "{}:{number}: function of {length} lines; keep the branches and move the leaves into functions of their own, {FUNCTION_LINES_MAX} lines at most: `{}`",
                source.path,
                line.trim()
            ));
        }
    }
    breaches
}

fn starts_function(line: &str) -> bool {
    let Some((before, _)) = line.split_once("fn ") else {
        return false;
    };
    let qualifiers = ["const", "async", "unsafe", "extern", "pub"];
    before
        .split_whitespace()
        .all(|word| qualifiers.contains(&word) || word.starts_with("pub("))
        && before
            .trim_start()
            .chars()
            .last()
            .is_none_or(|last| last == ' ')
}

/// How many lines the function has that begins with the first one: to the brace below its beginning.
fn function_lines(lines: &[&str]) -> usize {
    if lines[0].ends_with(['}', ';']) {
        return 1;
    }
    let left = indentation(lines[0]);
    let ends = |line: &&str| {
        let trimmed = line.trim();
        let is_declaration = trimmed.starts_with(')') && trimmed.ends_with(';');
        indentation(line) == left && (trimmed.starts_with('}') || is_declaration)
    };
    let end = lines.iter().position(ends);
    end.map_or(lines.len(), |index| index + 1)
}

fn introduction(source: &Source) -> Vec<String> {
    if source.text.starts_with("//!") {
        return Vec::new();
    }
    vec![format!(
        "{}:1: does not open with `//!`; say what the module is for, what it may not do, where to start reading",
        source.path
    )]
}

fn forbidden_words(source: &Source) -> Vec<String> {
    let mut breaches = Vec::new();
    for word in ["todo!", "unimplemented!", "dbg!"] {
        for offset in words(&source.code, word) {
            breaches.push(format!(
                "{}:{}: `{word}` is for work under way; finish it or take it out",
                source.path,
                line_of(&source.code, offset)
            ));
        }
    }
    breaches
}

fn time_outside_clock(source: &Source, room: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    for reader in ["SystemTime::now", "Instant::now"] {
        for offset in words(&source.code, reader).filter(|_| room != "clock") {
            breaches.push(format!(
                "{}:{}: `{reader}`, but clock alone reads time; take the time as an argument, or ask `clock`",
                source.path,
                line_of(&source.code, offset)
            ));
        }
    }
    breaches
}

fn glob_imports(source: &Source) -> Vec<String> {
    let mut breaches = Vec::new();
    let mut inside_use = false;
    for (number, line) in numbered(&source.product) {
        let trimmed = line.trim_start();
        let starts = trimmed.starts_with("use ")
            || (trimmed.starts_with("pub") && trimmed.contains(" use "));
        inside_use |= starts;
        if inside_use && line.contains('*') {
            breaches.push(format!(
                "{}:{number}: glob import; name what is used, so that a reader sees where it comes from",
                source.path
            ));
        }
        inside_use &= !line.contains(';');
    }
    breaches
}

fn import_direction(source: &Source, room: &str) -> Vec<String> {
    let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
        return vec![format!(
            "{}:1: belongs to no room; put it into one of those in src/lib.rs, or make a new room in ARCHITECTURE.md and here",
            source.path
        )];
    };
    let root = if room == "main" {
        "retrier::"
    } else {
        "crate::"
    };
    let mut breaches = Vec::new();
    for offset in words(&source.code, root) {
        let at = format!("{}:{}", source.path, line_of(&source.code, offset));
        for head in heads(&source.code[offset + root.len()..]) {
            if !ROOMS.iter().any(|(name, _)| *name == head) {
                breaches.push(format!(
                    "{at}: `{root}{head}` is not a room; name the item through the room that owns it"
                ));
            } else if head != room && !allowed.contains(&head) {
                breaches.push(format!(
                    "{at}: {room} names {head}, but imports go one way; {room} may use only {allowed:?}: move the code, or hand the value down as an argument"
                ));
            }
        }
    }
    breaches
}

fn housed_crates(source: &Source, room: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    for (house, crates) in HOUSED_CRATES.iter().filter(|(house, _)| *house != room) {
        for name in *crates {
            for offset in crate_uses(&source.code, name) {
                breaches.push(format!(
                    "{}:{}: {name} is used only in the room {house}; call a function of {house} that says what it is for",
                    source.path,
                    line_of(&source.code, offset)
                ));
            }
        }
    }
    breaches
}

fn impure_model(source: &Source, dependencies: &[String]) -> Vec<String> {
    let housed = |name: &str| {
        HOUSED_CRATES
            .iter()
            .any(|(_, crates)| crates.contains(&name))
    };
    let mut breaches = Vec::new();
    for name in dependencies
        .iter()
        .filter(|name| *name != "serde" && !housed(name))
    {
        for offset in crate_uses(&source.product, name) {
            breaches.push(format!(
                "{}:{}: {name} in the model, but the model is pure: std and serde only; do it in the caller and hand the value in",
                source.path,
                line_of(&source.product, offset)
            ));
        }
    }
    breaches
}

/// Where these words stand that are not part of a longer name.
fn words<'a>(code: &'a str, wanted: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(wanted)
        .map(|(offset, _)| offset)
        .filter(move |offset| {
            let after = code[offset + wanted.len()..].chars().next();
            let whole = !wanted.ends_with(is_name) || !after.is_some_and(is_name);
            whole && !code[..*offset].ends_with(is_name)
        })
}

/// Where a crate is named: `name::…`, `::name::…`, `use name`, `extern crate name`; not a module of ours with its name.
fn crate_uses<'a>(code: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    words(code, name).filter(move |offset| {
        let before = &code[..*offset];
        let is_inside_path = before
            .strip_suffix("::")
            .is_some_and(|path| path.ends_with(|last| is_name(last) || last == '>'));
        let is_path = code[offset + name.len()..].starts_with("::");
        let is_import = before.ends_with("use ") || before.ends_with("extern crate ");
        !is_inside_path && (is_path || is_import)
    })
}

/// The first names after `crate::`: one, or those of the group `{…}`. Macros are at the root by their nature and left out.
fn heads(rest: &str) -> Vec<&str> {
    let Some(group) = rest.strip_prefix('{') else {
        let name = first_name(rest);
        let is_macro = rest[name.len()..].starts_with('!');
        return if is_macro || name.is_empty() {
            Vec::new()
        } else {
            vec![name]
        };
    };
    let mut heads = Vec::new();
    let mut depth = 0_usize;
    let mut awaiting = true;
    for (offset, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => awaiting = true,
            _ if awaiting && is_name(character) => {
                heads.push(first_name(&group[offset..]));
                awaiting = false;
            }
            _ => {}
        }
    }
    heads
}

fn first_name(text: &str) -> &str {
    let end = text
        .find(|character| !is_name(character))
        .unwrap_or(text.len());
    &text[..end]
}
