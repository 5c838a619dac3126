//! Extended headers: what stands before an entry and overrides its fields (POSIX pax), and the
//! making of an [`Entry`] from both.

use tar::Header;

use super::{Broken, Entry, Kind, PATH_BYTES_MAX};

/// Key of an extended attribute: this and the attribute's name.
const XATTR_KEY: &[u8] = b"SCHILY.xattr.";
/// Keys of sparse files; read as plain ones they would get wrong bytes.
const SPARSE_KEY: &[u8] = b"GNU.sparse.";
/// The user and group number that means "do not change" to chown.
const NO_ID: u64 = u32::MAX as u64;
/// Seconds since 1970 a file may have at most: what ext4 can store (2446).
const MTIME_S_MAX: i64 = 15_032_385_535;

/// Fields that override those of the next header.
#[derive(Debug, Default)]
pub(crate) struct Extended {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<(i64, u32)>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Extended {
    /// Takes the records of a pax header: `<length> <key>=<value>\n`, the length counting all.
    pub(crate) fn read(&mut self, mut data: &[u8], name: &[u8]) -> Result<(), Broken> {
        while !data.is_empty() {
            let record = record(data).ok_or_else(|| Broken::entry(name, "bad pax record"))?;
            let (key, value) = record.1;
            self.take(key, value).map_err(|why| Broken::entry(name, why))?;
            data = &data[record.0..];
        }
        Ok(())
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let number = || {
            let text = std::str::from_utf8(value).ok();
            text.and_then(|text| text.parse::<u64>().ok())
                .ok_or_else(|| format!("bad pax {}", String::from_utf8_lossy(key)))
        };
        match key {
            b"path" | b"linkpath" if value.len() as u64 > PATH_BYTES_MAX => {
                let why = format!("a name of {} bytes, at most {PATH_BYTES_MAX}", value.len());
                return Err(why);
            }
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(number()?),
            b"uid" => self.uid = Some(number()?),
            b"gid" => self.gid = Some(number()?),
            b"mtime" => self.mtime = Some(mtime(value).ok_or("bad pax mtime")?),
            key if key.starts_with(SPARSE_KEY) => return Err("sparse files are not read".into()),
            key => {
                if let Some(name) = key.strip_prefix(XATTR_KEY) {
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }

    /// The entry of this header with the overrides.
    pub(crate) fn entry(self, header: &Header, kind: u8, size: u64) -> Result<Entry, Broken> {
        let path = self.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let bad = |field: &str| Broken::entry(&path, format!("bad {field} field"));
        let directory = path.ends_with(b"/");
        let kind = match kind {
            // Before POSIX a directory was a file with a slash at its end.
            0 | b'0' | b'7' if directory => Kind::Directory,
            0 | b'0' | b'7' => Kind::File,
            b'1' => Kind::Hardlink,
            b'2' => Kind::Symlink,
            b'3' | b'4' => Kind::Device,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            b'S' => return Err(Broken::entry(&path, "sparse files are not read")),
            other => {
                let why = format!("entry type {:?} is not known", char::from(other));
                return Err(Broken::entry(&path, why));
            }
        };
        let id = |own: Option<u64>, field: &[u8], parsed: std::io::Result<u64>, name: &str| {
            let id = own.or_else(|| number(field, parsed)).ok_or_else(|| bad(name))?;
            match u32::try_from(id) {
                Ok(id) if u64::from(id) != NO_ID => Ok(id),
                _ => Err(Broken::entry(&path, format!("{name} {id} is out of range"))),
            }
        };
        let uid = id(self.uid, &header.as_old().uid, header.uid(), "uid")?;
        let gid = id(self.gid, &header.as_old().gid, header.gid(), "gid")?;
        let mode = number(&header.as_old().mode, header.mode().map(u64::from));
        let mode = u32::try_from(mode.ok_or_else(|| bad("mode"))? & 0o7777).unwrap_or(0);
        // A time that cannot be read or is before 1970 is 1970: it is not worth an image.
        let plain = || (i64::try_from(header.mtime().unwrap_or(0)).unwrap_or(0), 0);
        let (seconds, nanoseconds) = self.mtime.unwrap_or_else(plain);
        let mtime = (seconds.clamp(0, MTIME_S_MAX), nanoseconds);
        let header_link = || header.link_name_bytes().map(|link| link.into_owned());
        let link = self.link.or_else(header_link).unwrap_or_default();
        // Only files have data. A size elsewhere is a writer's left-over that Go's reader, and
        // with it every tool that makes images, takes for nothing; so the next header is here.
        let size = match kind {
            Kind::File => self.size.unwrap_or(size),
            Kind::Directory | Kind::Symlink | Kind::Hardlink | Kind::Fifo | Kind::Device => 0,
        };
        Ok(Entry { path, kind, mode, uid, gid, mtime, link, size, xattrs: self.xattrs })
    }
}

/// A number of a header; a field left blank is nought, as every reader has it.
pub(super) fn number(field: &[u8], parsed: std::io::Result<u64>) -> Option<u64> {
    let blank = field.iter().all(|b| *b == 0 || *b == b' ');
    if blank { Some(0) } else { parsed.ok() }
}

/// The length of the first record, its key and its value.
#[allow(clippy::type_complexity)] // one private caller
fn record(data: &[u8]) -> Option<(usize, (&[u8], &[u8]))> {
    let blank = data.iter().position(|b| *b == b' ')?;
    let length: usize = std::str::from_utf8(&data[..blank]).ok()?.parse().ok()?;
    let record = data.get(blank + 1..length)?;
    let record = record.strip_suffix(b"\n")?;
    let equals = record.iter().position(|b| *b == b'=')?;
    Some((length, (&record[..equals], &record[equals + 1..])))
}

/// `seconds[.fraction]`, possibly negative.
fn mtime(value: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(value).ok()?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = seconds.parse().ok()?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanoseconds = format!("{fraction:0<9}");
    Some((seconds, nanoseconds.get(..9)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pax_records_are_read_or_refused() {
        let check = |data: &str, good: bool| {
            let read = Extended::default().read(data.as_bytes(), b"x");
            assert_eq!(read.is_ok(), good, "{data:?}: {read:?}");
        };
        check("9 path=a\n", true);
        check("9 path=a\n13 mtime=1.5\n", true);
        check("9 path=a", false);
        check("99 path=a\n", false);
        check("0 path=a\n", false);
        check("x", false);
        check("9 path+a\n", false);
        check("9 size=x\n", false);
        check("22 GNU.sparse.major=1\n", false);
    }

    #[test]
    fn times_have_nanoseconds() {
        let check = |text: &str, want| assert_eq!(mtime(text.as_bytes()), want);
        check("12", Some((12, 0)));
        check("12.5", Some((12, 500_000_000)));
        check("12.0000000019", Some((12, 1)));
        check("-1.5", Some((-1, 500_000_000)));
        check("x", None);
        check("1.x", None);
    }
}
