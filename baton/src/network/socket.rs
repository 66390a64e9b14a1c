//! A request-and-answer socket to rtnetlink.

use std::fmt;

use anyhow::{anyhow, bail, Context, Result};
use netlink_packet_core::NetlinkBuffer;
use netlink_sys::{protocols::NETLINK_ROUTE, Socket};

use super::abi::*;
use super::attribute::{emit, find, parse, Attribute, Message};

/// Times a dump is taken again when the kernel says that it changed under it.
const DUMP_ATTEMPTS: usize = 8;
/// Receive buffer. A dump is produced as it is read, so this is not a limit on its size.
const RECEIVE_BUFFER: usize = 1 << 20;

/// The kernel said no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Positive error number.
    pub(super) errno: i32,
    /// The kernel's own words, if it gave any.
    pub(super) message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", std::io::Error::from_raw_os_error(self.errno))?;
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}

/// One frame of an answer.
enum Frame {
    /// The last one.
    End,
    /// The last one, with an error.
    Refused(Refusal),
    /// An object.
    Object(Message),
    /// Nothing of interest.
    Other,
}

/// The socket.
pub(super) struct Rtnl {
    socket: Socket,
    sequence: u32,
}

impl Rtnl {
    /// Opens it.
    pub(super) fn new() -> Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE).context("opening a netlink socket")?;
        socket.bind_auto().context("binding the netlink socket")?;
        // Refinements of the error messages; kernels in scope have them, and none is needed.
        let _ = socket.set_ext_ack(true);
        let _ = socket.set_cap_ack(true);
        let _ = socket.set_rx_buf_sz(RECEIVE_BUFFER);
        let sequence = 0;
        Ok(Self { socket, sequence })
    }

    /// Everything of one kind, consistent in itself.
    pub(super) fn dump(
        &mut self,
        kind: u16,
        header: &[u8],
        attributes: &[Attribute],
    ) -> Result<Vec<Message>> {
        for _ in 0..DUMP_ATTEMPTS {
            let (answer, interrupted) = self.exchange(kind, NLM_F_DUMP, header, attributes)??;
            if !interrupted {
                return Ok(answer);
            }
        }
        bail!("the network changes faster than it can be read (netlink dump {kind})")
    }

    /// One change. The outer error is of the socket, the inner one of the request.
    pub(super) fn change(
        &mut self,
        flags: u16,
        message: &Message,
    ) -> Result<std::result::Result<(), Refusal>> {
        let answer = self.exchange(
            message.kind,
            flags | NLM_F_ACK,
            &message.header,
            &message.attributes,
        )?;
        Ok(answer.map(|_| ()))
    }

    fn exchange(
        &mut self,
        kind: u16,
        flags: u16,
        header: &[u8],
        attributes: &[Attribute],
    ) -> Result<std::result::Result<(Vec<Message>, bool), Refusal>> {
        self.sequence = self.sequence.wrapping_add(1);
        let body = emit(attributes);
        let length = u32::try_from(NLMSG_HEADER + header.len() + body.len())?;
        let mut request = Vec::new();
        request.extend_from_slice(&length.to_ne_bytes());
        request.extend_from_slice(&kind.to_ne_bytes());
        request.extend_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
        request.extend_from_slice(&self.sequence.to_ne_bytes());
        request.extend_from_slice(&0_u32.to_ne_bytes());
        request.extend_from_slice(header);
        request.extend_from_slice(&body);
        self.socket
            .send(&request, 0)
            .context("sending to netlink")?;

        let (mut objects, mut interrupted) = (Vec::new(), false);
        // Ends with the terminating frame that the kernel owes to every request; a missing one
        // ends with an error of the receive.
        loop {
            let (datagram, _) = self
                .socket
                .recv_from_full()
                .context("receiving from netlink")?;
            let mut rest = datagram.as_slice();
            while !rest.is_empty() {
                let frame = NetlinkBuffer::new_checked(rest)
                    .map_err(|error| anyhow!("malformed netlink message: {error}"))?;
                if frame.sequence_number() == self.sequence {
                    interrupted |= frame.flags() & NLM_F_DUMP_INTR != 0;
                    match decode(&frame)? {
                        Frame::End => return Ok(Ok((objects, interrupted))),
                        Frame::Refused(refusal) => return Ok(Err(refusal)),
                        Frame::Object(message) => objects.push(message),
                        Frame::Other => {}
                    }
                }
                let step = (frame.length() as usize).next_multiple_of(4);
                rest = rest.get(step..).unwrap_or_default();
            }
        }
    }
}

/// What a frame of the answer says.
fn decode(frame: &NetlinkBuffer<&[u8]>) -> Result<Frame> {
    let payload = frame.payload();
    let kind = frame.message_type();
    Ok(match kind {
        NLMSG_NOOP => Frame::Other,
        NLMSG_DONE | NLMSG_ERROR => {
            let code = payload.get(..4).and_then(|bytes| bytes.try_into().ok());
            let code = code.map_or(0, i32::from_ne_bytes);
            if code == 0 {
                return Ok(Frame::End);
            }
            let skip = if kind == NLMSG_ERROR {
                4 + NLMSG_HEADER
            } else {
                4
            };
            let words = payload.get(skip..).unwrap_or_default();
            let message = if frame.flags() & NLM_F_ACK_TLVS != 0 {
                let attributes = parse(words).unwrap_or_default();
                find(&attributes, NLMSGERR_ATTR_MSG).map(Attribute::as_string)
            } else {
                None
            };
            Frame::Refused(Refusal {
                errno: code.saturating_neg(),
                message: message.unwrap_or_default(),
            })
        }
        _ => Frame::Object(Message::parse(kind, payload)?),
    })
}
