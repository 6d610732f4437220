//! The table of what is typed in other tools and here: each command on the right does what it is there for.

use crate::crash::tools::wait_until_state;
use crate::support::{Home, readme};

/// The commands between backticks on the right of the table, in its order.
fn commands(readme: &str) -> Vec<String> {
    let (_, section) = readme
        .split_once("\n## The verbs of other tools\n")
        .expect("there is such a section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let cells = rows.filter_map(|row| row.trim_matches('|').rsplit_once('|'));
    let quoted = cells.flat_map(|(_, here)| here.split('`').skip(1).step_by(2));
    quoted.map(str::to_owned).collect()
}

#[test]
fn what_is_typed_here_for_the_verbs_of_other_tools_can_be_typed() {
    let home = Home::new();
    let _daemon = home.daemon();
    let failed = home.run(["--max-failures", "0", "--", "false"]);
    let ended = home.run(["--", "true"]);
    assert_eq!((home.wait(failed), home.wait(ended)), (1, 0));
    let commands = commands(&readme());
    assert!(commands.len() >= 16, "{commands:?}");
    for command in commands {
        if command.ends_with("--watch") {
            // It needs a terminal, and has tests there.
            continue;
        }
        let id = match command.split(' ').nth(1) {
            Some("cancel") => home.run(["--delay", "1h", "--", "true"]),
            Some("retry") => failed,
            _ => ended,
        };
        let typed = command.replace("ID", &id.to_string());
        let typed = typed.replace("CMD", "true");
        home.sh(&typed).output().ok();
        match command.split(' ').nth(1) {
            Some("cancel") => wait_until_state(&home, id, "canceled"),
            Some("cleanup") => drop(
                home.retrier(["status", &ended.to_string()])
                    .output()
                    .exits(3),
            ),
            _ => {}
        }
    }
}
