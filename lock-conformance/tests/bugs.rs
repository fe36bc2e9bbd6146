//! The table of bugs names tests that are there.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

const BUGS: usize = 30;
const DRIVERS: [&str; 4] = ["local", "redis", "etcd", "zk"];
const OUT: &str = "does not apply: ";

#[test]
fn every_bug_has_its_tests() {
    let table = fs::read_to_string(package().join("BUGS.md")).unwrap();
    let rows: Vec<_> = table.lines().filter_map(row).collect();
    let numbers: Vec<_> = rows.iter().map(|row| row[0].parse::<usize>().unwrap()).collect();
    assert_eq!(numbers, (1..=BUGS).collect::<Vec<_>>(), "a number is missing, or there twice");
    let mut wrong = Vec::new();
    for row in &rows {
        assert_eq!(row.len(), 3 + DRIVERS.len(), "not a whole row: {row:?}");
        assert!(row[1..3].iter().all(|cell| !cell.is_empty()), "{row:?}: which bug?");
        for (driver, cell) in DRIVERS.iter().zip(&row[3..]) {
            if let Err(why) = check(driver, cell) {
                wrong.push(format!("{}, {driver}: {why}", row[0]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The table is read strictly, or what is wrong in it would not be seen.
#[test]
fn what_is_wrong_is_found() {
    for (driver, cell) in [
        ("redis", ""),
        ("redis", "does not apply: "),
        ("redis", "a test that somebody will write"),
        ("redis", "`cases::r01_of_nothing`"),
        ("redis", "`cases::r01_one_holder_of_a_mutex`, `lock-redis faults replies::of_nothing`"),
        ("redis", "`lock-redis faults nowhere::entry`"),
        // A function, and no test.
        ("redis", "`lock-redis faults replies::confirmed`"),
        // A test of another driver.
        ("redis", "`lock-zk faults children::entry`"),
        // A case that does not run there.
        ("local", "`cases::r16_an_error_is_not_busy`"),
    ] {
        check(driver, cell).expect_err(cell);
    }
    check("local", "does not apply: why").unwrap();
    check("local", "`cases::r16_busy_is_no_error`, `lock-local it specific::options_that_make_no_sense_are_refused`")
        .unwrap();
}

/// The cells of a line of the table, if it is one of a bug.
fn row(line: &str) -> Option<Vec<&str>> {
    let cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ");
    let cells: Vec<_> = cells.map(str::trim).collect();
    cells[0].parse::<usize>().is_ok().then_some(cells)
}

fn check(driver: &str, cell: &str) -> Result<(), String> {
    let tests: Vec<_> = cell.split('`').skip(1).step_by(2).collect();
    match cell.strip_prefix(OUT) {
        Some(reason) if reason.trim().is_empty() => return Err("without a reason".to_owned()),
        None if tests.is_empty() => return Err("no test is named".to_owned()),
        Some(_) | None => {}
    }
    tests.into_iter().try_for_each(|test| exists(driver, test))
}

fn exists(driver: &str, test: &str) -> Result<(), String> {
    let package_of_driver = format!("lock-{driver}");
    if let Some(case) = test.strip_prefix("cases::") {
        if !lock_conformance::CASES.iter().any(|listed| listed.name == case) {
            return Err(format!("no case is named {case}"));
        }
        // A cluster of Redis is asked less than a server alone.
        let harness = root().join(&package_of_driver).join("tests/it/harness.rs");
        let is_out = fs::read_to_string(harness).unwrap().contains(&format!("\"{case}\""));
        return match driver != "redis" && is_out {
            true => Err(format!("{case} does not run there")),
            false => Ok(()),
        };
    }
    let words: Vec<_> = test.split(' ').collect();
    let [of, target, path] = words[..] else { return Err(format!("no test is named {test:?}")) };
    if ![package_of_driver.as_str(), "lockcore", "lock-conformance"].contains(&of) {
        return Err(format!("{test} is not of this driver"));
    }
    let (file, name) = match (target, path.rsplit_once("::")) {
        ("src", Some((file, name))) => (format!("src/{file}.rs"), name),
        (_, Some((file, name))) => (format!("tests/{target}/{file}.rs"), name),
        (_, None) => (format!("tests/{target}.rs"), path),
    };
    let file = root().join(of).join(file);
    let source =
        fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    match is_test(&source, name) {
        true => Ok(()),
        false => Err(format!("{} has no test {name}", file.display())),
    }
}

/// Whether a function of this name is there, under an attribute that makes it a test, or with
/// arguments that are drawn.
fn is_test(source: &str, name: &str) -> bool {
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    let head = format!("fn {name}(");
    let Some(place) = lines
        .iter()
        .position(|line| line.strip_prefix("async ").unwrap_or(line).starts_with(&head))
    else {
        return false;
    };
    let is_drawn = lines[place].contains(" in ");
    let attributes = lines[..place].iter().rev().take_while(|line| line.starts_with("#["));
    let is_marked = attributes
        .into_iter()
        .any(|line| ["#[test]", "#[tokio::test"].iter().any(|mark| line.starts_with(mark)));
    is_marked || is_drawn
}

fn package() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn root() -> PathBuf {
    package().parent().map(Path::to_path_buf).unwrap()
}
