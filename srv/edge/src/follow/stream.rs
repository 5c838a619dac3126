//! Tables out of the stream `edges/<name>/routes`: each is its text and then a line `end
//! GENERATION`.

use super::glance;

/// Bytes of a table; what is longer is no table of ours.
const TABLE_BYTES_MAX: usize = 256 << 20;

/// What has come of a table that is not whole yet.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    bytes: Vec<u8>,
    /// Where the first line begins that was not looked at yet.
    line: usize,
    /// No newline is before this.
    seen: usize,
}

impl Tables {
    /// Takes what was read; gives the tables that are whole, the oldest first. An error is what
    /// is wrong with the stream, which cannot be read on.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<Vec<String>, String> {
        self.bytes.extend_from_slice(bytes);
        let mut whole = Vec::new();
        while let Some(at) = self.bytes[self.seen..].iter().position(|b| *b == b'\n') {
            let next = self.seen + at + 1;
            let end = self.bytes[self.line..next].strip_prefix(b"end ").map(|rest| {
                let number = str::from_utf8(rest).ok().and_then(|text| text.trim().parse().ok());
                number.ok_or_else(|| "a table ends without a generation".to_owned())
            });
            (self.line, self.seen) = match end {
                None => (next, next),
                Some(generation) => {
                    whole.push(self.table(self.line, next, generation?)?);
                    (0, 0)
                }
            };
        }
        self.seen = self.bytes.len();
        match self.bytes.len() > TABLE_BYTES_MAX {
            true => Err(format!("a table has more than {TABLE_BYTES_MAX} bytes")),
            false => Ok(whole),
        }
    }

    fn table(&mut self, line: usize, next: usize, generation: u64) -> Result<String, String> {
        let rest = self.bytes.split_off(next);
        let mut text = std::mem::replace(&mut self.bytes, rest);
        text.truncate(line);
        let text = String::from_utf8(text).map_err(|_| "a table is not UTF-8".to_owned())?;
        match glance::generation(&text) {
            Some(begun) if begun == generation => Ok(text),
            begun => {
                Err(format!("a table begins as generation {begun:?} and ends as {generation}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "generation 1\na / web -\nend 1\ngeneration 2\nend 2\ngener";

    #[test]
    fn tables_are_whole_however_their_bytes_come() {
        for step in 1..TWO.len() {
            let mut tables = Tables::default();
            let pieces = TWO.as_bytes().chunks(step);
            let got: Vec<String> = pieces.flat_map(|piece| tables.take(piece).unwrap()).collect();
            assert_eq!(got, ["generation 1\na / web -\n", "generation 2\n"], "{step}");
            assert_eq!(tables.bytes, b"gener");
        }
    }

    #[test]
    fn a_stream_that_makes_no_sense_is_not_read_on() {
        let check = |text: &str, why: &str| {
            assert!(Tables::default().take(text.as_bytes()).unwrap_err().contains(why), "{text}");
        };
        check("generation 1\nend 2\n", "ends as 2");
        check("generation 1\nend x\n", "without a generation");
        check("end 1\n", "begins as");
    }
}
