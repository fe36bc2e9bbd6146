//! Where the messages of gRPC begin and end in the data of a stream.

use bytes::{Buf, Bytes, BytesMut};

/// Cuts the data of one direction of a call into messages: frames of HTTP/2 end anywhere in them.
#[derive(Debug, Default)]
pub(super) struct Messages {
    data: BytesMut,
}

impl Messages {
    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.data.extend_from_slice(chunk);
    }

    /// Splits the first whole message off, with its prefix.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        let mut prefix = self.data.get(..PREFIX)?;
        let _compressed = prefix.get_u8();
        let length = PREFIX + usize::try_from(prefix.get_u32()).ok()?;
        (self.data.len() >= length).then(|| self.data.split_to(length).freeze())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// What came after the last whole message: nothing, if this is gRPC.
    pub(super) fn rest(&mut self) -> Bytes {
        self.data.split().freeze()
    }
}

/// One byte that says whether the message is compressed, and its length.
pub(super) const PREFIX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_whole_wherever_frames_end() {
        let data = b"\0\0\0\0\x02ab\x01\0\0\0\0\0\0\0\0\x01z\0\0\0\0\x09ab";
        let expected: [&[u8]; 3] = [b"\0\0\0\0\x02ab", b"\x01\0\0\0\0", b"\0\0\0\0\x01z"];
        for size in 1..=data.len() {
            let (mut messages, mut found) = (Messages::default(), Vec::new());
            for chunk in data.chunks(size) {
                messages.push(chunk);
                found.extend(std::iter::from_fn(|| messages.next()));
            }
            assert_eq!(found, expected, "frames of {size}");
            assert!(!messages.is_empty());
            assert_eq!(messages.rest(), b"\0\0\0\0\x09ab"[..]);
            assert!(messages.is_empty());
        }
    }
}
