//! The peers: where they are, and how they come to be there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

/// Programs of Debian, and their packages.
const PACKAGES: [(&str, &str); 5] = [
    ("tsp", "task-spooler"),
    ("nq", "nq"),
    ("parallel", "parallel"),
    ("retry", "retry"),
    ("python3", "python3"),
];

/// Where Debian and what is installed by hand have their programs.
const SEARCHED: &str = "/usr/local/bin:/usr/bin:/bin";

pub struct Tools {
    folder: PathBuf,
    may_install: bool,
}

impl Tools {
    /// Looks into `RETRIER_BENCH_TOOLS`, or a folder beside the build.
    pub fn new(may_install: bool) -> Self {
        let beside = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("side_by_side-tools");
        Self {
            folder: env::var_os("RETRIER_BENCH_TOOLS").map_or(beside, PathBuf::from),
            may_install,
        }
    }

    pub fn search_path(&self) -> OsString {
        let mut path = self.folder.join("bin").into_os_string();
        path.push(":");
        path.push(SEARCHED);
        path
    }

    /// The folder with Python's modules.
    pub fn modules(&self) -> PathBuf {
        self.folder.join("py")
    }

    /// The absolute path of a program.
    pub fn find(&self, program: &str) -> Option<PathBuf> {
        let searched = self.search_path();
        let mut found = env::split_paths(&searched).map(|folder| folder.join(program));
        found.find(|path| path.is_file())
    }

    /// The absolute path of a program that every machine has.
    pub fn must(&self, program: &str) -> PathBuf {
        let found = self.find(program);
        found.unwrap_or_else(|| panic!("there is no {program}"))
    }

    /// A program of a peer, installed when it is not there. Errors: why it is not.
    pub fn peer(&self, program: &str) -> Result<PathBuf, String> {
        // The short form is for errors of ours: whatever else has the name of a peer is none.
        let is_chosen = env::var_os("RETRIER_BENCH_TOOLS").is_some() || program == "python3";
        if !self.may_install && !is_chosen {
            return Err("the short form looks into RETRIER_BENCH_TOOLS alone".to_owned());
        }
        if let Some(found) = self.find(program) {
            return Ok(found);
        }
        self.install(program)?;
        let found = self.find(program);
        found.ok_or_else(|| format!("{program} is still missing after its installation"))
    }

    /// The module of litequeue. Errors: why it is not there.
    pub fn litequeue(&self) -> Result<PathBuf, String> {
        let python = self.peer("python3")?;
        if !self.modules().join("litequeue.py").is_file() {
            self.install("litequeue")?;
        }
        Ok(python)
    }

    fn install(&self, what: &str) -> Result<(), String> {
        if !self.may_install {
            return Err(format!(
                "{what} is missing, and the short form installs nothing"
            ));
        }
        let package = PACKAGES.iter().find(|(program, _)| *program == what);
        let mut call = match (package, what) {
            (Some((_, package)), _) => {
                if retrier::sys::files::own_uid() != 0 || self.find("apt-get").is_none() {
                    return Err(format!("{what} is missing: install the package {package}"));
                }
                let mut call = Command::new("apt-get");
                call.args(["install", "-qy", "--no-install-recommends", package])
                    .env("DEBIAN_FRONTEND", "noninteractive");
                call
            }
            (None, "litequeue") => {
                let mut call = Command::new("python3");
                call.args(["-m", "pip", "install", "--quiet", "--target"])
                    .arg(self.modules())
                    .arg("litequeue");
                call
            }
            (None, _) => {
                let mut call = Command::new("cargo");
                call.args(["install", "pueue", "--locked", "--root"])
                    .arg(&self.folder);
                call
            }
        };
        println!("installing {what}");
        fs::create_dir_all(&self.folder).map_err(|error| error.to_string())?;
        let status = call.stdin(Stdio::null()).stdout(Stdio::null()).status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!(
                "{what} is missing, its installation failed: {status}"
            )),
            Err(error) => Err(format!("{what} is missing: {error}")),
        }
    }
}
