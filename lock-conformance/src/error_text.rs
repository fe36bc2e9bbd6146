//! What an error shows.

use std::error::Error as _;

use lockcore::Error;

/// All that an error shows, to people and to developers, with whatever caused it: where no secret may
/// be.
#[must_use]
pub fn error_text(error: &Error) -> String {
    let mut text = format!("{error}\n{error:?}\n{error:#?}\n");
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!("{error}\n{error:?}\n");
        source = error.source();
    }
    text
}
