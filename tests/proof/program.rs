//! The program `behaviour`, whose tests do the work: built once, listed, and called for one row at a time.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// The built program, and what is in it.
pub struct Program {
    file: PathBuf,
    tests: Vec<String>,
    /// Where what it prints goes.
    logs: PathBuf,
}

/// How a call of it ended.
pub struct Called {
    /// Whether every test passed.
    pub passed: bool,
    /// What the tests told, a line each.
    pub told: Vec<String>,
    /// All that was printed.
    pub log: PathBuf,
}

impl Program {
    /// Builds it. Errors: it does not build, or cannot be called.
    pub fn build() -> Result<Program, String> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["test", "--features", "failpoints", "--test", "behaviour"]);
        build.args(["--no-run", "--message-format=json-render-diagnostics"]);
        build.current_dir(env!("CARGO_MANIFEST_DIR"));
        let built = build.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let built = built.map_err(|error| format!("cargo: {error}"))?;
        let file = String::from_utf8_lossy(&built.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|message| message["target"]["name"] == "behaviour")
            .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
            .ok_or("cargo built no program named behaviour")?;
        let listed = Command::new(&file).arg("--list").output();
        let listed = listed.map_err(|error| format!("{}: {error}", file.display()))?;
        let tests = String::from_utf8_lossy(&listed.stdout)
            .lines()
            .filter_map(|line| Some(line.strip_suffix(": test")?.to_owned()))
            .collect();
        let logs = Path::new(env!("CARGO_TARGET_TMPDIR")).join("proof");
        let made = fs::create_dir_all(&logs);
        made.map_err(|error| format!("{}: {error}", logs.display()))?;
        Ok(Program { file, tests, logs })
    }

    /// The names of the tests that hold one of these words. Errors: the words that none holds.
    pub fn tests(&self, words: &[&str]) -> Result<Vec<String>, Vec<String>> {
        let holds = |test: &String, word: &str| test.contains(word);
        let missing: Vec<String> = words
            .iter()
            .filter(|word| !self.tests.iter().any(|test| holds(test, word)))
            .map(|word| (*word).to_owned())
            .collect();
        if !missing.is_empty() {
            return Err(missing);
        }
        let wanted = |test: &&String| words.iter().any(|word| holds(test, word));
        Ok(self.tests.iter().filter(wanted).cloned().collect())
    }

    /// Runs these tests in their long form, with these variables. `name` is that of its files. Errors: it cannot be called.
    pub fn call(
        &self,
        name: &str,
        tests: &[String],
        variables: &[(&str, String)],
    ) -> io::Result<Called> {
        let report = self.logs.join(format!("{name}.report"));
        let log = self.logs.join(format!("{name}.log"));
        let printed = File::create(&log)?;
        File::create(&report)?;
        let mut call = Command::new(&self.file);
        call.arg("--exact")
            .args(tests)
            .args(["--test-threads", "4"]);
        call.envs(variables.iter().map(|(name, value)| (name, value)));
        // The manifest's folder is where cargo would have it run.
        call.current_dir(env!("CARGO_MANIFEST_DIR"));
        call.env("PROOF_REPORT", &report).stdin(Stdio::null());
        call.stdout(printed.try_clone()?).stderr(printed);
        let passed = call.status()?.success();
        let told = fs::read_to_string(&report)?;
        Ok(Called {
            passed,
            told: told.lines().map(str::to_owned).collect(),
            log,
        })
    }
}
