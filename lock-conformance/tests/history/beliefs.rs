//! R1, R2: for each rule a log that keeps it and logs that break it, in which exactly the two lines that
//! contradict each other are named.

use lockcore::Rule;

use crate::script::{broken, sound};

#[test]
fn r01_two_beliefs_overlap() {
    broken(
        Rule::R1,
        "
        0 a 1 asked
        ! 1 a 1 granted token=5 deadline=900ms
        2 b 1 asked
        ! 30 b 1 granted token=6 deadline=900ms
        40 a 1 believes deadline=900ms
        50 a 1 releasing
        51 a 1 released token=5
        60 b 1 releasing
        61 b 1 released token=6
        ",
    );
}

/// One nanosecond is enough, and an end that is the other's beginning is no overlap.
#[test]
fn r01_is_exact() {
    let run = |granted| {
        format!(
            "
            0 a 1 asked
            1 a 1 granted token=5 deadline=900ms
            50 a 1 releasing
            2 b 1 asked
            {granted} b 1 granted token=6 deadline=900ms
            60 a 1 released token=5
            70 b 1 releasing
            71 b 1 released token=6
            "
        )
    };
    sound(&run("50"));
    let marked = run("49").replace("1 a 1 granted", "! 1 a 1 granted");
    broken(Rule::R1, &marked.replace("49 b 1 granted", "! 49 b 1 granted"));
}

#[test]
fn r01_a_reader_beside_a_writer() {
    broken(
        Rule::R1,
        "
        0 a 1 asked mode=s
        ! 1 a 1 granted token=5 deadline=900ms
        0 b 1 asked mode=s
        1 b 1 granted token=6 deadline=900ms
        20 b 1 releasing
        21 b 1 released token=6
        0 c 1 asked
        ! 30 c 1 granted token=7 deadline=900ms
        31 c 1 believes deadline=900ms
        40 a 1 believes deadline=900ms
        50 a 1 releasing
        51 a 1 released token=5
        60 c 1 releasing
        61 c 1 released token=7
        ",
    );
}

#[test]
fn r01_one_permit_more() {
    let run = |of| {
        format!(
            "
            0 a 1 asked mode=p{of}
            1 a 1 granted token=5 deadline=900ms
            0 b 1 asked mode=p{of}
            ! 2 b 1 granted token=6 deadline=900ms
            0 c 1 asked mode=p{of}
            ! 3 c 1 granted token=7 deadline=900ms
            10 a 1 releasing
            11 a 1 released token=5
            12 b 1 releasing
            13 b 1 released token=6
            14 c 1 releasing
            15 c 1 released token=7
            "
        )
    };
    sound(&run(3).replace("! ", ""));
    broken(Rule::R1, &run(2));
}

/// A killed holder believes until the last deadline that it told: its lock goes to nobody before.
#[test]
fn r01_a_dead_holder_is_succeeded_too_early() {
    let run = |granted| {
        format!(
            "
            0 a 1 asked
            1 a 1 granted token=5 deadline=900ms
            100 r - killed process=a
            2 b 1 asked
            {granted} b 1 granted token=6 deadline=1800ms
            1000 b 1 releasing
            1001 b 1 released token=6
            "
        )
    };
    sound(&run("901"));
    let marked = run("899").replace("1 a 1 granted", "! 1 a 1 granted");
    broken(Rule::R1, &marked.replace("899 b 1 granted", "! 899 b 1 granted"));
}

/// Of a hold that was lost or not released nothing is claimed after its last yes.
#[test]
fn r01_nothing_is_claimed_of_what_is_not_known() {
    for end in [
        "80 a 1 lost cause=revoked",
        "80 a 1 doubts",
        "40 a 1 releasing\n 80 a 1 release-failed kind=NotHeld",
        "40 a 1 releasing\n 80 a 1 release-failed kind=Indeterminate",
        "40 a 1 dropped",
        "80 a 1 renew-failed kind=Lost",
        "",
    ] {
        let run = format!(
            "
            0 a 1 asked
            1 a 1 granted token=5 deadline=900ms
            20 a 1 believes deadline=900ms
            2 b 1 asked
            ! 30 b 1 granted token=6 deadline=900ms
            {end}
            90 b 1 releasing
            91 b 1 released token=6
            "
        );
        sound(&run.replace("! ", ""));
        let marked = run.replace("1 a 1 granted", "! 1 a 1 granted").replace(" 30 b", " 20 b");
        broken(Rule::R1, &marked);
    }
}

