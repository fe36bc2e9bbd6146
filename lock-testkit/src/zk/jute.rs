//! The encoding of ZooKeeper's messages.

use crate::zk::error::ZkError;

/// A message to be sent.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn int(mut self, value: i32) -> Self {
        self.bytes.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn long(mut self, value: i64) -> Self {
        self.bytes.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn boolean(mut self, value: bool) -> Self {
        self.bytes.push(u8::from(value));
        self
    }

    pub(crate) fn buffer(self, value: &[u8]) -> Self {
        let length = i32::try_from(value.len()).expect("a message is no longer than 2 GB");
        let mut writer = self.int(length);
        writer.bytes.extend(value);
        writer
    }

    pub(crate) fn string(self, value: &str) -> Self {
        self.buffer(value.as_bytes())
    }

    pub(crate) fn bytes(mut self, value: &[u8]) -> Self {
        self.bytes.extend(value);
        self
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    /// With its length in front, as it goes over the wire.
    pub(crate) fn frame(self) -> Vec<u8> {
        Self::default().buffer(&self.bytes).bytes
    }
}

/// A message that was received, read from its beginning.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn int(&mut self) -> Result<i32, ZkError> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn long(&mut self) -> Result<i64, ZkError> {
        self.array().map(i64::from_be_bytes)
    }

    /// What is absent, which is told by a negative length, is empty.
    pub(crate) fn buffer(&mut self) -> Result<&'a [u8], ZkError> {
        let length = usize::try_from(self.int()?).unwrap_or(0);
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(ZkError::garbled)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn string(&mut self) -> Result<String, ZkError> {
        self.buffer().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    pub(crate) fn vector<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, ZkError>,
    ) -> Result<Vec<T>, ZkError> {
        (0..self.int()?).map(|_| item(self)).collect()
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ZkError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(ZkError::garbled)?;
        self.rest = rest;
        Ok(*taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let frame = Writer::default().int(-7).long(1 << 40).string("/ä").boolean(true).frame();
        let mut reader = Reader::new(&frame);
        let body = reader.buffer().unwrap();
        assert!(reader.rest().is_empty());
        let mut reader = Reader::new(body);
        assert_eq!(reader.int().unwrap(), -7);
        assert_eq!(reader.long().unwrap(), 1 << 40);
        assert_eq!(reader.string().unwrap(), "/ä");
        assert_eq!(reader.rest(), [1]);
        assert!(reader.long().is_err());
    }
}
