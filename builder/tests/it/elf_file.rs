//! ELF files with sections, made here.

#![allow(dead_code, missing_docs, unreachable_pub, reason = "a fixture: each user needs a part of it")]

/// Size of the file's header, and of a section's.
const HEADER: usize = 64;

/// Returns a 64-bit ELF file of these sections, one after the other, with their names and headers at its end.
pub fn elf(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let mut names = b"\0".to_vec();
    let mut table = vec![[0u8; HEADER]];
    let mut file = vec![0; HEADER];
    let mut add = |file: &mut Vec<u8>, names: &mut Vec<u8>, name: &str, kind: u32, bytes: Option<&[u8]>| {
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(&(names.len() as u32).to_le_bytes());
        header[4..8].copy_from_slice(&kind.to_le_bytes());
        names.extend_from_slice(name.as_bytes());
        names.push(0);
        let bytes = bytes.map_or_else(|| names.clone(), <[u8]>::to_vec);
        file.resize(file.len().next_multiple_of(16), 0);
        header[24..32].copy_from_slice(&(file.len() as u64).to_le_bytes());
        header[32..40].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        file.extend_from_slice(&bytes);
        table.push(header);
    };
    for (name, bytes) in sections {
        add(&mut file, &mut names, name, 1, Some(bytes));
    }
    add(&mut file, &mut names, ".shstrtab", 3, None);
    file.resize(file.len().next_multiple_of(16), 0);
    let start = file.len() as u64;
    file.extend(table.iter().flatten());
    file[..16].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    file[16..20].copy_from_slice(&[3, 0, 62, 0]);
    file[40..48].copy_from_slice(&start.to_le_bytes());
    for (at, value) in [(52, HEADER), (54, 56), (58, HEADER), (60, table.len()), (62, table.len() - 1)] {
        file[at..at + 2].copy_from_slice(&(value as u16).to_le_bytes());
    }
    file
}

/// Returns where a section's bytes start.
pub fn place_of(file: &[u8], section: &str) -> usize {
    let layout = tarsia::elf::layout(file).unwrap().unwrap();
    layout.sections.iter().find(|one| one.name == section).unwrap().offset as usize
}
