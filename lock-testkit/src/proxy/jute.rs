//! The records of ZooKeeper's protocol, as far as rules ask for them.

use bytes::{Buf, Bytes};

/// The name of the handshake.
pub(super) const CONNECT: &[u8] = b"connect";

/// The words of a handshake: its name, and the session that it wants to go on with, which is 0 for
/// a new one.
pub(super) fn connect_words(body: &[u8]) -> Vec<Bytes> {
    let mut reader = Reader::new(body);
    let mut session = || {
        let (_version, _zxid, _timeout) = (reader.int()?, reader.long()?, reader.int()?);
        reader.long()
    };
    let mut words = vec![Bytes::from_static(CONNECT)];
    words.extend(session().map(|session| Bytes::from(format!("{session:#x}"))));
    words
}

/// The words of a request: its name, its paths, and how a node is created or whether a watch is
/// wanted. A multi has those of its members one after the other. `None` if there is no header; words
/// end where the request is not understood.
pub(super) fn request_words(body: &[u8]) -> Option<Vec<Bytes>> {
    let mut reader = Reader::new(body);
    let (_xid, code) = (reader.int()?, reader.int()?);
    let mut words = vec![name(code)];
    let _ = match code {
        MULTI | MULTI_READ => members(&mut reader, &mut words),
        _ => arguments(code, &mut reader, &mut words),
    };
    Some(words)
}

/// What a notification says.
pub(super) fn event_words(reader: &mut Reader<'_>) -> String {
    let mut event = || {
        let (kind, _state) = (reader.int()?, reader.int()?);
        Some((kind, String::from_utf8_lossy(reader.buffer()?)))
    };
    let Some((kind, path)) = event() else { return "?".to_owned() };
    match EVENTS.iter().find(|(known, _)| *known == kind) {
        Some((_, name)) => format!("{name} {path}"),
        None => format!("{kind} {path}"),
    }
}

/// Reads what is there; `None` when there is too little.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn int(&mut self) -> Option<i32> {
        self.0.try_get_i32().ok()
    }

    pub(super) fn long(&mut self) -> Option<i64> {
        self.0.try_get_i64().ok()
    }

    pub(super) fn bool(&mut self) -> Option<bool> {
        self.0.try_get_u8().ok().map(|byte| byte != 0)
    }

    /// A string is one too. A length of -1 stands for nothing.
    pub(super) fn buffer(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.int()?.max(0)).ok()?;
        let (buffer, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(buffer)
    }

    fn word(&mut self) -> Option<Bytes> {
        self.buffer().map(Bytes::copy_from_slice)
    }
}

fn members(reader: &mut Reader<'_>, words: &mut Vec<Bytes>) -> Option<()> {
    loop {
        let (code, done, _error) = (reader.int()?, reader.bool()?, reader.int()?);
        if done {
            return Some(());
        }
        words.push(name(code));
        arguments(code, reader, words)?;
    }
}

/// Reads a whole record, for the next one begins behind it.
fn arguments(code: i32, reader: &mut Reader<'_>, words: &mut Vec<Bytes>) -> Option<()> {
    match code {
        CREATE | CREATE2 | CREATE_CONTAINER | CREATE_TTL => {
            words.push(reader.word()?);
            reader.buffer()?;
            for _ in 0..reader.int()? {
                let (_permissions, _scheme, _id) =
                    (reader.int()?, reader.buffer()?, reader.buffer()?);
            }
            let mode = usize::try_from(reader.int()?).ok()?;
            words.push(Bytes::from_static(MODES.get(mode)?.as_bytes()));
            if code == CREATE_TTL {
                reader.long()?;
            }
        }
        EXISTS | GET_DATA | GET_CHILDREN | GET_CHILDREN2 => {
            words.push(reader.word()?);
            if reader.bool()? {
                words.push(Bytes::from_static(WATCH));
            }
        }
        SET_DATA => {
            words.push(reader.word()?);
            let (_data, _version) = (reader.buffer()?, reader.int()?);
        }
        DELETE | CHECK | CHECK_WATCHES | REMOVE_WATCHES | ADD_WATCH => {
            words.push(reader.word()?);
            reader.int()?;
        }
        AUTH => {
            reader.int()?;
            words.push(reader.word()?);
        }
        SET_WATCHES | SET_WATCHES2 => {
            reader.long()?;
            let lists = if code == SET_WATCHES { 3 } else { 5 };
            for _ in 0..lists {
                for _ in 0..reader.int()? {
                    words.push(reader.word()?);
                }
            }
        }
        GET_ACL | SET_ACL | SYNC | DELETE_CONTAINER | GET_EPHEMERALS | GET_ALL_CHILDREN_NUMBER => {
            words.push(reader.word()?);
        }
        _ => {}
    }
    Some(())
}

