//! What a verdict says of a run as a whole.

use lockcore::Rule;

use crate::script::{broken, excused, sound};

/// Two take turns, one is refused, one gives up.
#[test]
fn a_plain_run_is_sound() {
    let verdict = sound(
        "
        0 a 1 asked
        1 a 1 granted token=5 deadline=900ms
        2 b 1 asked
        3 r - queued process=b of=1
        4 b 2 asked patience=none
        5 b 2 busy
        6 b 3 asked patience=20ms
        26 b 3 timed-out
        40 a 1 believes deadline=900ms
        41 a 1 wrote place=1 token=5
        50 a 1 releasing
        52 b 1 granted token=6 deadline=950ms
        53 a 1 released token=5
        54 b 1 wrote place=2 token=6
        55 b 1 renewed token=6 deadline=980ms
        60 b 1 releasing
        61 b 1 released token=6
        ",
    );
    assert_eq!((verdict.attempts, verdict.grants.len(), verdict.unknown), (4, 2, 0));
    assert_eq!(verdict.outcomes["busy"] + verdict.outcomes["timed-out"], 2);
}

/// What a fault may break as documented is told apart, and only by the fault that may.
#[test]
fn a_documented_exception_is_expected() {
    let run = |notes| {
        format!(
            "
            0 a 1 asked
            ? 1 a 1 granted token=5 deadline=900ms
            {notes}
            2 b 1 asked
            ? 30 b 1 granted token=6 deadline=900ms
            40 a 1 believes deadline=900ms
            50 a 1 releasing
            51 a 1 release-failed kind=NotHeld
            60 b 1 releasing
            61 b 1 released token=6
            "
        )
    };
    for excuse in [
        "10 r - fault-began fault=1 label=flush expects=R1,R9\n 11 r - fault-ended fault=1",
        "10 r - fault-began fault=1 label=flush expects=R1",
        "10 r - removed name=n expects=R1",
    ] {
        excused(Rule::R1, &run(excuse));
    }
    for no_excuse in [
        "",
        "10 r - fault-began fault=1 label=flush expects=R9\n 11 r - fault-ended fault=1",
        "31 r - fault-began fault=1 label=flush expects=R1",
        "10 r - removed name=other expects=R1",
        "10 r - removed name=n expects=-",
    ] {
        broken(Rule::R1, &run(no_excuse).replace("? ", "! "));
    }
}

/// An outcome that nobody knows is counted, and told if nothing explains it.
#[test]
fn unknown_outcomes_are_told() {
    let run = |note| {
        format!(
            "
            0 a 1 asked
            9 a 1 failed kind=Indeterminate
            10 a 2 asked
            11 a 2 granted token=5 deadline=900ms
            12 a 2 releasing
            13 a 2 release-failed kind=Indeterminate
            14 a 3 asked
            15 a 3 dropped
            {note}
            "
        )
    };
    let verdict = sound(&run(""));
    assert_eq!((verdict.unknown, verdict.unexplained.len()), (3, 2), "{verdict}");
    assert!(verdict.unexplained[1].text.ends_with("kind=Indeterminate"), "{verdict}");
    let fault = "5 r - fault-began fault=1 label=cut expects=-\n 20 r - healed";
    assert_eq!(sound(&run(fault)).unexplained, []);
    assert_eq!(sound(&run("20 r - killed process=a")).unexplained, []);
}
