//! The cases, by what they are about.

mod bounds;
mod cleanup;
mod exclusion;
mod loss;
mod order;
mod ownership;
mod tokens;
mod waiting;

pub use bounds::*;
pub use cleanup::*;
pub use exclusion::*;
pub use loss::*;
pub use order::*;
pub use ownership::*;
pub use tokens::*;
pub use waiting::*;
