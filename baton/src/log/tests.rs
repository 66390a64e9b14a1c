//! Frames as defmt makes them, in rings as the module leaves them.

use super::*;

fn table() -> Table {
    Table::of(
        "{=u64}",
        &[
            (2, "info", "stop {=u64}: taken"),
            (3, "warn", "seed={0=u32:#x} good={1=bool} {2=str} {0=u32}"),
            (4, "error", "failed: {=?}"),
            (5, "derived", "Io({=i32})|Gone"),
            (6, "debug", "flags {0=0..4}"),
            (7, "info", "{=__internal_Display}!"),
            (8, "info", "{=[u8]} {=[?]}"),
            (9, "derived", "<{=u8:02x}>"),
            (10, "str", "text"),
        ],
    )
}

fn raw(index: u16, tsc: u64, arguments: &[u8]) -> Vec<u8> {
    let mut bytes = index.to_le_bytes().to_vec();
    bytes.extend(tsc.to_le_bytes());
    bytes.extend(arguments);
    bytes
}

fn encoded(index: u16, tsc: u64, arguments: &[u8]) -> Vec<u8> {
    let mut bytes = rzcobs::encode(&raw(index, tsc, arguments));
    bytes.push(0);
    bytes
}

fn text_of_frame(index: u16, arguments: &[u8]) -> Option<String> {
    let frame = frame::decode(&table(), &raw(index, 1, arguments));
    frame.ok().map(|frame| frame.text)
}

#[test]
fn arguments_are_shown_as_the_format_says() {
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(text_of_frame(2, &7u64.to_le_bytes()), some("stop 7: taken"));
    let mut arguments = 0xbeefu32.to_le_bytes().to_vec();
    arguments.extend([1, 2, 0, 0, 0, b'o', b'k']);
    assert_eq!(
        text_of_frame(3, &arguments),
        some("seed=0xbeef good=true ok 48879")
    );
    assert_eq!(
        text_of_frame(4, &[5, 0, 0, 0xfb, 0xff, 0xff, 0xff]),
        some("failed: Io(-5)")
    );
    assert_eq!(text_of_frame(4, &[5, 0, 1]), some("failed: Gone"));
    assert_eq!(text_of_frame(7, b"now\xff"), some("now!"));
    assert_eq!(
        text_of_frame(8, &[1, 0, 0, 0, 0xab, 2, 0, 0, 0, 9, 0, 1, 0xff]),
        some("[ab] [<01>, <ff>]")
    );
    assert_eq!(
        text_of_frame(6, &[3]),
        some("flags {0=0..4} (arguments not decoded)")
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    for (index, arguments) in [
        (2, &[1, 2][..]),
        (2, &[0, 0, 0, 0, 0, 0, 0, 0, 1]),
        (2, &[0; 15]),
        (99, &[]),
        (10, &[]),
        (3, &[0, 0, 0, 0, 2]),
        (4, &[5, 0, 9]),
        (4, &[4, 0]),
    ] {
        assert_eq!(text_of_frame(index, arguments), None, "{index}");
    }
}

#[test]
fn a_ring_that_was_never_full_is_read_from_its_start() {
    let mut content = encoded(2, 1000, &1u64.to_le_bytes());
    content.extend(encoded(4, 2000, &[5, 0, 1]));
    let unfinished = encoded(2, 3000, &2u64.to_le_bytes());
    content.extend(&unfinished[..3]);
    let head = content.len() as u64;
    content.resize(512, 0xaa);
    let bytes = newest(&content, head, head);
    assert!(bytes.complete);
    let decoded = decode(&table(), &bytes, "1st");
    assert_eq!(decoded.bad, 0);
    assert_eq!(decoded.lines.len(), 2);
    assert_eq!(decoded.lines[1].level, "error");
    let line = text(&decoded.lines[0], 500, 1);
    assert!(line
        .trim_start()
        .starts_with("500.000  1st   info   stop 1"));
}

#[test]
fn wherever_a_full_ring_was_cut_only_whole_frames_are_shown() {
    let mut stream = Vec::new();
    for number in 0..200u64 {
        stream.extend(encoded(2, number, &number.to_le_bytes()));
    }
    let capacity = 300usize;
    for end in capacity..stream.len() {
        let mut raw = vec![0; capacity];
        for number in end - capacity..end {
            raw[number % capacity] = stream[number];
        }
        let bytes = newest(&raw, end as u64, end as u64);
        let decoded = decode(&table(), &bytes, "2nd");
        assert_eq!(decoded.bad, 0, "{end}");
        assert!(decoded.lines.len() > 10);
        for pair in decoded.lines.windows(2) {
            assert_eq!(pair[0].tsc + 1, pair[1].tsc);
        }
    }
}

#[test]
fn what_was_overwritten_while_it_was_read_is_left_out() {
    let raw: Vec<u8> = (0..=255).collect();
    let quiet = newest(&raw, 256, 256);
    assert_eq!(quiet.content.len(), 256);
    let busy = newest(&raw, 256, 266);
    assert!(!busy.complete);
    assert_eq!(busy.content.first(), Some(&(10 + 64)));
    assert!(newest(&raw, 256, 10_000).content.is_empty());
    assert!(newest(&[], 5, 5).content.is_empty());
}

#[test]
fn the_table_of_a_module_of_this_build() {
    assert!(Table::parse(b"no ELF").is_err());
    // Only where the module was built before.
    let pattern = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/module/*/baton.ko");
    for path in glob::glob(pattern).unwrap().flatten() {
        let table = Table::parse(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(table.timestamp(), Some("{=u64}"));
        let messages = (1..200).filter_map(|index| table.get(index)?.level());
        assert!(messages.count() > 5);
    }
}
