//! Real memory images: the memory of a stopped machine, and what its files held.
//!
//! # The story
//! `cargo xtask images` boots a stock kernel in a machine whose memory is a file. In it,
//! `baton-scene` ([`scene`]) makes files of every kind, leaves them unwritten in the page cache,
//! and lists them as a program sees them ([`manifest`]). `baton describe` writes what the 2nd OS
//! would find in the handoff region. Then the machine stops, mid-instruction, and its memory is
//! kept. From then on the migrator runs natively over it, as it would on the 2nd OS: the tests of
//! this crate compare what it finds with what the guest said.
//!
//! ```text
//! target/images/RELEASE/memory          the memory, sparse
//! target/images/RELEASE/ranges          which physical addresses are where in it ([`ranges`])
//! target/images/RELEASE/region          the handoff region: descriptor and file systems
//! target/images/RELEASE/manifest.jsonl  what the files held
//! target/images/RELEASE/stamp           what the image was made from
//! ```
//!
//! # Invariants
//! * The guest's listing does not come from the migrator, nor from anything it shares with it.
//! * A file that is not `clean` in the manifest has the blocks listed as dirty nowhere but in
//!   memory: by how it was made, not by what the kernel says of it.
//! * Memory is read-only here; faults are injected by an [`overlay::Overlay`].
//!
//! # Not for
//! Devices and time: nothing runs in an image. For those there are the machines of `xtask`.

pub mod image;
pub mod manifest;
pub mod memory;
pub mod overlay;
pub mod ranges;
pub mod region;
pub mod scene;
pub mod sink;
pub mod speed;
