//! R7, R8, R9, R10: for each rule a log that keeps it and logs that break it, in which exactly the two lines that
//! contradict each other are named.

use lockcore::Rule;

use crate::script::{broken, sound};

/// Within the TTL and the slack after the holder died, or after the end of the fault that it died in.
#[test]
fn r07_a_dead_holders_lock_is_granted_late() {
    let run = |granted, fault| {
        format!(
            "
            0 a 1 asked
            1 a 1 granted token=5 deadline=900ms
            2 b 1 asked
            ! 3 b 1 queued
            {fault}
            ! 100 r - killed process=a
            {granted} b 1 granted token=6 deadline={}ms
            {granted} b 1 releasing
            {granted} b 1 released token=6
            ",
            granted + 900
        )
    };
    // A TTL, the store's slack, and the time of a grant.
    broken(Rule::R7, &run(2_101, ""));
    sound(&run(2_099, "").replace("! ", ""));
    let fault = "50 r - fault-began fault=1 label=stop expects=-\n 700 r - fault-ended fault=1";
    sound(&run(2_699, fault).replace("! ", ""));
    broken(Rule::R7, &run(2_701, fault));
}

#[test]
fn r07_a_frozen_holders_lock_is_granted_late() {
    let run = |granted: u32| {
        format!(
            "
            0 a 1 asked
            1 a 1 granted token=5 deadline=900ms
            2 b 1 asked
            ! 3 b 1 queued
            ! 100 r - paused process=a
            {granted} b 1 granted token=6 deadline=3000ms
            {granted} b 1 believes deadline=3000ms
            4000 r - resumed process=a
            4001 a 1 lost cause=expired
            4002 b 1 dropped
            "
        )
    };
    broken(Rule::R7, &run(2_101));
    sound(&run(2_099).replace("! ", ""));
}

#[test]
fn r08_a_free_lock_is_granted_to_nobody() {
    let run = |granted: u32, note| {
        format!(
            "
            0 a 1 asked
            1 a 1 granted token=5 deadline=900ms
            2 b 1 asked
            ! 3 b 1 queued
            {note}
            10 a 1 releasing
            ! 11 a 1 released token=5
            {granted} b 1 granted token=6 deadline={}ms
            {granted} b 1 releasing
            {granted} b 1 released token=6
            ",
            granted + 900
        )
    };
    broken(Rule::R8, &run(512, ""));
    sound(&run(511, "").replace("! ", ""));
    // While a fault is in force, or the waiter does not run, nobody can say.
    let fault = "5 r - fault-began fault=1 label=cut expects=-\n 400 r - healed";
    sound(&run(900, fault).replace("! ", ""));
    let paused = "5 r - paused process=b\n 400 r - resumed process=b";
    sound(&run(900, paused).replace("! ", ""));
}

/// Also if nobody ever gets it.
#[test]
fn r08_nobody_is_granted_anything() {
    broken(Rule::R8, "! 0 a 1 asked\n ! 3 a 1 queued\n 504 a 2 asked name=other");
    sound("0 a 1 asked\n 3 a 1 queued\n 503 a 2 asked name=other");
}

#[test]
fn r09_a_later_one_goes_first() {
    let run = |queued, patience| {
        format!(
            "
            0 h 1 asked
            1 h 1 granted token=1 deadline=900ms
            2 a 1 asked
            ! {queued} a 1 queued
            5 b 1 asked patience={patience}
            10 h 1 releasing
            11 h 1 released token=1
            ! 12 b 1 granted token=2 deadline=900ms
            13 b 1 releasing
            14 b 1 released token=2
            15 a 1 granted token=3 deadline=900ms
            16 a 1 releasing
            17 a 1 released token=3
            "
        )
    };
    broken(Rule::R9, &run(4, "forever"));
    broken(Rule::R9, &run(4, "none"));
    // Who asked at the same time may have come first.
    sound(&run(5, "forever").replace("! ", ""));
}

/// Who has stood still for a TTL is told that the place is lost: who is granted all the same had kept it.
#[test]
fn r09_standing_still_is_no_excuse() {
    broken(
        Rule::R9,
        "
        0 h 1 asked
        1 h 1 granted token=1 deadline=900ms
        2 a 1 asked
        ! 4 a 1 queued
        5 r - paused process=a
        6 b 1 asked
        10 h 1 releasing
        11 h 1 released token=1
        1005 r - resumed process=a
        ! 1400 b 1 granted token=2 deadline=2300ms
        1401 b 1 releasing
        1402 b 1 released token=2
        1403 a 1 granted token=3 deadline=2300ms
        1404 a 1 releasing
        1405 a 1 released token=3
        ",
    );
}

/// Permits are told of in any order, but not in an order that a second has passed between.
#[test]
fn r09_a_try_takes_the_permit_of_one_that_waits() {
    let run = |granted: u32, ended| {
        format!(
            "
            0 h 1 asked mode=p1
            1 h 1 granted token=1 deadline=900ms
            2 a 1 asked mode=p1
            ! 4 a 1 queued
            5 b 1 asked mode=p1 patience=none
            10 h 1 releasing
            11 h 1 released token=1
            ! 12 b 1 granted token=2 deadline=900ms
            700 b 1 releasing
            701 b 1 released token=2
            {granted} a 1 {ended}
            "
        )
    };
    broken(Rule::R9, &run(702, "timed-out"));
    broken(Rule::R9, &run(702, "granted token=3 deadline=1500ms"));
    sound(&run(702, "failed kind=Lost").replace("! ", ""));
}

#[test]
fn r10_a_later_reader_goes_before_a_writer() {
    let run = |queued| {
        format!(
            "
            0 h 1 asked mode=s
            1 h 1 granted token=1 deadline=900ms
            2 w 1 asked
            ! {queued} w 1 queued
            5 b 1 asked mode=s
            ! 6 b 1 granted token=3 deadline=900ms
            10 h 1 releasing
            11 h 1 released token=1
            13 b 1 releasing
            14 b 1 released token=3
            15 w 1 granted token=4 deadline=900ms
            16 w 1 releasing
            17 w 1 released token=4
            "
        )
    };
    broken(Rule::R10, &run(4));
    sound(&run(6).replace("! ", ""));
}
