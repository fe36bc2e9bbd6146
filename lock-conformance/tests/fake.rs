//! The suite on the fake store, whole: so the engine is tested, with each kind of sessions.

mod per_grant {
    lock_conformance::conformance!(lock_conformance::fake::PerGrant);
}

mod shared {
    lock_conformance::conformance!(lock_conformance::fake::Shared);
}

mod connection {
    lock_conformance::conformance!(lock_conformance::fake::Connection);
}