/// What expired was believed until its deadline.
#[test]
fn r01_what_expired_was_believed_until_then() {
    broken(
        Rule::R1,
        "
        0 a 1 asked
        ! 1 a 1 granted token=5 deadline=900ms
        901 a 1 lost cause=expired
        0 b 1 asked
        ! 899 b 1 granted token=6 deadline=1800ms
        1000 b 1 releasing
        1001 b 1 released token=6
        ",
    );
}

#[test]
fn r02_one_token_twice() {
    broken(
        Rule::R2,
        "
        0 a 1 asked
        ! 1 a 1 granted token=5 deadline=900ms
        10 a 1 releasing
        11 a 1 released token=5
        0 b 1 asked
        ! 12 b 1 granted token=5 deadline=900ms
        20 b 1 releasing
        21 b 1 released token=5
        ",
    );
}

#[test]
fn r02_the_token_fell() {
    let run = |mode, asked| {
        format!(
            "
            0 a 1 asked mode={mode}
            ! 1 a 1 granted token=5 deadline=900ms
            10 a 1 releasing
            11 a 1 released token=5
            {asked} b 1 asked mode={mode}
            ! 12 b 1 granted token=4 deadline=900ms
            20 b 1 releasing
            21 b 1 released token=4
            "
        )
    };
    broken(Rule::R2, &run("x", 0));
    broken(Rule::R2, &run("x", 5));
    // In other modes the order of the grants is known if one was asked for after the other.
    for mode in ["s", "p2"] {
        sound(&run(mode, 0).replace("! ", ""));
        broken(Rule::R2, &run(mode, 5));
    }
}

#[test]
fn r02_a_renewal_changed_the_token() {
    broken(
        Rule::R2,
        "
        0 a 1 asked
        ! 1 a 1 granted token=5 deadline=900ms
        ! 10 a 1 renewed token=6 deadline=910ms
        20 a 1 releasing
        21 a 1 released token=5
        ",
    );
}

#[test]
fn r02_a_stale_write_was_taken() {
    let run = |token| {
        format!(
            "
            0 a 1 asked
            1 a 1 granted token=5 deadline=900ms
            2 a 1 wrote place=1 token=5
            901 a 1 lost cause=expired
            0 b 1 asked
            950 b 1 granted token=6 deadline=1800ms
            ! 960 b 1 wrote place=2 token=6
            970 b 1 releasing
            971 b 1 released token=6
            ! 1000 a 1 wrote place=3{token}
            "
        )
    };
    broken(Rule::R2, &run(" token=5"));
    // A resource that asks for no token takes it, as everybody knows.
    sound(&run("").replace("! ", ""));
}

#[test]
fn r02_two_writes_have_one_place() {
    broken(
        Rule::R2,
        "
        0 a 1 asked
        1 a 1 granted token=5 deadline=900ms
        ! 2 a 1 wrote place=1 token=5
        ! 3 a 1 wrote place=1 token=5
        20 a 1 releasing
        21 a 1 released token=5
        ",
    );
}

#[test]
fn r02_a_write_of_the_holder_was_refused() {
    let run = |refused| {
        format!(
            "
            0 a 1 asked
            ! 1 a 1 granted token=6 deadline=900ms
            2 a 1 lost cause=revoked
            0 b 1 asked
            10 b 1 granted token=5 deadline=900ms
            ! {refused} b 1 refused token=5 newest=6
            30 b 1 releasing
            31 b 1 released token=5
            "
        )
    };
    let early = run(29);
    // That the token fell is another contradiction: here it is about a grant that no log has.
    let no_grant = early
        .replace("! 1 a 1 granted token=6 deadline=900ms", "")
        .replace("2 a 1 lost cause=revoked", "2 a 1 failed kind=Indeterminate");
    broken(Rule::R2, &no_grant.replace(" 10 b", " ! 10 b"));
    // Who does not hold it any more is refused rightly.
    let late = no_grant.replace(" 29 b", " 32 b");
    sound(&late.replace("! ", ""));
}
