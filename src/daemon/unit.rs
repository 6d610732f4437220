//! The user unit that lets systemd serve a database: its name, its text, whether it is there, and starting
//! it.
//!
//! One database, one unit: that of the default database is `retrier.service`, any other has a name that
//! is made of its path. Which database a unit serves is what its `ExecStart=` says.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::store::{self, Folder};
use crate::sys::manager::systemctl;

/// How long the service manager may take to do what it is asked for.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);

/// How long it may take until the daemon serves, for a client that would start one itself otherwise.
const STARTS_WITHIN: Duration = Duration::from_secs(10);

/// The first line of each unit that was written by this program.
const MARK: &str = "# Written by `retrier daemon install`.";

/// So much of a file's name is in the name of its unit.
const STEM_MAX: usize = 40;

/// The unit of one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its name.
    pub name: String,
    /// Where it is, or would be.
    pub path: PathBuf,
    database: PathBuf,
}

/// What stands in the place of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A unit for this database, written by this program; its text.
    Ours(String),
    /// A unit of another database, or one that somebody else has written.
    Foreign,
}

impl Unit {
    /// The unit of the database of `folder`. `None`: there is no home folder.
    pub fn of(folder: &Folder) -> Option<Self> {
        let database = folder.database();
        let name = if Folder::standard().is_some_and(|standard| standard == database) {
            "retrier.service".to_owned()
        } else {
            name_of(database)
        };
        let units = store::base("XDG_CONFIG_HOME", ".config")?.join("systemd/user");
        Some(Self {
            path: units.join(&name),
            name,
            database: database.to_owned(),
        })
    }

    /// What stands in its place. Errors: it cannot be read.
    pub fn find(&self) -> io::Result<Found> {
        let text = match fs::read_to_string(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(Found::Foreign),
            other => other?,
        };
        if text.starts_with(MARK) && self.is_served_by(&text) {
            return Ok(Found::Ours(text));
        }
        Ok(Found::Foreign)
    }

    /// Is it there, whoever has written it, and does it serve this database?
    pub fn is_installed(&self) -> bool {
        fs::read_to_string(&self.path).is_ok_and(|text| self.is_served_by(&text))
    }

    fn is_served_by(&self, text: &str) -> bool {
        let Some(database) = word(&self.database, true) else {
            return false;
        };
        let named = format!(" --db {database} daemon ");
        let mut lines = text.lines();
        lines.any(|line| line.starts_with("ExecStart=") && line.contains(&named))
    }

    /// Its text, for `program` with these options of `daemon`. Errors: a path cannot stand in a unit, and
    /// why, in words.
    pub fn text(&self, program: &Path, options: &[String]) -> Result<String, String> {
        // systemd refuses a program of such a name, however it is quoted (its string_is_safe).
        let is_odd = |c: char| c.is_control() || "\"'\\".contains(c);
        if program.to_str().is_some_and(|path| path.contains(is_odd)) {
            let odd = "systemd starts no program with quotes or backslashes in its path";
            return Err(format!("{}: {odd}", program.display()));
        }
        let quoted = |path: &Path, argument| {
            let other = || format!("{}: the text of a unit is UTF-8", path.display());
            word(path, argument).ok_or_else(other)
        };
        // It replaces `$` in arguments, and not in the program's own path (systemd.service(5)).
        let program = quoted(program, false)?;
        let database = quoted(&self.database, true)?;
        let name = &self.name;
        let options: String = options.iter().map(|option| format!(" {option}")).collect();
        let shown = self.database.to_string_lossy().replace('%', "%%");
        let shown = shown.replace(|c: char| c.is_control() || c == '\\', "?");
        Ok(format!(
            "{MARK}\n\
             # The next `install` writes it anew: keep changes in `systemctl --user edit {name}`.\n\
             [Unit]\n\
             Description=retrier, serving {shown}\n\
             \n\
             [Service]\n\
             Type=notify\n\
             ExecStart={program} --db {database} daemon --unit {name}{options}\n\
             # Attempts outlive their daemon: the next one collects them.\n\
             KillMode=process\n\
             OOMPolicy=continue\n\
             Restart=on-failure\n\
             RestartSec=5s\n\
             # Wrong usage; another daemon holds the database.\n\
             RestartPreventExitStatus=2 4\n\
             \n\
             [Install]\n\
             WantedBy=default.target\n"
        ))
    }

