//! Ports of the host that lead to ports of the guest.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

/// One forwarded TCP port.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forward {
    pub(super) host: u16,
    pub(super) guest: u16,
}

impl Forward {
    /// As a part of QEMU's `-netdev user` option.
    pub(super) fn option(&self) -> String {
        format!(",hostfwd=tcp:127.0.0.1:{}-:{}", self.host, self.guest)
    }
}

/// A free port of the host for each port of the guest.
///
/// Another process can take one before QEMU does; then QEMU says so and is to
/// be started again with others.
pub(super) fn pick(guest_ports: &[u16]) -> Result<Vec<Forward>> {
    // All stay bound until each has its own.
    let mut held = Vec::new();
    let mut forwards = Vec::new();
    for guest in guest_ports {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("the host has no free TCP port")?;
        let host = listener
            .local_addr()
            .context("cannot read a socket's address")?
            .port();
        forwards.push(Forward {
            host,
            guest: *guest,
        });
        held.push(listener);
    }
    Ok(forwards)
}
