//! R3, R4, R5: for each rule a log that keeps it and logs that break it, in which exactly the two lines that
//! contradict each other are named.

use lockcore::Rule;

use crate::script::{broken, sound};

#[test]
fn r03_held_again() {
    for (end, risen) in [
        ("! 20 a 1 doubts", "! 20 a 1 believes deadline=900ms"),
        ("! 20 a 1 lost cause=revoked", "! 21 a 1 believes deadline=900ms"),
        ("! 20 a 1 lost cause=revoked", "! 21 a 1 renewed token=5 deadline=900ms"),
        ("! 20 a 1 renew-failed kind=Lost", "! 21 a 1 believes deadline=900ms"),
        ("19 a 1 releasing\n ! 20 a 1 released token=5", "! 21 a 1 believes deadline=900ms"),
        (
            "19 a 1 releasing\n ! 20 a 1 release-failed kind=Indeterminate",
            "! 21 a 1 believes deadline=900ms",
        ),
    ] {
        let run = |risen: &str| {
            format!("0 a 1 asked\n 1 a 1 granted token=5 deadline=900ms\n {end}\n {risen}")
        };
        broken(Rule::R3, &run(risen));
        sound(&run(&risen.replace("! 2", "1")).replace("! ", "").replace(" 10 a", " 19 a"));
    }
}

#[test]
fn r04_held_at_its_deadline() {
    broken(
        Rule::R4,
        "
        0 a 1 asked
        1 a 1 granted token=5 deadline=900ms
        ! 400 a 1 believes deadline=900ms
        ! 900 a 1 believes deadline=900ms
        ",
    );
    sound(
        "
        0 a 1 asked
        1 a 1 granted token=5 deadline=900ms
        899 a 1 believes deadline=900ms
        1000 a 1 believes deadline=1500ms
        ",
    );
}

#[test]
fn r04_a_deadline_that_nobody_moved() {
    let run = |renewed| {
        format!(
            "
            0 a 1 asked renewal=never
            ! 1 a 1 granted token=5 deadline=900ms
            {renewed}
            ! 950 a 1 believes deadline=1300ms
            "
        )
    };
    broken(Rule::R4, &run(""));
    sound(&run("400 a 1 renewed token=5 deadline=1300ms").replace("! ", ""));
    // In a session of others, whose end is nearer at first than that of the hold.
    sound(
        &run("")
            .replace("! ", "")
            .replace("=900ms", "=600ms")
            .replace("950 a 1 believes deadline=1300ms", "500 a 1 believes deadline=940ms"),
    );
}

/// The belief ends before the TTL, counted from before the request.
#[test]
fn r04_believed_for_longer_than_the_ttl() {
    broken(Rule::R4, "! 0 a 1 asked\n ! 20 a 1 granted token=5 deadline=1000ms");
    sound("0 a 1 asked\n 20 a 1 granted token=5 deadline=940ms");
    sound("0 a 1 asked renewal=until:5000000000\n 20 a 1 granted token=5 deadline=4990ms");
}

#[test]
fn r04_a_late_signal() {
    let run = |lost, note| {
        format!(
            "
            0 a 1 asked renewal=never
            ! 1 a 1 granted token=5 deadline=900ms
            {note}
            ! {lost} a 1 lost cause=expired
            "
        )
    };
    broken(Rule::R4, &run(1_001, ""));
    sound(&run(1_000, "").replace("! ", ""));
    // Who did not run could not be told.
    let paused = "500 r - paused process=a\n 2000 r - resumed process=a";
    sound(&run(2_100, paused).replace("! ", ""));
    broken(Rule::R4, &run(2_101, paused));
    let until = run(1_500, "").replace("renewal=never", "renewal=until:1000000000");
    broken(Rule::R4, &until);
    sound(&until.replace(" 1500 a", " 1101 a").replace("! ", ""));
}

#[test]
fn r05_a_lost_lock_was_released() {
    for loss in ["lost cause=expired", "doubts", "renew-failed kind=Lost"] {
        let run = |outcome| {
            format!(
                "
                0 a 1 asked
                1 a 1 granted token=5 deadline=900ms
                ! 902 a 1 {loss}
                903 a 1 releasing
                ! 905 a 1 {outcome}
                "
            )
        };
        broken(Rule::R5, &run("released token=5"));
        sound(&run("release-failed kind=NotHeld").replace("! ", ""));
    }
}

#[test]
fn r05_released_twice_or_another() {
    let run = |second| {
        format!(
            "
            0 a 1 asked
            1 a 1 granted token=5 deadline=900ms
            10 a 1 releasing
            ! 11 a 1 released token=5
            12 a 1 releasing
            ! 13 a 1 {second}
            "
        )
    };
    broken(Rule::R5, &run("released token=5"));
    sound(&run("release-failed kind=NotHeld").replace("! ", ""));
    broken(
        Rule::R5,
        "
        0 a 1 asked
        ! 1 a 1 granted token=5 deadline=900ms
        10 a 1 releasing
        ! 11 a 1 released token=6
        ",
    );
}
