use super::*;
use std::io::Write;

fn compress(format: Format, bytes: &[u8]) -> Vec<u8> {
    match format {
        Format::Stored => bytes.to_vec(),
        Format::Zstd => zstd::stream::encode_all(bytes, 3).unwrap(),
        Format::Xz => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Format::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
    }
}

fn open(format: Format, bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, &'static str> {
    let mut output = Vec::new();
    decoder(format, bytes, limits)
        .map_err(|error| error.code())?
        .read_to_end(&mut output)
        .map(|_| output)
        .map_err(|error| Error::of(&error).expect("a decoder's error").code())
}

const COMPRESSED: [Format; 3] = [Format::Xz, Format::Zstd, Format::Gzip];

fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(1664525).wrapping_add(1013904223);
            (state >> 24) as u8
        })
        .collect()
}

#[test]
fn every_format_comes_back_and_is_known_by_its_head() {
    let plain = noise(300_000);
    for format in [Format::Xz, Format::Zstd, Format::Gzip, Format::Stored] {
        for plain in [&b""[..], &plain] {
            let packed = compress(format, plain);
            assert_eq!(open(format, &packed, &Limits::default()).as_deref(), Ok(plain), "{format:?}");
            assert_eq!(Format::sniff(&packed), format);
        }
    }
}

#[test]
fn a_stream_cut_anywhere_is_an_error() {
    let plain = noise(3000);
    for format in COMPRESSED {
        let packed = compress(format, &plain);
        for length in (1..packed.len()).step_by(7).chain([packed.len() - 1]) {
            let answer = open(format, &packed[..length], &Limits::default());
            assert_eq!(answer, Err("codec::truncated"), "{format:?} {length}");
        }
    }
}

#[test]
fn bytes_after_the_end_are_an_error() {
    for format in COMPRESSED {
        for junk in [&b"x"[..], b"\0\0\0\0", b"junk that is longer"] {
            let mut packed = compress(format, b"hello");
            packed.extend_from_slice(junk);
            let answer = open(format, &packed, &Limits::default());
            assert!(
                matches!(answer, Err("codec::trailing" | "codec::corrupt" | "codec::truncated")),
                "{format:?} {answer:?}"
            );
        }
    }
}

#[test]
fn streams_in_a_row_are_one_input_only_where_asked() {
    let together = Limits { concatenated: true, ..Limits::default() };
    for format in COMPRESSED {
        let packed = [compress(format, b"one"), compress(format, b"two")].concat();
        assert_eq!(open(format, &packed, &together).as_deref(), Ok(&b"onetwo"[..]), "{format:?}");
        let alone = open(format, &packed, &Limits::default());
        if format == Format::Zstd {
            assert_eq!(alone.as_deref(), Ok(&b"onetwo"[..]));
        } else {
            assert_eq!(alone, Err("codec::trailing"), "{format:?}");
        }
    }
}

#[test]
fn a_flipped_bit_is_found() {
    let plain = noise(3000);
    for format in [Format::Xz, Format::Gzip] {
        let mut packed = compress(format, &plain);
        let middle = packed.len() / 2;
        packed[middle] ^= 1;
        assert_eq!(open(format, &packed, &Limits::default()), Err("codec::corrupt"), "{format:?}");
    }
}

#[test]
fn output_and_ratio_are_bounded() {
    let zeros = vec![0; 40 << 20];
    for format in COMPRESSED {
        let packed = compress(format, &zeros);
        let few = Limits { max_output: 1000, ..Limits::default() };
        assert_eq!(open(format, &packed, &few).map(|_| ()), Err("codec::output"), "{format:?}");
        let ratio = Limits { max_ratio: 100, ..Limits::default() };
        assert_eq!(open(format, &packed, &ratio).map(|_| ()), Err("codec::ratio"), "{format:?}");
    }
}

#[test]
fn windows_are_read_from_the_headers_and_bounded() {
    let small = Limits { max_window: 1 << 20, ..Limits::default() };

    let options = liblzma::stream::LzmaOptions::new_preset(1).unwrap().dict_size(16 << 20).to_owned_filters();
    let stream = liblzma::stream::Stream::new_stream_encoder(&options, liblzma::stream::Check::Crc32).unwrap();
    let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    encoder.write_all(b"hello").unwrap();
    let packed = encoder.finish().unwrap();
    assert_eq!(memory(Format::Xz, &packed, &Limits::default()), (16 << 20) + DECODER_OVERHEAD);
    assert_eq!(open(Format::Xz, &packed, &small), Err("codec::window"));

    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(24).unwrap();
    encoder.write_all(b"hello").unwrap();
    let packed = encoder.finish().unwrap();
    assert_eq!(memory(Format::Zstd, &packed, &Limits::default()), (16 << 20) + DECODER_OVERHEAD);
    assert_eq!(open(Format::Zstd, &packed, &small), Err("codec::window"));
}

#[test]
fn xz_without_a_check_is_refused() {
    let stream = liblzma::stream::Stream::new_easy_encoder(1, liblzma::stream::Check::None).unwrap();
    let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    encoder.write_all(b"hello").unwrap();
    assert_eq!(open(Format::Xz, &encoder.finish().unwrap(), &Limits::default()), Err("codec::unchecked"));
}

trait Filtered {
    fn to_owned_filters(&self) -> liblzma::stream::Filters;
}

impl Filtered for liblzma::stream::LzmaOptions {
    fn to_owned_filters(&self) -> liblzma::stream::Filters {
        let mut filters = liblzma::stream::Filters::new();
        filters.lzma2(self);
        filters
    }
}
