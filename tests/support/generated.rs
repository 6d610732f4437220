//! Files in the repository that are made by the program: compared, or made anew.

use std::fs;
use std::path::Path;

/// Fails when the file at `path`, relative to the repository, does not hold `expected`; with
/// UPDATE_GENERATED=1 in the environment it is written instead.
pub fn assert_generated(path: &str, expected: &[u8]) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_GENERATED").is_some_and(|value| value == "1") {
        let folder = file.parent().expect("a file lies in a folder");
        fs::create_dir_all(folder).expect("the folder of a generated file can be made");
        fs::write(&file, expected).expect("a generated file can be written");
    }
    let found = fs::read(&file).unwrap_or_default();
    if found != expected {
        let differs = found
            .split(|byte| *byte == b'\n')
            .zip(expected.split(|byte| *byte == b'\n'));
        let first = differs
            .enumerate()
            .find(|(_, (found, expected))| found != expected);
        let shown = first.map(|(n, (found, expected))| {
            let text = |line: &[u8]| String::from_utf8_lossy(line).into_owned();
            format!("line {}:\n- {}\n+ {}", n + 1, text(found), text(expected))
        });
        panic!(
            "{path} is not what the program makes; UPDATE_GENERATED=1 cargo test … makes it anew\n{}",
            shown.unwrap_or_else(|| "one is longer than the other".to_owned())
        );
    }
}
