//! The ways in which we break the product on purpose.

/// One change to product source that a test must notice.
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "nothing constructs it while the table is empty")]
pub(super) struct Mutant {
    pub(super) name: &'static str,
    /// Path from the root of the workspace.
    pub(super) file: &'static str,
    /// Occurs exactly once in the file.
    pub(super) find: &'static str,
    pub(super) replace: &'static str,
    /// Whose tests must notice: package, test target, and a filter for the names of the cases.
    pub(super) package: &'static str,
    pub(super) test_target: &'static str,
    pub(super) case: &'static str,
}

pub(super) const MUTANTS: &[Mutant] = &[
    // Mutant {
    //     name: "shared-ignores-exclusive",
    //     file: "lockcore/src/queue.rs",
    //     find: "Mode::Shared => !before.iter().any(Entry::is_exclusive),",
    //     replace: "Mode::Shared => true,",
    //     package: "lock-local",
    //     test_target: "it",
    //     case: "conformance::r1_",
    // },
];
