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
pub(super) fn event_text(reader: &mut Reader<'_>) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_by_their_words() {
        let path = |code: i32, rest: &[u8]| body(code, &[&text("/a"), rest].concat());
        let acl = [&int(1)[..], &int(31), &text("world"), &text("anyone")].concat();
        let create = |mode: i32| [&text("data")[..], &acl, &int(mode)].concat();
        let nothing = [&int(-1)[..], &int(0), &int(0)].concat();
        let lists = |count| [&[0; 8][..], &watches(count)].concat();
        let known = [
            (path(1, &create(0)), "create /a PERSISTENT"),
            (path(15, &create(3)), "create /a EPHEMERAL_SEQUENTIAL"),
            (path(19, &create(4)), "create /a CONTAINER"),
            (path(21, &[create(5), vec![0; 8]].concat()), "create /a PERSISTENT_WITH_TTL"),
            (path(1, &nothing), "create /a PERSISTENT"),
            (path(2, &int(-1)), "delete /a"),
            (path(3, &[1]), "exists /a watch"),
            (path(4, &[0]), "getData /a"),
            (path(5, &[&text("data")[..], &int(3)].concat()), "setData /a"),
            (path(6, &[]), "getACL /a"),
            (path(7, &[acl.clone(), int(3)].concat()), "setACL /a"),
            (path(8, &[1]), "getChildren /a watch"),
            (path(9, &[]), "sync /a"),
            (body(11, &[]), "ping"),
            (path(12, &[0]), "getChildren2 /a"),
            (body(16, &[]), "reconfig"),
            (path(17, &int(1)), "checkWatches /a"),
            (path(18, &int(1)), "removeWatches /a"),
            (body(100, &[&int(0)[..], &text("digest"), &text("secret")].concat()), "auth digest"),
            (body(101, &lists(3)), "setWatches /0 /1 /2"),
            (body(105, &lists(5)), "setWatches2 /0 /1 /2 /3 /4"),
            (path(106, &int(1)), "addWatch /a"),
            (body(-11, &[]), "closeSession"),
            (path(999, &[]), "999"),
        ];
        for (body, expected) in known {
            assert_eq!(words(&body), expected);
        }
    }

    #[test]
    fn a_multi_has_the_words_of_its_members() {
        let create = [&text("/a")[..], &text("data"), &int(0), &int(1), &[0; 8]].concat();
        let data = [&text("/b")[..], &text("data"), &int(3)].concat();
        let versioned = [&text("/c")[..], &int(3)].concat();
        let members = [
            [member(21), create].concat(),
            [member(5), data].concat(),
            [member(13), versioned.clone()].concat(),
            [member(2), versioned].concat(),
            [&int(-1)[..], &[1], &int(-1)].concat(),
        ];
        let whole = body(14, &members.concat());
        let expected = "multi create /a EPHEMERAL setData /b check /c delete /c";
        assert_eq!(words(&whole), expected);
        let reads = [member(4), text("/a"), vec![0], member(8), text("/b"), vec![0]].concat();
        assert_eq!(words(&body(22, &reads)), "multiRead getData /a getChildren /b");
    }

    #[test]
    fn what_is_cut_off_has_the_words_before() {
        let acl = [&int(1)[..], &int(31), &text("world"), &text("anyone")].concat();
        let create = [&text("/a")[..], &text("data"), &acl, &int(1)].concat();
        let whole = body(14, &[member(1), create].concat());
        for length in 8..whole.len() {
            assert!("multi create /a EPHEMERAL".starts_with(&words(&whole[..length])), "{length}");
        }
        for length in 0..8 {
            assert_eq!(request_words(&whole[..length]), None);
        }
        let strange = [&text("/a")[..], &text(""), &int(i32::MAX), &int(-1)].concat();
        assert_eq!(words(&body(1, &strange)), "create /a");
        assert_eq!(
            words(&body(1, &[&text("/a")[..], &int(0), &int(0), &int(99)].concat())),
            "create /a"
        );
        assert_eq!(words(&body(3, &int(i32::MIN))), "exists ");
    }

    #[test]
    fn events_are_told_by_their_names() {
        for (kind, expected) in
            [(2, "NodeDeleted /a"), (7, "PersistentWatchRemoved /a"), (9, "9 /a")]
        {
            let event = [&int(kind)[..], &int(3), &text("/a")].concat();
            assert_eq!(event_text(&mut Reader::new(&event)), expected);
        }
        assert_eq!(event_text(&mut Reader::new(&[0; 5])), "?");
    }

    #[test]
    fn a_handshake_names_its_session() {
        let whole = [&[0; 16][..], &42_i64.to_be_bytes(), &[0; 5]].concat();
        assert_eq!(connect_words(&whole), ["connect", "0x2a"]);
        assert_eq!(connect_words(&whole[..20]), ["connect"]);
    }

    fn words(body: &[u8]) -> String {
        let words = request_words(body).unwrap();
        words.iter().map(|word| str::from_utf8(word).unwrap()).collect::<Vec<_>>().join(" ")
    }

    fn body(code: i32, rest: &[u8]) -> Vec<u8> {
        [&int(1)[..], &int(code), rest].concat()
    }

    fn member(code: i32) -> Vec<u8> {
        [&int(code)[..], &[0], &int(-1)].concat()
    }

    /// So many lists of one path each.
    fn watches(count: i32) -> Vec<u8> {
        (0..count).flat_map(|number| [int(1), text(&format!("/{number}"))].concat()).collect()
    }

    fn text(text: &str) -> Vec<u8> {
        [&int(i32::try_from(text.len()).unwrap())[..], text.as_bytes()].concat()
    }

    fn int(number: i32) -> Vec<u8> {
        number.to_be_bytes().to_vec()
    }
}
