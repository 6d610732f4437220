//! All faults at once, again and again, each round from a seed of its own.

use std::time::Duration;

use super::now;
use super::program::Program;

/// The test that a round is.
const ROUND: &str = "everything_at_once_loses_doubles_and_reopens_nothing";

/// How long a round is.
const SECONDS: u64 = 120;

/// Soaks for so long: `90s`, `30m`, `1h`. `false`: a round was wrong; its seed is printed.
pub fn run(time: &str) -> Result<bool, String> {
    let time = duration(time).ok_or_else(|| format!("--soak {time}: 90s, 30m or 1h"))?;
    let program = Program::build()?;
    let test = program.tests(&[ROUND]);
    let test = test.map_err(|missing| format!("no test named {missing:?}"))?;
    let (since, mut wrong, mut round) = (now(), Vec::new(), 0);
    while since.elapsed() < time {
        round += 1;
        let seed = fastrand::u64(..);
        let left = time.saturating_sub(since.elapsed()).as_secs();
        let seconds = SECONDS.min(left.max(10)).to_string();
        let variables = [("SEED", seed.to_string()), ("PROOF_SECONDS", seconds)];
        let called = program.call(&format!("soak-{round}"), &test, &variables);
        let called = called.map_err(|error| format!("it cannot be run: {error}"))?;
        let how = if called.passed { "holds" } else { "is wrong" };
        let told = called.told.join(" ").replace('\t', " ");
        println!("round {round}: SEED={seed} {how}: {told}");
        if !called.passed {
            println!("  see {}", called.log.display());
            wrong.push(seed);
        }
    }
    let seconds = since.elapsed().as_secs();
    println!(
        "{round} rounds in {seconds} s, {} wrong {wrong:?}",
        wrong.len()
    );
    Ok(wrong.is_empty())
}

fn duration(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let factor = [('s', 1), ('m', 60), ('h', 3600)];
    let factor = factor.iter().find(|(name, _)| *name == unit)?.1;
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    Some(Duration::from_secs(number * factor))
}
