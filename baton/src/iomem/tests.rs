use super::*;

/// Ranges as pairs.
fn pairs(ranges: Vec<Range<u64>>) -> Vec<(u64, u64)> {
    ranges.into_iter().map(|r| (r.start, r.end)).collect()
}

const V6_1: &str = "\
00000000-00000fff : Reserved
00001000-0009fbff : System RAM
0009fc00-0009ffff : Reserved
000a0000-000bffff : PCI Bus 0000:00
000f0000-000fffff : Reserved
  000f0000-000fffff : System ROM
00100000-3fffffff : System RAM
  01000000-01e02446 : Kernel code
40000000-5fffffff : Reserved
60000000-7ffdefff : System RAM
7ffdf000-7fffffff : Reserved
80000000-afffffff : PCI Bus 0000:00
b0000000-bfffffff : PCI MMCONFIG 0000 [bus 00-ff]
  b0000000-bfffffff : Reserved
    b0000000-bfffffff : pnp 00:04
c0000000-febfffff : PCI Bus 0000:00
  febd5000-febd5fff : 0000:00:02.0
fec00000-fec003ff : IOAPIC 0
100000000-17fffffff : System RAM
";

const V6_18: &str = "\
00000000-00000fff : Reserved
00001000-0009fbff : System RAM
00100000-bfffffff : System RAM
  01000000-0220bb07 : Kernel code
eec00000-febfffff : Reserved
  eec00000-eecfffff : PCI ECAM 0000 [bus 00-00]
    eec00000-eecfffff : PCI Bus 0000:00
f0000000-f3ffffff : PCI ECAM 0001 [bus 40-7f]
100000000-63fffffff : System RAM
640000000-73fffffff : abcdef01-virtio_mem
  640000000-6bfffffff : System RAM (virtio_mem)
4000000000-7fffffffff : PCI Bus 0000:00
";

#[test]
fn ram_is_found_and_joined() {
    let map = parse(V6_1).unwrap();
    assert_eq!(
        map.system_ram(),
        [
            0x1000..0x9fc00,
            0x10_0000..0x4000_0000,
            0x6000_0000..0x7ffd_f000,
            0x1_0000_0000..0x1_8000_0000,
        ]
    );
    assert_eq!(pairs(map.low_ram()), [(0x1000, 0x9fc00)]);
    assert_eq!(map.resources()[7].depth, 1);
    assert_eq!(map.named("IOAPIC 0").count(), 1);
    let added = parse(V6_18).unwrap().system_ram();
    assert_eq!(added.last(), Some(&(0x1_0000_0000..0x6_c000_0000)));
    let low = parse("00000000-3fffffff : System RAM\n").unwrap();
    assert_eq!(pairs(low.low_ram()), [(0, 0x10_0000)]);
}

#[test]
fn reserved_ranges_are_told_from_ram() {
    let map = parse(V6_1).unwrap();
    assert!(map.is_reserved(&(0x4000_0000..0x6000_0000)));
    assert!(map.is_reserved(&(0x4800_0000..0x5000_0000)));
    assert!(!map.is_reserved(&(0x4000_0000..0x6000_1000)));
    assert!(!map.is_reserved(&(0x3fff_f000..0x4800_0000)));
    assert!(!map.is_reserved(&(0x2000_0000..0x2800_0000)));
    let old = parse("40000000-5fffffff : reserved\n").unwrap();
    assert!(old.is_reserved(&(0x4000_0000..0x6000_0000)));
    let nested = "40000000-5fffffff : Reserved\n  40000000-4fffffff : System RAM\n";
    assert!(!parse(nested)
        .unwrap()
        .is_reserved(&(0x4000_0000..0x5000_0000)));
}

#[test]
fn ecam_has_both_names() {
    let old = Ecam {
        segment: 0,
        bus_start: 0,
        bus_end: 0xff,
        base: 0xb000_0000,
        start: 0xb000_0000,
        size: 0x1000_0000,
    };
    assert_eq!(parse(V6_1).unwrap().ecam().unwrap(), [old]);
    let new = parse(V6_18).unwrap().ecam().unwrap();
    assert_eq!(
        (new[0].bus_end, new[0].base, new[0].size),
        (0, 0xeec0_0000, 0x10_0000)
    );
    assert_eq!(
        (new[1].segment, new[1].bus_start, new[1].bus_end),
        (1, 0x40, 0x7f)
    );
    assert_eq!((new[1].base, new[1].start), (0xec00_0000, 0xf000_0000));
    for bad in [
        "b0000000-b00fffff : PCI ECAM 0000 [bus 00-ff]",
        "b0000000-b00fffff : PCI ECAM 0000 [bus 01-00]",
        "b0000000-b00fffff : PCI ECAM 0000",
        "00100000-001fffff : PCI ECAM 0000 [bus 80-80]",
    ] {
        assert!(parse(bad).unwrap().ecam().is_err(), "{bad}");
    }
}

#[test]
fn hidden_addresses_and_nonsense_are_refused() {
    let hidden = "00000000-00000000 : System RAM\n  00000000-00000000 : Kernel code\n";
    assert!(parse(hidden)
        .unwrap_err()
        .to_string()
        .contains("run as root"));
    assert!(parse("").unwrap_err().to_string().contains("empty"));
    for bad in ["x", "0-1", "1-0 : a", "g-h : a", "1 : a"] {
        assert!(
            format!("{:#}", parse(bad).unwrap_err()).contains("cannot understand"),
            "{bad}"
        );
    }
}

#[test]
fn ports_are_the_same_format() {
    let map = parse("0000-0cf7 : PCI Bus 0000:00\n  0000-001f : dma1\n0cf8-0cff : PCI conf1\n");
    let map = map.unwrap();
    let windows: Vec<_> = map
        .named("PCI Bus 0000:00")
        .map(|r| (r.start, r.last))
        .collect();
    assert_eq!(windows, [(0, 0xcf7)]);
}

#[test]
fn this_machine_is_read() {
    for path in ["/proc/iomem", "/proc/ioports"] {
        match std::fs::read_to_string(path).ok().map(|text| parse(&text)) {
            Some(Ok(map)) => assert!(map.ecam().is_ok()),
            other => eprintln!("SKIPPED: {path}: {other:?}"),
        }
    }
}
