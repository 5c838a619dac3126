//! What the dynamic loader reads of a program or library: who loads it, what it needs, and where
//! it says to look (System V ABI, chapter 5; ld.so(8)).

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::read::{ReadCache, ReadRef, StringTable};
use object::{Endianness, FileKind};

/// Directories or libraries one file may name; the longest known lists have some hundreds.
const NAMES_MAX: usize = 10_000;

/// One ELF file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Elf {
    /// The loader; none in a library or a static program.
    pub(super) interpreter: Option<PathBuf>,
    /// Names of libraries.
    pub(super) needed: Vec<String>,
    /// Directories by DT_RPATH and by DT_RUNPATH, `$ORIGIN` and all.
    pub(super) rpath: Vec<String>,
    pub(super) runpath: Vec<String>,
    /// Whether addresses have 64 bits, and for which machine: both must be the program's.
    pub(super) kind: (bool, u16),
}

/// Reads a file; an error says what is wrong with it.
pub(super) fn read(path: &Path) -> io::Result<Elf> {
    let cache = ReadCache::new(File::open(path)?);
    let bad = |e: object::Error| io::Error::new(io::ErrorKind::InvalidData, e.to_string());
    match FileKind::parse(&cache).map_err(bad)? {
        FileKind::Elf64 => parse::<FileHeader64<Endianness>, _>(&cache).map_err(bad),
        FileKind::Elf32 => parse::<FileHeader32<Endianness>, _>(&cache).map_err(bad),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "is no ELF file")),
    }
}

/// The number ELF has for the machine we are on; none for one we have no name of.
pub(super) fn machine() -> Option<u16> {
    match std::env::consts::ARCH {
        "x86_64" => Some(elf::EM_X86_64.0),
        "aarch64" => Some(elf::EM_AARCH64.0),
        "riscv64" => Some(elf::EM_RISCV.0),
        "s390x" => Some(elf::EM_S390.0),
        "powerpc64" => Some(elf::EM_PPC64.0),
        "arm" => Some(elf::EM_ARM.0),
        "x86" => Some(elf::EM_386.0),
        _ => None,
    }
}

/// OCI's name of an ELF machine.
pub(super) fn machine_name(kind: (bool, u16)) -> String {
    match elf::Machine(kind.1) {
        elf::EM_X86_64 => "linux/amd64".into(),
        elf::EM_AARCH64 => "linux/arm64".into(),
        elf::EM_RISCV => "linux/riscv64".into(),
        elf::EM_S390 => "linux/s390x".into(),
        elf::EM_PPC64 => "linux/ppc64".into(),
        elf::EM_ARM => "linux/arm".into(),
        elf::EM_386 => "linux/386".into(),
        other => format!("ELF machine {}", other.0),
    }
}

fn parse<'data, E, R>(data: R) -> object::Result<Elf>
where
    E: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    let header = E::parse(data)?;
    let endian = header.endian()?;
    let segments = header.program_headers(endian, data)?;
    let kind = (header.is_class_64(), header.e_machine(endian).0);
    let mut found = Elf { kind, ..Elf::default() };
    for segment in segments {
        if let Some(name) = segment.interpreter(endian, data)? {
            found.interpreter = Some(PathBuf::from(text(name)));
        }
        let Some(entries) = segment.dynamic(endian, data)? else { continue };
        let entries: Vec<(elf::DynamicTag, u64)> = entries
            .iter()
            .map(|entry| (entry.tag(endian), entry.val(endian)))
            .take_while(|(tag, _)| *tag != elf::DT_NULL)
            .collect();
        let value = |wanted| entries.iter().find(|(tag, _)| *tag == wanted).map(|(_, val)| *val);
        let Some(address) = value(elf::DT_STRTAB) else { continue };
        let Some(start) = offset::<E>(endian, segments, address) else { continue };
        let end = start.saturating_add(value(elf::DT_STRSZ).unwrap_or(0));
        let strings = StringTable::new(data, start, end);
        let string = |at: u64| {
            let at = u32::try_from(at).unwrap_or(u32::MAX);
            strings.get(at).map(text).unwrap_or_default()
        };
        for (tag, at) in entries.iter().take(NAMES_MAX) {
            let dirs = || string(*at).split(':').map(str::to_owned).collect::<Vec<_>>();
            match *tag {
                elf::DT_NEEDED => found.needed.push(string(*at)),
                elf::DT_RPATH => found.rpath = dirs(),
                elf::DT_RUNPATH => found.runpath = dirs(),
                _ => {}
            }
        }
    }
    Ok(found)
}

/// Where in the file the byte at an address is.
fn offset<E: FileHeader<Endian = Endianness>>(
    endian: Endianness,
    segments: &[E::ProgramHeader],
    address: u64,
) -> Option<u64> {
    segments.iter().filter(|s| s.p_type(endian) == elf::PT_LOAD).find_map(|segment| {
        let (start, size): (u64, u64) =
            (segment.p_vaddr(endian).into(), segment.p_filesz(endian).into());
        let within = address.checked_sub(start).filter(|within| *within < size)?;
        segment.p_offset(endian).into().checked_add(within)
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
