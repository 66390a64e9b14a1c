//! Notices of changes of the network.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use netlink_sys::{protocols::NETLINK_ROUTE, Socket};
use rustix::event::{poll, PollFd, PollFlags};
use rustix::io::Errno;
use rustix::time::Timespec;

use super::abi::*;

const GROUPS: &[u32] = &[
    RTNLGRP_LINK,
    RTNLGRP_IPV4_IFADDR,
    RTNLGRP_IPV4_ROUTE,
    RTNLGRP_IPV4_RULE,
    RTNLGRP_IPV6_IFADDR,
    RTNLGRP_IPV6_ROUTE,
    RTNLGRP_IPV6_RULE,
];

/// Most notices read in one go. More than that is a change anyhow.
const MAX_DRAIN: usize = 65536;

/// A socket subscribed to changes of links, addresses, routes, rules and nexthop objects.
///
/// Opened **before** a snapshot is taken, it tells right before the stop whether the snapshot is
/// still what the kernel has.
pub struct Watcher {
    socket: Socket,
}

impl Watcher {
    /// Subscribes.
    ///
    /// # Errors
    /// The socket cannot be opened or subscribed.
    pub fn new() -> Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE).context("opening a netlink socket")?;
        socket.bind_auto().context("binding the netlink socket")?;
        socket
            .set_non_blocking(true)
            .context("making the netlink socket non-blocking")?;
        for group in GROUPS {
            socket
                .add_membership(*group)
                .with_context(|| format!("subscribing to netlink group {group}"))?;
        }
        // A kernel without nexthop objects has none that could change.
        let _ = socket.add_membership(RTNLGRP_NEXTHOP);
        Ok(Self { socket })
    }

    /// Whether anything changed since the last call. Does not wait; reads all notices away.
    /// An overflow of the socket is a change.
    pub fn changed(&mut self) -> bool {
        let mut changed = false;
        let mut buffer = Vec::with_capacity(16384);
        for _ in 0..MAX_DRAIN {
            buffer.clear();
            match self.socket.recv(&mut buffer, 0) {
                Ok(_) => changed = true,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                // ENOBUFS: notices were lost, so there were some.
                Err(_) => changed = true,
            }
        }
        changed
    }

    /// Waits for a change, at most until the deadline.
    ///
    /// # Errors
    /// Waiting itself failed.
    pub fn wait(&mut self, deadline: Instant) -> Result<bool> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let readable = wait_readable(&self.socket, left)?;
            if readable && self.changed() {
                return Ok(true);
            }
            if left.is_zero() {
                return Ok(false);
            }
        }
    }
}

/// Waits until a socket has something to read, at most for this long. An interrupted wait is
/// reported as "nothing".
pub(crate) fn wait_readable(socket: &Socket, left: Duration) -> Result<bool> {
    let timeout = Timespec::try_from(left).context("deadline out of range")?;
    let mut descriptors = [PollFd::new(socket, PollFlags::IN)];
    match poll(&mut descriptors, Some(&timeout)) {
        Ok(count) => Ok(count > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error).context("waiting for netlink"),
    }
}
