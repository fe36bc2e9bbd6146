//! What the README says that a user needs.

use lock_testkit::ZkAcl;

/// The ACL of `/PREFIX` that the recipe under `## Permissions` sets, for a user of this password.
pub(crate) fn documented(user: &str, password: &str) -> ZkAcl {
    let readme = include_str!("../../README.md");
    let (_, section) = readme.split_once("\n## Permissions\n").unwrap();
    let recipe = section.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let lines: Vec<_> = recipe.lines().collect();
    let ["addauth digest worker:secret", "create /shop", set] = lines[..] else {
        panic!("another recipe: {lines:?}")
    };
    let rights = set.strip_prefix("setAcl /shop auth:worker:secret:").unwrap();
    let right = |letter| match letter {
        'c' => ZkAcl::CREATE,
        'd' => ZkAcl::DELETE,
        'r' => ZkAcl::READ,
        'w' => ZkAcl::WRITE,
        _ => panic!("no right that a recipe gives: {letter}"),
    };
    ZkAcl::user(user, password, rights.chars().map(right).sum())
}
