//! Reading fields out of a body, and the macro that makes a message enum from its table.

use super::Malformed;

/// What is left of a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Body<'a> {
    left: &'a [u8],
}

impl<'a> Body<'a> {
    pub(super) fn new(left: &'a [u8]) -> Self {
        Self { left }
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, left) = self.left.split_at_checked(count).ok_or(Malformed::Short)?;
        self.left = left;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (&taken, left) = self.left.split_first_chunk::<N>().ok_or(Malformed::Short)?;
        self.left = left;
        Ok(taken)
    }

    pub(super) fn left(&self) -> &'a [u8] {
        self.left
    }

    /// Nothing may follow the last field.
    pub(super) fn end(self) -> Result<(), Malformed> {
        match self.left.len() {
            0 => Ok(()),
            more => Err(Malformed::Trailing(more)),
        }
    }
}

/// Makes an enum of messages from a table of type number, name and fields: the variants, their
/// numbers, the codec and the readable line all come from the one row.
macro_rules! messages {
    ($(#[$meta:meta])* $name:ident $letter:literal
     { $( $number:literal $variant:ident { $( $field:ident : $type:ty ),* } )* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[allow(missing_docs, reason = "the names are those of the protocol's pages")]
        pub enum $name<'a> { $( $variant { $( $field: $type ),* } ),* }

        impl<'a> $name<'a> {
            /// The message's type number on the wire.
            #[must_use]
            pub fn number(&self) -> u8 {
                match self { $( Self::$variant { .. } => $number ),* }
            }

            /// The message's name as the protocol's pages spell it.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $( Self::$variant { .. } => {
                    const JOINED: &str = concat!($letter, stringify!($variant));
                    const LOWER: [u8; JOINED.len()] = super::show::lower(JOINED);
                    const NAME: &str = super::show::text(&LOWER);
                    NAME
                } ),* }
            }

            fn get(number: u8, body: &mut Body<'a>, dialect: Dialect) -> Result<Self, Malformed> {
                match number {
                    $( $number => Ok(Self::$variant {
                        $( $field: <$type as Field<'a>>::get(body, dialect)? ),*
                    }), )*
                    other => Err(Malformed::Type(other)),
                }
            }

            fn put(&self, out: &mut Vec<u8>, dialect: Dialect) {
                match self {
                    $( Self::$variant { $( $field ),* } => { $( $field.put(out, dialect); )* } )*
                }
                let _ = dialect;
            }

            /// Appends the whole message, size and all, to `out`. A name or a text longer than
            /// its 16-bit count can say is cut.
            pub fn encode(&self, tag: u16, dialect: Dialect, out: &mut Vec<u8>) {
                let start = out.len();
                out.extend_from_slice(&[0, 0, 0, 0, self.number()]);
                out.extend_from_slice(&tag.to_le_bytes());
                self.put(out, dialect);
                let size = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
                out[start..start + 4].copy_from_slice(&size.to_le_bytes());
            }
        }

        impl std::fmt::Display for $name<'_> {
            /// One readable line: the name, then each field's name and value.
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())?;
                match self {
                    $( Self::$variant { $( $field ),* } => {
                        $( write!(f, concat!(" ", stringify!($field), " "))?; $field.show(f)?; )*
                    } )*
                }
                Ok(())
            }
        }
    };
}

pub(super) use messages;
