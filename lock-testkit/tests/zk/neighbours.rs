//! Clients in other languages.

use std::path::PathBuf;

use lock_testkit::Zk;
use lock_testkit::child::Child;

use crate::SOON;

#[tokio::test]
async fn curator_holds_a_lock() {
    let server = Zk::start().await;
    let holder = Child::curator(&source("Hold.java"), &[&server.connect_string(), "/lock"]);
    holds_and_dies(&server, holder).await;
}

#[tokio::test]
async fn kazoo_holds_a_lock() {
    let server = Zk::start().await;
    let holder = Child::kazoo(&source("hold.py"), &[&server.connect_string(), "/lock"]);
    holds_and_dies(&server, holder).await;
}

async fn holds_and_dies(server: &Zk, mut holder: Child) {
    assert_eq!(holder.next_report(SOON).await, "held");
    let [node] = &server.children("/lock").await[..] else { panic!("one node") };
    assert!(node.ends_with("-lock-0000000000") || node.ends_with("__lock__0000000000"), "{node}");
    assert_eq!(server.sessions().await.len(), 1);
    holder.send("release");
    assert_eq!(holder.next_report(SOON).await, "released");
    assert!(server.children("/lock").await.is_empty());
    holder.ended(SOON).await;
    assert!(!holder.is_running());
}

fn source(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/zk/neighbours").join(name)
}
