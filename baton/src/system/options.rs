//! Mount options: what mountinfo shows, as what mounting takes.

use rustix::mount::MountFlags;

/// `MS_NOSYMFOLLOW`, from Linux 5.10 on.
const NOSYMFOLLOW: MountFlags = MountFlags::from_bits_retain(256);

/// Translates the options of a mount (the sixth field of mountinfo) into flags. What belongs to
/// the file system is not among them.
#[must_use]
pub fn mount_flags(options: &str) -> MountFlags {
    let mut flags = MountFlags::empty();
    // What is not said is the strict form: neither noatime nor relatime.
    let mut atime = MountFlags::STRICTATIME;
    for option in options.split(',') {
        match option {
            "ro" => flags |= MountFlags::RDONLY,
            "nosuid" => flags |= MountFlags::NOSUID,
            "nodev" => flags |= MountFlags::NODEV,
            "noexec" => flags |= MountFlags::NOEXEC,
            "nodiratime" => flags |= MountFlags::NODIRATIME,
            "nosymfollow" => flags |= NOSYMFOLLOW,
            "noatime" => atime = MountFlags::NOATIME,
            "relatime" => atime = MountFlags::RELATIME,
            _ => {}
        }
    }
    flags | atime
}

/// One option of a file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuperOption {
    /// Name.
    pub key: String,
    /// Value, if it has one.
    pub value: Option<String>,
}

impl SuperOption {
    /// As it is in an option string.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.value {
            Some(value) => format!("{}={value}", self.key),
            None => self.key.clone(),
        }
    }
}

/// Options of a file system (the last field of mountinfo) as a mount takes them: without those
/// that only say how it came out.
#[must_use]
pub fn super_options(fs_type: &str, options: &str) -> Vec<SuperOption> {
    let mut all: Vec<SuperOption> = split(options)
        .into_iter()
        .filter(|option| !option.is_empty())
        .map(|option| {
            let pair = option.split_once('=');
            let (key, value) = pair.map_or((option, None), |(key, value)| (key, Some(value)));
            SuperOption {
                key: key.to_owned(),
                value: value.map(str::to_owned),
            }
        })
        .filter(|option| !shown_only(fs_type, &option.key))
        .collect();
    if fs_type == "btrfs" {
        // Roots of mounts are told from the top of the file system.
        let value = Some("5".to_owned());
        let key = "subvolid".to_owned();
        all.push(SuperOption { key, value });
    }
    all
}

/// Shown, but not an option of a mount, or one that its bind mounts stand for.
fn shown_only(fs_type: &str, key: &str) -> bool {
    match (fs_type, key) {
        // SELinux: labels are kept; "rw" is what a mount is without "ro".
        (_, "seclabel" | "rw") => true,
        ("btrfs", "subvol" | "subvolid") => true,
        _ => false,
    }
}

/// Splits at commas that are not in quotes.
fn split(options: &str) -> Vec<&str> {
    let mut quoted = false;
    options
        .split(|c| {
            if c == '"' {
                quoted = !quoted;
            }
            c == ',' && !quoted
        })
        .collect()
}
