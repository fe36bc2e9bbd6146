//! What the README says that a user needs.

/// The rules of a user, one word each.
pub(crate) struct Rules {
    /// All but the commands.
    pub(crate) frame: Vec<String>,
    pub(crate) needed: Vec<String>,
}

impl Rules {
    /// Reads the first block under `## Permissions`.
    pub(crate) fn documented() -> Self {
        let (_, rules) = block(0).split_once("ACL SETUSER worker on >SECRET").unwrap();
        let frame = rules.split_whitespace().filter(|word| !word.starts_with('+'));
        let rules = Self { frame: frame.map(str::to_owned).collect(), needed: commands(rules) };
        assert!(rules.needed.len() > 20 && rules.frame.len() == 5);
        rules
    }

    /// The rules for a prefix, with these commands.
    pub(crate) fn rules(&self, prefix: &str, commands: &[String]) -> Vec<String> {
        let frame = self.frame.iter().map(|rule| rule.replace("shop:", &format!("{prefix}:")));
        frame.chain(commands.iter().map(|command| format!("+{command}"))).collect()
    }
}

/// One of the two blocks under `## Permissions`.
pub(crate) fn block(number: usize) -> &'static str {
    let readme = include_str!("../../README.md");
    let (_, section) = readme.split_once("\n## Permissions\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let blocks: Vec<_> = section.split("```").skip(1).step_by(2).collect();
    assert_eq!(blocks.len(), 2, "{blocks:?}");
    blocks[number]
}

/// The commands that a block allows.
pub(crate) fn commands(block: &str) -> Vec<String> {
    let words = block.split_whitespace().filter_map(|word| word.strip_prefix('+'));
    words.map(str::to_owned).collect()
}
