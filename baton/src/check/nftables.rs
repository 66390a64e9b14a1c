//! The tables of nftables, by netlink (`include/uapi/linux/netfilter/nf_tables.h`).

use anyhow::{bail, Context, Result};
use netlink_sys::{protocols::NETLINK_NETFILTER, Socket, SocketAddr};

/// `NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE`.
const GET_TABLE: u16 = 10 << 8 | 1;
/// `NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE`.
const NEW_TABLE: u16 = 10 << 8;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const FLAGS: u16 = 0x301;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// Header of a netlink message, and of netfilter's in it.
const HEADER: usize = 16;
const INNER: usize = 4;
/// `NFTA_TABLE_NAME`.
const NAME: u16 = 1;
/// Most answers that are read.
const MAX_READS: usize = 64;

/// Family and name of each table of this network namespace.
///
/// # Errors
/// The kernel does not answer.
pub fn tables() -> Result<Vec<String>> {
    let mut socket = Socket::new(NETLINK_NETFILTER).context("opening a netlink socket")?;
    socket.bind_auto().context("binding the netlink socket")?;
    let mut request = Vec::new();
    request.extend(u32::try_from(HEADER + INNER)?.to_ne_bytes());
    request.extend(GET_TABLE.to_ne_bytes());
    request.extend(FLAGS.to_ne_bytes());
    // Sequence and port number, then the header: any family, version 0.
    request.extend([0; 8 + INNER]);
    socket.send_to(&request, &SocketAddr::new(0, 0), 0)?;
    let mut found = Vec::new();
    for _ in 0..MAX_READS {
        let (answer, _) = socket.recv_from_full()?;
        if read(&answer, &mut found)? {
            return Ok(found);
        }
    }
    bail!("the list of nftables does not end")
}

/// Adds the tables of one answer; whether it was the last.
fn read(answer: &[u8], found: &mut Vec<String>) -> Result<bool> {
    let mut rest = answer;
    while let Some((length, kind)) = message(rest) {
        let body = rest.get(HEADER..length).unwrap_or_default();
        match kind {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => bail!("the kernel does not list its nftables"),
            NEW_TABLE => found.extend(table(body)),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// Length and type of the message that `bytes` begins with.
fn message(bytes: &[u8]) -> Option<(usize, u16)> {
    let length = u32::from_ne_bytes(*bytes.first_chunk()?);
    let length = usize::try_from(length).ok()?;
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    (length >= HEADER).then_some((length, kind))
}

/// `family name`
fn table(body: &[u8]) -> Option<String> {
    let family = match body.first()? {
        1 => "inet",
        2 => "ip",
        3 => "arp",
        5 => "netdev",
        7 => "bridge",
        10 => "ip6",
        _ => "other",
    };
    let mut rest = body.get(INNER..)?;
    while let Some(header) = rest.first_chunk::<4>() {
        let [a, b, c, d] = *header;
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let value = rest.get(4..length)?;
        if u16::from_ne_bytes([c, d]) & 0x3fff == NAME {
            let name = value.split(|byte| *byte == 0).next().unwrap_or_default();
            return Some(format!("{family} {}", String::from_utf8_lossy(name)));
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrap(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(HEADER + body.len())
            .unwrap()
            .to_ne_bytes()
            .to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn tables_are_read() {
        let mut body = vec![1, 0, 0, 0];
        for (kind, value) in [(2u16, &b"\0\0\0\0"[..]), (1, b"filter\0")] {
            body.extend(u16::try_from(4 + value.len()).unwrap().to_ne_bytes());
            body.extend(kind.to_ne_bytes());
            body.extend(value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut answer = wrap(NEW_TABLE, &body);
        let mut found = Vec::new();
        assert!(!read(&answer, &mut found).unwrap());
        assert_eq!(found, ["inet filter"]);
        answer.extend(wrap(NLMSG_DONE, &[0; 4]));
        assert!(read(&answer, &mut found).unwrap());
        assert!(read(&wrap(NLMSG_ERROR, &[0; 20]), &mut found).is_err());
        for cut in 0..answer.len() {
            let _ = read(&answer[..cut], &mut Vec::new());
        }
    }
}
