//! Waits for disks.

use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use netlink_sys::{protocols::NETLINK_KOBJECT_UEVENT, Socket, SocketAddr};

use super::identity::{find_block_device, BlockDevice, DeviceIdentity};
use super::Roots;
use crate::network::watch::wait_readable;

/// Group of the kernel's own notices.
const KERNEL_EVENTS: u32 = 1;
/// Longest time without a look of our own: notices are only sent to some network namespaces, and
/// may be lost.
const LOOK: Duration = Duration::from_millis(100);

/// Waits until a disk is there and its node is in devtmpfs; no udev is needed.
///
/// # Errors
/// It is not there at the deadline.
pub fn block_device_wait(
    identity: &DeviceIdentity,
    roots: &Roots,
    deadline: Instant,
) -> Result<BlockDevice> {
    // Subscribed before the first look, so that what comes after it is noticed.
    let mut socket = Socket::new(NETLINK_KOBJECT_UEVENT).context("opening a uevent socket")?;
    socket
        .bind(&SocketAddr::new(0, KERNEL_EVENTS))
        .context("subscribing to uevents")?;
    socket.set_non_blocking(true).context("uevent socket")?;
    let mut buffer = Vec::with_capacity(8192);
    loop {
        let found = find_block_device(&roots.sys, identity);
        if let Some(device) = found.filter(|device| roots.dev.join(&device.name).exists()) {
            return Ok(device);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            bail!("no disk appeared at {identity}");
        }
        if wait_readable(&socket, left.min(LOOK))? {
            // Which device it was is seen in sysfs.
            buffer.clear();
            let _ = socket.recv(&mut buffer, 0);
        }
    }
}
