//! A client of gRPC whose messages are texts.

use std::net::SocketAddr;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::PATIENCE;

pub(crate) struct Client {
    send: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        Self { send, connection: tokio::spawn(connection) }
    }

    /// A call that stays open.
    pub(crate) async fn open(&self, method: &str) -> Call {
        let uri = format!("http://server/test.Echo/{method}");
        let request = Request::post(uri).header("te", "trailers").body(()).unwrap();
        let mut send = self.send.clone().ready().await.unwrap();
        let (response, stream) = send.send_request(request, false).unwrap();
        Call { stream, answer: Answer::Open(response) }
    }

    /// A call with one message. Its status, and what came before it.
    pub(crate) async fn unary(&self, text: &str) -> Result<(String, Vec<String>), h2::Error> {
        let mut call = self.open("Unary").await;
        call.send_last(text);
        timeout(PATIENCE, call.rest()).await.expect("an answer")
    }

    /// Waits until the connection is closed, and says whether that was an error.
    pub(crate) async fn closed(&mut self) -> Result<(), h2::Error> {
        timeout(PATIENCE, &mut self.connection).await.expect("the connection ends").unwrap()
    }

    /// Closes it without a word.
    pub(crate) fn kill(self) {
        self.connection.abort();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.connection.is_finished()
    }
}

pub(crate) struct Call {
    stream: SendStream<Bytes>,
    answer: Answer,
}

enum Answer {
    Open(ResponseFuture),
    Come(Response<()>, Reader),
}

impl Call {
    pub(crate) fn send(&mut self, text: &str) {
        self.stream.send_data(encode(text), false).unwrap();
    }

    pub(crate) fn send_last(&mut self, text: &str) {
        self.stream.send_data(encode(text), true).unwrap();
    }

    /// In a frame as it is.
    pub(crate) fn send_raw(&mut self, data: Bytes) {
        self.stream.send_data(data, false).unwrap();
    }

    pub(crate) fn end(&mut self) {
        self.stream.send_data(Bytes::new(), true).unwrap();
    }

    pub(crate) fn cancel(mut self) {
        self.stream.send_reset(h2::Reason::CANCEL);
    }

    /// What the server says next.
    pub(crate) async fn next(&mut self) -> Result<Option<String>, h2::Error> {
        self.reader().await?.next().await
    }

    pub(crate) async fn text(&mut self) -> String {
        timeout(PATIENCE, self.next()).await.expect("a message").unwrap().unwrap()
    }

    /// Everything until the end, and the status.
    pub(crate) async fn rest(&mut self) -> Result<(String, Vec<String>), h2::Error> {
        let mut texts = Vec::new();
        while let Some(text) = self.next().await? {
            texts.push(text);
        }
        let trailers = self.trailers().await?;
        Ok((trailers["grpc-status"].to_str().unwrap().to_owned(), texts))
    }

    /// Those of an answer without anything else are its headers.
    pub(crate) async fn trailers(&mut self) -> Result<HeaderMap, h2::Error> {
        let trailers = self.reader().await?.body.trailers().await?;
        let Answer::Come(head, _) = &self.answer else { unreachable!() };
        Ok(trailers.unwrap_or_else(|| head.headers().clone()))
    }

    async fn reader(&mut self) -> Result<&mut Reader, h2::Error> {
        if let Answer::Open(response) = &mut self.answer {
            let (head, body) = response.await?.into_parts();
            self.answer = Answer::Come(Response::from_parts(head, ()), Reader::new(body));
        }
        let Answer::Come(_, reader) = &mut self.answer else { unreachable!() };
        Ok(reader)
    }
}

/// Reads messages.
pub(crate) struct Reader {
    body: RecvStream,
    data: BytesMut,
}

impl Reader {
    pub(crate) fn new(body: RecvStream) -> Self {
        Self { body, data: BytesMut::new() }
    }

    pub(crate) async fn next(&mut self) -> Result<Option<String>, h2::Error> {
        loop {
            if self.data.len() >= 5 {
                let length = 5 + usize::try_from((&self.data[1..5]).get_u32()).unwrap();
                if self.data.len() >= length {
                    let message = self.data.split_to(length);
                    return Ok(Some(String::from_utf8(message[5..].to_vec()).unwrap()));
                }
            }
            let Some(chunk) = self.body.data().await else { return Ok(None) };
            let chunk = chunk?;
            self.body.flow_control().release_capacity(chunk.len())?;
            self.data.extend_from_slice(&chunk);
        }
    }
}

pub(crate) fn encode(text: &str) -> Bytes {
    let mut message = BytesMut::new();
    message.put_u8(0);
    message.put_u32(u32::try_from(text.len()).unwrap());
    message.put_slice(text.as_bytes());
    message.freeze()
}
