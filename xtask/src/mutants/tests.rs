use super::*;

const FIRST: Mutant = Mutant {
    name: "first",
    file: "a/src/lib.rs",
    find: "<",
    replace: "<=",
    package: "a",
    test_target: "it",
    case: "conformance::r1_",
};
const SECOND: Mutant = Mutant { name: "second", ..FIRST };

fn outcome(mutant: Mutant, verdict: Verdict) -> Outcome {
    Outcome { mutant, verdict, took: Duration::from_millis(3_210) }
}

#[test]
fn filter_is_a_part_of_the_name() {
    let names = |filter| {
        let chosen = choose(&[FIRST, SECOND], filter)?;
        Ok::<_, anyhow::Error>(chosen.iter().map(|mutant| mutant.name).collect::<Vec<_>>())
    };
    assert_eq!(names(None).unwrap(), ["first", "second"]);
    assert_eq!(names(Some("sec")).unwrap(), ["second"]);
    names(Some("third")).unwrap_err();
    assert!(choose(&[], None).unwrap().is_empty());
    assert!(choose(&[FIRST, FIRST], None).is_err());
}

#[test]
fn table_and_failures_tell_what_happened() {
    let results = [
        outcome(FIRST, Verdict::Caught),
        outcome(FIRST, Verdict::Hung),
        outcome(SECOND, Verdict::Survived),
        outcome(SECOND, Verdict::DoesNotBuild),
    ];
    let text = render(&results);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "mutant  file          caught by                seconds");
    assert_eq!(lines[2], "first   a/src/lib.rs  conformance::r1_         3.2");
    assert_eq!(lines[3], "first   a/src/lib.rs  conformance::r1_ (hung)  3.2");
    assert_eq!(lines[4], "second  a/src/lib.rs  SURVIVED                 3.2");
    let expected = [
        "mutant second of a/src/lib.rs survived conformance::r1_",
        "mutant second of a/src/lib.rs does not build",
    ];
    assert_eq!(failures(&results), expected);
}

#[test]
fn labs_share_packages_evenly() {
    let of = |name, package| Mutant { name, package, ..FIRST };
    let mutants = ["a", "b", "a", "c", "a", "d", "c"].map(|package| of("1", package));
    let shares = [BTreeSet::from(["a"]), BTreeSet::from(["c"]), BTreeSet::from(["b", "d"])];
    assert_eq!(share(&mutants), shares);
    assert_eq!(share(&[]), [const { BTreeSet::new() }; LABS]);
}

#[test]
fn only_a_test_that_passed_is_a_case() {
    assert!(has_passed("test etcd::r01_one ... ok", "r01_"));
    assert!(!has_passed("test etcd::r01_one ... FAILED", "r01_"));
    assert!(!has_passed("test etcd::r02_one ... ok", "r01_"));
    assert!(!has_passed("r01_", "r01_"));
}
