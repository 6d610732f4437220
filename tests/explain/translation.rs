//! The table of the README that translates other tools' retries: each row is executed, and does what it says.

use crate::support::{Home, readme};

/// The cells of a row.
struct Row {
    from: String,
    options: Vec<String>,
    /// None is no end of them.
    attempts: Option<usize>,
    waits: Waits,
}

/// A cell such as `1, 2, 4`, `1, 2, … 8` or `5, 5, …`, in milliseconds.
struct Waits {
    first: Vec<f64>,
    /// After the dots.
    last: Option<f64>,
    dots: bool,
    /// Followed by `± 50 %`.
    spread: bool,
}

/// The rows of the table, without its header.
fn rows(readme: &str) -> Result<Vec<Row>, String> {
    let (_, section) = readme
        .split_once("\n## Coming from elsewhere\n")
        .ok_or("no such section")?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let lines = section.lines().filter(|line| line.starts_with('|'));
    lines.skip(2).map(row).collect()
}

fn row(line: &str) -> Result<Row, String> {
    let inner = line.trim().trim_matches('|');
    let cells: Vec<&str> = inner.split('|').map(str::trim).collect();
    let [from, _, options, attempts, waits] = cells[..] else {
        return Err(format!("{} cells in {line}", cells.len()));
    };
    let quoted = options
        .strip_prefix('`')
        .and_then(|rest| rest.strip_suffix('`'));
    let quoted = quoted.ok_or_else(|| format!("no options between backticks in {line}"))?;
    let attempts = match attempts {
        "no end" => None,
        number => Some(
            number
                .parse()
                .map_err(|_| format!("no number of attempts in {line}"))?,
        ),
    };
    Ok(Row {
        from: from.to_owned(),
        options: quoted.split(' ').map(str::to_owned).collect(),
        attempts,
        waits: self::waits(waits).ok_or_else(|| format!("unreadable waits in {line}"))?,
    })
}

fn waits(cell: &str) -> Option<Waits> {
    let (list, spread) = match cell.strip_suffix(" ± 50 %") {
        Some(list) => (list, true),
        None => (cell, false),
    };
    let number = |text: &str| {
        text.trim()
            .parse::<f64>()
            .ok()
            .map(|seconds| seconds * 1000.0)
    };
    let numbers = |text: &str| text.split(',').map(number).collect::<Option<Vec<_>>>();
    let Some((first, last)) = list.split_once(", …") else {
        return Some(Waits {
            first: numbers(list)?,
            last: None,
            dots: false,
            spread,
        });
    };
    let last = match last {
        "" => None,
        last => Some(number(last)?),
    };
    Some(Waits {
        first: numbers(first)?,
        last,
        dots: true,
        spread,
    })
}

/// Executes a row, and says what is not as it says.
fn check(home: &Home, row: &Row) -> Result<(), String> {
    let args = ["explain", "--json", "--limit", "100"].into_iter();
    let options = row.options.iter().map(String::as_str);
    let said = home.retrier(args.chain(options)).output();
    if said.code != 0 {
        return Err(said.error_text());
    }
    let plan = said.json();
    let attempts = plan["max_attempts"]
        .as_u64()
        .map(|attempts| attempts as usize);
    let planned = plan["waits"].as_array().ok_or("no waits")?;
    let (first, last) = (&row.waits.first, row.waits.last);
    let many = attempts.map(|attempts| attempts - 1);
    let lengths = match (row.waits.dots, many) {
        (false, Some(many)) => first.len() == many,
        (true, Some(many)) => last.is_some() && first.len() < many,
        (true, None) => last.is_none(),
        (false, None) => false,
    };
    if attempts != row.attempts || !lengths {
        return Err(format!("{attempts:?} attempts, {} waits", planned.len()));
    }
    let last = last.map(|last| (last, planned.last()));
    let pairs = first.iter().copied().zip(planned.iter().map(Some));
    for (expected, found) in pairs.chain(last) {
        let found = found.ok_or("no wait")?;
        let bounds = match row.waits.spread {
            true => [
                expected,
                (expected * 0.5).ceil(),
                (expected * 1.5).ceil() - 1.0,
            ],
            false => [expected; 3],
        };
        let is = ["nominal_ms", "min_ms", "max_ms"].map(|field| found[field].as_f64());
        if is != bounds.map(Some) {
            return Err(format!("{found} is not {bounds:?}"));
        }
    }
    Ok(())
}

#[test]
fn every_row_of_the_translation_table_does_what_it_says() {
    let rows = rows(&readme()).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert!(rows.len() >= 18, "{} rows", rows.len());
    for name in [
        "action-retrier",
        "makeActionRetrier",
        "Idempotent Workpool",
        "Convex Workpool",
        "Procrastinate",
        "`retry`",
        "`recur`",
        "GNU parallel",
        "systemd",
        "curl",
    ] {
        assert!(
            rows.iter().any(|row| row.from.contains(name)),
            "nothing of {name}"
        );
    }
    let home = Home::new();
    for row in &rows {
        if let Err(wrong) = check(&home, row) {
            panic!("{}, {:?}: {wrong}", row.from, row.options);
        }
    }
}

/// A table that is not read, or not compared, would be right whatever it says.
#[test]
fn a_row_that_is_wrong_or_cannot_be_read_is_found() {
    let home = Home::new();
    let right = "| x | y | `--max-failures 2 --constant 5 --jitter 0` | 3 | 5, 5 |";
    let is_wrong = |line: &str| row(line).and_then(|row| check(&home, &row)).is_err();
    assert!(!is_wrong(right));
    for (part, instead) in [
        ("| 3 |", "| 2 |"),
        ("| 3 |", "| no end |"),
        ("| 3 |", "| some |"),
        ("5, 5 |", "5 |"),
        ("5, 5 |", "5, 6 |"),
        ("5, 5 |", "5, 5, 5 |"),
        ("5, 5 |", "5, … 6 |"),
        ("5, 5 |", "5, 5, … |"),
        ("5, 5 |", "5, five |"),
        ("5, 5 |", "5, 5 ± 50 % |"),
        (" --jitter 0", ""),
        ("--constant 5", "--constant 4"),
        ("--constant 5", "--sometimes 5"),
        ("| y |", "|"),
        ("`", ""),
    ] {
        let wrong = right.replace(part, instead);
        assert_ne!(wrong, right);
        assert!(is_wrong(&wrong), "{wrong}");
    }
    assert!(rows("# retrier\n").is_err());
    assert!(!is_wrong(&right.replace("5, 5 |", "5, … 5 |")));
}
