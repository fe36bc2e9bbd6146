//! The password of a session, which the server makes of the session's id.

/// What `new java.util.Random(id ^ secret).nextBytes(new byte[16])` makes, as ZooKeeper does.
pub(crate) fn password(session: i64) -> [u8; 16] {
    let mut state = (session ^ SECRET ^ MULTIPLIER) & MASK;
    let mut bytes = [0; 16];
    for chunk in bytes.chunks_exact_mut(4) {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(0xB) & MASK;
        // The upper 32 of 48 bits, of which Java takes the lowest byte first.
        chunk.copy_from_slice(&(state >> 16).to_le_bytes()[..4]);
    }
    bytes
}

/// `superSecret` of `ZooKeeperServer`: the same everywhere.
const SECRET: i64 = 0xB341_5C00;
/// Those of `java.util.Random`.
const MULTIPLIER: i64 = 0x5_DEEC_E66D;
const MASK: i64 = (1 << 48) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_makes_the_same() {
        // Random(SECRET ^ SECRET) is Random(0), whose first numbers are well known.
        let bytes = password(SECRET);
        let number = |n: usize| i32::from_le_bytes(bytes[n..n + 4].try_into().unwrap());
        assert_eq!((number(0), number(4)), (-1_155_484_576, -723_955_400));
    }
}
