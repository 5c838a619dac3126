//! The address type: its text form both ways.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::DialError;

/// The port of the service name `9fs` (IANA: 564/tcp, `9pfs`).
pub const SERVICE_PORT: u16 = 564;

/// The longest host or user name, in bytes (a DNS name has at most 253, RFC 1035 2.3.4).
const NAME_MAX: usize = 255;

/// Where a file server is. `Display` gives the dial string back, the port as a number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// `unix!path`: a unix stream socket. The path may hold `!`.
    Unix(PathBuf),
    /// `tcp!host!port`: host is a name or an IP literal, port a number or `9fs`.
    Tcp {
        /// Host name, IPv4 or IPv6 literal (without brackets).
        host: String,
        /// Port; 0 lets the system choose one when listening.
        port: u16,
    },
    /// `tls!host!port`: like `tcp`, encrypted.
    Tls {
        /// Host name, IPv4 or IPv6 literal (without brackets).
        host: String,
        /// Port.
        port: u16,
    },
    /// `ssh!host` or `ssh!user@host`: a program on that machine, reached by ssh.
    Ssh {
        /// Whom to be there; none leaves it to ssh.
        user: Option<String>,
        /// Host as ssh understands it.
        host: String,
    },
}

impl FromStr for Address {
    type Err = DialError;

    fn from_str(text: &str) -> Result<Self, DialError> {
        parse(text).map_err(|why| DialError::Syntax(text.to_owned(), why))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix!{}", path.display()),
            Self::Tcp { host, port } => write!(f, "tcp!{host}!{port}"),
            Self::Tls { host, port } => write!(f, "tls!{host}!{port}"),
            Self::Ssh { user: Some(user), host } => write!(f, "ssh!{user}@{host}"),
            Self::Ssh { user: None, host } => write!(f, "ssh!{host}"),
        }
    }
}

fn parse(text: &str) -> Result<Address, &'static str> {
    let (network, rest) =
        text.split_once('!').ok_or("want network!address, like unix!/path or tcp!host!port")?;
    match network {
        "unix" if rest.is_empty() => Err("the path is empty"),
        "unix" if rest.contains('\0') => Err("the path holds a NUL"),
        "unix" => Ok(Address::Unix(PathBuf::from(rest))),
        "tcp" => host_port(rest).map(|(host, port)| Address::Tcp { host, port }),
        "tls" => host_port(rest).map(|(host, port)| Address::Tls { host, port }),
        "ssh" => ssh(rest),
        _ => Err("the network is none of unix, tcp, tls, ssh"),
    }
}

fn host_port(rest: &str) -> Result<(String, u16), &'static str> {
    let (host, port) = rest.split_once('!').ok_or("want host!port")?;
    let host = name(host)?;
    let port = match port {
        "9fs" => SERVICE_PORT,
        // `+80` is a number to Rust, not to anybody else.
        digits if !digits.bytes().all(|b| b.is_ascii_digit()) => {
            return Err("the port is neither a number nor 9fs");
        }
        digits => digits.parse().map_err(|_| "the port is not within 0 and 65535")?,
    };
    Ok((host, port))
}

fn ssh(rest: &str) -> Result<Address, &'static str> {
    match rest.rsplit_once('@') {
        Some((user, host)) => Ok(Address::Ssh { user: Some(name(user)?), host: name(host)? }),
        None => Ok(Address::Ssh { user: None, host: name(rest)? }),
    }
}

/// A host or a user that may stand on a command line: one that begins with `-` would be read as
/// an option by ssh.
fn name(text: &str) -> Result<String, &'static str> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '!';
    if text.is_empty() {
        Err("a name is empty")
    } else if text.len() > NAME_MAX {
        Err("a name is longer than 255 bytes")
    } else if text.starts_with('-') || text.contains(odd) {
        Err("a name begins with - or holds a blank, a control character or !")
    } else {
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: &str) {
        let got = match text.parse::<Address>() {
            Ok(address) => {
                let shown = address.to_string();
                assert_eq!(shown.parse::<Address>().unwrap(), address, "{shown} reads back");
                shown
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(got, want, "of {text:?}");
    }

    #[test]
    fn dial_strings_read_and_print_alike() {
        check("unix!/run/deploy/deploy.sock", "unix!/run/deploy/deploy.sock");
        check("unix!/a!b", "unix!/a!b");
        check("tcp!localhost!564", "tcp!localhost!564");
        check("tcp!localhost!9fs", "tcp!localhost!564");
        check("tcp!::1!5640", "tcp!::1!5640");
        check("tls!deploy.example!8443", "tls!deploy.example!8443");
        check("ssh!box", "ssh!box");
        check("ssh!root@box", "ssh!root@box");
    }

    #[test]
    fn a_wrong_dial_string_is_refused_with_the_reason() {
        check(
            "/run/x",
            r#"bad address "/run/x": want network!address, like unix!/path or tcp!host!port"#,
        );
        check("unix!", r#"bad address "unix!": the path is empty"#);
        check("tcp!box", r#"bad address "tcp!box": want host!port"#);
        check("tcp!!1", r#"bad address "tcp!!1": a name is empty"#);
        check("tcp!a!b", r#"bad address "tcp!a!b": the port is neither a number nor 9fs"#);
        check("tcp!a!+1", r#"bad address "tcp!a!+1": the port is neither a number nor 9fs"#);
        check("tcp!a!", r#"bad address "tcp!a!": the port is not within 0 and 65535"#);
        check("tcp!a!65536", r#"bad address "tcp!a!65536": the port is not within 0 and 65535"#);
        check("il!a!1", r#"bad address "il!a!1": the network is none of unix, tcp, tls, ssh"#);
        let odd = "a name begins with - or holds a blank, a control character or !";
        let option = "ssh!-oProxyCommand=x";
        check(option, &format!("bad address {option:?}: {odd}"));
        let user = "ssh!-l@box";
        check(user, &format!("bad address {user:?}: {odd}"));
    }
}
