use super::*;

const SETUP: usize = 512 * 4;
const LEN: usize = SETUP + 4096;

fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A small kernel image that has all there must be.
fn kernel() -> Vec<u8> {
    let mut file = vec![0; LEN];
    put(&mut file, 0, b"MZ");
    put(&mut file, 0x1f1, &[3]);
    put(&mut file, 0x1f4, &(4096u32 / 16).to_le_bytes());
    put(&mut file, 0x1fe, &[0x55, 0xaa, 0xeb, 0x6a]);
    put(&mut file, 0x202, b"HdrS");
    put(&mut file, 0x206, &0x20fu16.to_le_bytes());
    put(&mut file, 0x20e, &0x400u16.to_le_bytes());
    put(&mut file, 0x211, &[1]);
    put(&mut file, 0x22c, &0x7fff_ffffu32.to_le_bytes());
    put(&mut file, 0x230, &0x20_0000u32.to_le_bytes());
    put(&mut file, 0x234, &[1, 21]);
    put(&mut file, 0x236, &0x7fu16.to_le_bytes());
    put(&mut file, 0x238, &2047u32.to_le_bytes());
    put(&mut file, 0x248, &0x300u32.to_le_bytes());
    put(&mut file, 0x24c, &0x800u32.to_le_bytes());
    put(&mut file, 0x258, &0x100_0000u64.to_le_bytes());
    put(&mut file, 0x260, &0x300_0000u32.to_le_bytes());
    put(
        &mut file,
        0x600,
        b"6.1.0-56-cloud-amd64 (builder@host) #1 SMP\0",
    );
    file
}

fn changed(at: usize, bytes: &[u8]) -> Result<BzImage, Error> {
    let mut file = kernel();
    put(&mut file, at, bytes);
    parse(&file)
}

fn refused(at: usize, bytes: &[u8]) -> String {
    changed(at, bytes).unwrap_err().to_string()
}

#[test]
fn all_fields_are_read() {
    let image = parse(&kernel()).unwrap();
    assert_eq!(image.release, "6.1.0-56-cloud-amd64");
    assert_eq!(
        image.version_text,
        "6.1.0-56-cloud-amd64 (builder@host) #1 SMP"
    );
    assert_eq!(image.protocol, 0x20f);
    assert_eq!(image.setup_header, 0x1f1..0x26c);
    assert_eq!(image.image, SETUP..LEN);
    assert_eq!(image.payload, SETUP + 0x300..SETUP + 0xb00);
    assert_eq!(image.kernel_alignment, 0x20_0000);
    assert_eq!(image.init_size, 0x300_0000);
    assert_eq!(image.pref_address, 0x100_0000);
    assert_eq!(image.cmdline_size, 2047);
    assert_eq!(image.initrd_addr_max, 0x7fff_ffff);
    assert!(image.can_be_loaded_above_4g());
    assert!(image.accepts_five_levels() && image.runs_five_levels());
    let image = changed(0x236, &[1, 0]).unwrap();
    assert!(!image.can_be_loaded_above_4g());
    assert!(!image.accepts_five_levels() && !image.runs_five_levels());
}

#[test]
fn a_signature_behind_the_kernel_is_not_part_of_it() {
    let mut file = kernel();
    file.extend([0xff; 1472]);
    assert_eq!(parse(&file).unwrap().image, SETUP..LEN);
}

#[test]
fn no_setup_sectors_means_four() {
    let mut file = kernel();
    file.extend([0; 512]);
    put(&mut file, 0x1f1, &[0]);
    assert_eq!(parse(&file).unwrap().image, 5 * 512..LEN + 512);
}

#[test]
fn every_truncation_is_refused() {
    let file = kernel();
    for len in 0..file.len() {
        let error = parse(&file[..len]).unwrap_err();
        if len >= 0x264 {
            assert!(matches!(error, Error::Truncated { .. }), "{len}: {error}");
        }
    }
}

#[test]
fn no_byte_of_the_header_can_make_it_panic_or_leave_the_file() {
    let original = kernel();
    for at in (0..2).chain(0x1f0..0x290).chain(0x600..0x640) {
        for value in 0..=255 {
            let mut file = original.clone();
            file[at] = value;
            if let Ok(image) = parse(&file) {
                for range in [&image.setup_header, &image.image, &image.payload] {
                    assert!(!file[range.clone()].is_empty());
                }
                assert!(image.payload.start >= image.image.start);
                assert!(image.payload.end <= image.image.end);
            }
        }
    }
}

#[test]
fn unsuitable_kernels_are_refused_in_words() {
    assert!(refused(0x206, &[0x0b, 0x02]).contains("2.11"));
    assert!(refused(0x236, &[0x7e]).contains("64-bit"));
    assert!(refused(0x211, &[0]).contains("zImage"));
    assert!(refused(0x234, &[0]).contains("CONFIG_RELOCATABLE"));
    assert!(refused(0x230, &[0, 0, 0x30, 0]).contains("kernel_alignment"));
    assert!(refused(0x230, &[0, 0, 0, 0]).contains("kernel_alignment"));
    assert!(refused(0x260, &[0, 0, 0, 0]).contains("init_size"));
    assert!(refused(0x24c, &[0xff; 4]).contains("payload_length"));
    assert!(refused(0x248, &[0xff; 4]).contains("payload_length"));
    assert!(refused(0x1f4, &[0xff; 4]).contains("cut off"));
    assert!(refused(0x20e, &[0, 0]).contains("kernel_version"));
    assert!(refused(0x20e, &[0xff, 0xff]).contains("kernel_version"));
    assert!(refused(0x600, b"../6.1 ").contains("kernel_version"));
    assert!(refused(0x600, b"6.1\n ").contains("kernel_version"));
    assert!(refused(0x201, &[0xff]).contains("jump"));
    assert!(refused(0x1fe, &[0, 0]).contains("boot sector"));
}

#[test]
fn other_files_are_named() {
    let seems = |at: usize, start: &[u8], magic: &[u8]| {
        let mut file = vec![0; 0x1000];
        put(&mut file, 0, start);
        put(&mut file, at, magic);
        parse(&file).unwrap_err().to_string()
    };
    assert!(seems(4, b"MZ", b"zimg").contains("zboot"));
    assert!(seems(0x38, b"MZ", b"ARM\x64").contains("arm64"));
    assert!(seems(0x38, b"MZ", b"RSC\x05").contains("RISC-V"));
    assert!(seems(0x24, b"", &[0x18, 0x28, 0x6f, 1]).contains("32-bit ARM"));
    assert!(seems(0x80, b"MZ", b"PE").contains("unified kernel image"));
    assert!(seems(4, b"\x7fELF", b"").contains("vmlinux"));
    assert!(seems(4, &[0x1f, 0x8b], b"").contains("gzip"));
    assert!(seems(4, b"text", b"").contains("without a Linux setup header"));
    assert!(parse(b"").unwrap_err().to_string().contains("empty"));
}

/// The kernel images that `BATON_TEST_KERNELS` names, separated by colons.
#[test]
fn real_kernels_are_read() {
    let Ok(paths) = std::env::var("BATON_TEST_KERNELS") else {
        eprintln!("SKIPPED: BATON_TEST_KERNELS is not set");
        return;
    };
    for path in paths.split(':') {
        let image = parse(&std::fs::read(path).unwrap()).unwrap();
        assert!(path.contains(&image.release), "{path}: {image:?}");
        println!("{image:x?}");
    }
}
