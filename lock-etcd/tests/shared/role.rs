//! What the README says that a user needs.

/// The three lines under `## Permissions` by which a role is made and given to `worker`.
pub(crate) fn documented() -> [&'static str; 3] {
    let readme = include_str!("../../README.md");
    let (_, section) = readme.split_once("\n## Permissions\n").unwrap();
    let recipe = section.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let lines: Vec<_> = recipe.lines().collect();
    lines.try_into().unwrap()
}