fn name(code: i32) -> Bytes {
    match NAMES.iter().find(|(known, _)| *known == code) {
        Some((_, name)) => Bytes::from_static(name.as_bytes()),
        None => Bytes::from(code.to_string()),
    }
}

const CREATE: i32 = 1;
const DELETE: i32 = 2;
const EXISTS: i32 = 3;
const GET_DATA: i32 = 4;
const SET_DATA: i32 = 5;
const GET_ACL: i32 = 6;
const SET_ACL: i32 = 7;
const GET_CHILDREN: i32 = 8;
const SYNC: i32 = 9;
const GET_CHILDREN2: i32 = 12;
const CHECK: i32 = 13;
const MULTI: i32 = 14;
const CREATE2: i32 = 15;
const CHECK_WATCHES: i32 = 17;
const REMOVE_WATCHES: i32 = 18;
const CREATE_CONTAINER: i32 = 19;
const DELETE_CONTAINER: i32 = 20;
const CREATE_TTL: i32 = 21;
const MULTI_READ: i32 = 22;
const AUTH: i32 = 100;
const SET_WATCHES: i32 = 101;
const GET_EPHEMERALS: i32 = 103;
const GET_ALL_CHILDREN_NUMBER: i32 = 104;
const SET_WATCHES2: i32 = 105;
const ADD_WATCH: i32 = 106;

const NAMES: &[(i32, &str)] = &[
    (CREATE, "create"),
    (CREATE2, "create"),
    (CREATE_CONTAINER, "create"),
    (CREATE_TTL, "create"),
    (DELETE, "delete"),
    (EXISTS, "exists"),
    (GET_DATA, "getData"),
    (SET_DATA, "setData"),
    (GET_ACL, "getACL"),
    (SET_ACL, "setACL"),
    (GET_CHILDREN, "getChildren"),
    (SYNC, "sync"),
    (11, "ping"),
    (GET_CHILDREN2, "getChildren2"),
    (CHECK, "check"),
    (MULTI, "multi"),
    (16, "reconfig"),
    (CHECK_WATCHES, "checkWatches"),
    (REMOVE_WATCHES, "removeWatches"),
    (DELETE_CONTAINER, "deleteContainer"),
    (MULTI_READ, "multiRead"),
    (AUTH, "auth"),
    (SET_WATCHES, "setWatches"),
    (102, "sasl"),
    (GET_EPHEMERALS, "getEphemerals"),
    (GET_ALL_CHILDREN_NUMBER, "getAllChildrenNumber"),
    (SET_WATCHES2, "setWatches2"),
    (ADD_WATCH, "addWatch"),
    (107, "whoAmI"),
    (-11, "closeSession"),
];

/// By their number, with the names that Java gives them.
const MODES: &[&str] = &[
    "PERSISTENT",
    "EPHEMERAL",
    "PERSISTENT_SEQUENTIAL",
    "EPHEMERAL_SEQUENTIAL",
    "CONTAINER",
    "PERSISTENT_WITH_TTL",
    "PERSISTENT_SEQUENTIAL_WITH_TTL",
];

const EVENTS: &[(i32, &str)] = &[
    (-1, "None"),
    (1, "NodeCreated"),
    (2, "NodeDeleted"),
    (3, "NodeDataChanged"),
    (4, "NodeChildrenChanged"),
    (5, "DataWatchRemoved"),
    (6, "ChildWatchRemoved"),
    (7, "PersistentWatchRemoved"),
];

const WATCH: &[u8] = b"watch";