    /// Has the user's service manager do `verb` with it. Errors: why it has not, in words.
    pub fn ask(&self, verb: &[&str]) -> Result<(), String> {
        let arguments = [&["--user"], verb, &[self.name.as_str()]].concat();
        systemctl(&arguments, ANSWERS_WITHIN).map(drop)
    }

    /// Has the user's service manager start it, and waits until it serves. Errors: it does not, and why, in
    /// words.
    pub fn start(&self) -> Result<(), String> {
        let arguments = ["--user", "start", self.name.as_str()];
        systemctl(&arguments, STARTS_WITHIN).map(drop)
    }

    /// Has the user's service manager read all units anew. Errors: there is none, and why, in words.
    pub fn reload() -> Result<(), String> {
        systemctl(&["--user", "daemon-reload"], ANSWERS_WITHIN).map(drop)
    }
}

/// A name that tells people which file it is, and nobody else has.
fn name_of(database: &Path) -> String {
    let digest = Sha256::digest(database.as_os_str().as_bytes());
    let digest: String = digest[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    // A database that has the usual name is told by its folder.
    let stem = match (
        database.file_stem(),
        database.parent().and_then(Path::file_name),
    ) {
        (Some(stem), Some(folder)) if stem == "retrier" => folder,
        (Some(stem), _) => stem,
        (None, _) => "db".as_ref(),
    };
    let stem = stem.to_string_lossy();
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "_.".contains(c) {
            c
        } else {
            '_'
        }
    };
    let stem: String = stem.chars().take(STEM_MAX).map(plain).collect();
    format!("retrier-{stem}-{digest}.service")
}

/// A path as one word of a command line in a unit (systemd.service(5), "Command lines"), quoted; with
/// `argument` as one of the arguments. `None`: it is not UTF-8.
fn word(path: &Path, argument: bool) -> Option<String> {
    let mut word = String::from('"');
    for c in path.to_str()?.chars() {
        match c {
            '"' | '\\' => word.extend(['\\', c]),
            '%' => word.push_str("%%"),
            '$' if argument => word.push_str("$$"),
            '\0'..=' ' | '\x7f' if c != ' ' => word.push_str(&format!("\\x{:02x}", u32::from(c))),
            _ => word.push(c),
        }
    }
    word.push('"');
    Some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(database: &str) -> Unit {
        Unit {
            name: name_of(Path::new(database)),
            path: PathBuf::new(),
            database: database.into(),
        }
    }

    #[test]
    fn a_name_tells_which_file_it_is_and_is_nobody_elses() {
        let name = |database: &str| unit(database).name;
        assert!(name("/srv/mail.db").starts_with("retrier-mail-"));
        assert!(name("/srv/mail/retrier.db").starts_with("retrier-mail-"));
        assert_ne!(name("/srv/mail.db"), name("/srv2/mail.db"));
        assert!(name("/srv/a b%-/x@é y.db").starts_with("retrier-x___y-"));
        assert!(name(&format!("/{}", "x".repeat(250))).len() < 100);
        assert!(name("/srv/mail.db").ends_with(".service"));
    }

    #[test]
    fn what_means_something_to_systemd_is_escaped() {
        let path = Path::new("/a b/%h/$X/\"q\"/back\\slash/tab\t");
        let argument = r#""/a b/%%h/$$X/\"q\"/back\\slash/tab\x09""#;
        assert_eq!(word(path, true).as_deref(), Some(argument));
        let program = argument.replace("$$", "$");
        assert_eq!(word(path, false), Some(program));
    }

    #[test]
    fn a_unit_serves_the_database_that_it_names_and_no_other() {
        let mine = unit("/srv/a b.db");
        let text = mine.text(Path::new("/bin/retrier"), &["--parallel=4".to_owned()]);
        let text = text.expect("it is UTF-8");
        assert!(mine.is_served_by(&text));
        assert!(!unit("/srv/a b").is_served_by(&text));
        assert!(!unit("/srv/b.db").is_served_by(&text));
        assert!(text.contains(
            "\nExecStart=\"/bin/retrier\" --db \"/srv/a b.db\" daemon --unit retrier-a_b-"
        ));
        assert!(text.contains(".service --parallel=4\n"));
    }
}
