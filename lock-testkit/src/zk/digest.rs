//! How a user is written in an ACL: ZooKeeper's digest, which is a SHA-1 in base64.

/// `user:…`, where the rest is made of both.
pub(crate) fn digest(user: &str, password: &str) -> String {
    format!("{user}:{}", base64(&sha1(format!("{user}:{password}").as_bytes())))
}

fn sha1(text: &[u8]) -> [u8; 20] {
    let mut padded = text.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    let bits = 8 * u64::try_from(text.len()).expect("BUG: a length fits 64 bits");
    padded.extend(bits.to_be_bytes());

    let mut state: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    for block in padded.chunks_exact(64) {
        let mut words = [0; 80];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
        }
        for n in 16..80 {
            words[n] = (words[n - 3] ^ words[n - 8] ^ words[n - 14] ^ words[n - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (n, word) in words.iter().enumerate() {
            let (mixed, constant) = match n / 20 {
                0 => (b & c | !b & d, 0x5a82_7999),
                1 => (b ^ c ^ d, 0x6ed9_eba1),
                2 => (b & c | b & d | c & d, 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let sum = a.rotate_left(5).wrapping_add(mixed).wrapping_add(e);
            let next = sum.wrapping_add(constant).wrapping_add(*word);
            (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
        }
        for (old, new) in state.iter_mut().zip([a, b, c, d, e]) {
            *old = old.wrapping_add(new);
        }
    }
    let mut bytes = [0; 20];
    for (bytes, word) in bytes.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word =
            (0..3).fold(0, |word, n| word << 8 | chunk.get(n).map_or(0, |byte| usize::from(*byte)));
        for n in 0..4 {
            let letter = char::from(LETTERS[word >> (18 - 6 * n) & 63]);
            text.push(if n <= chunk.len() { letter } else { '=' });
        }
    }
    text
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digests() {
        // The first is in the documentation of ZooKeeper, the second made with openssl.
        assert_eq!(digest("super", "admin"), "super:xQJmxLMiHGwaqBvst5y6rkB6HQs=");
        assert_eq!(base64(&sha1(&[b'a'; 200])), "5hz//g2RlaUl/GzwbKLXcRnCSkA=");
        assert_eq!(base64(b"ab"), "YWI=");
    }
}
