//! The words `deployfs` is started with; each also as `DEPLOYFS_*` in the environment.

use crate::web::Web;
use lexopt::{Arg, Parser, ValueExt};
use ninep::dial::Address;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Component, Path, PathBuf};
use thiserror::Error;

/// What a server needs to know to start.
#[derive(Debug, Clone)]
pub struct Config {
    /// `-D`: print every 9P message.
    pub transcript: bool,
    /// `-v`: tell more.
    pub verbose: bool,
    /// `-r`: where state is kept.
    pub state: PathBuf,
    /// `-s`: where clients are served.
    pub addresses: Vec<Address>,
    /// `-g`: who besides root may write.
    pub group: String,
    /// `--lock-force-after`: how old a deploy lock has to be to be taken by force, in seconds.
    pub lock_force_s: u64,
    /// `--net`: addresses for instances; absent: the node chooses.
    pub net: Option<String>,
    /// `--allow-host`: directories of the machine below which volumes may be.
    pub allow_host: Vec<String>,
    /// Where the machine's edge listens.
    pub edge: Edge,
    /// Where the HTTP door is; absent: there is none.
    pub web: Option<Web>,
}

/// Where the machine's edge listens; `-` for nowhere.
#[derive(Debug, Clone)]
pub struct Edge {
    /// Not `--no-edge`: there is one.
    pub runs: bool,
    /// `--http`.
    pub http: String,
    /// `--https`.
    pub https: String,
    /// `--certs`: where it finds certificates; absent: `certs` in the state directory.
    pub certs: Option<PathBuf>,
    /// `--acme`: the directory of who hands certificates out for the others; absent: nobody.
    pub acme: Option<String>,
    /// `--acme-contact`: where they may write to.
    pub acme_contact: Option<String>,
    /// `--acme-ca`: who vouches for them; absent: whom the machine trusts.
    pub acme_ca: Option<PathBuf>,
    /// `--trust`: networks of proxies in front of it, whose word about users holds.
    pub trust: Vec<String>,
    /// `--access-log`: where a line a request goes; absent: a file in the state directory.
    pub access_log: Option<String>,
    /// `--dns`; none for the bridge and the machine itself.
    pub dns: Vec<String>,
}

/// Where state is kept unless told otherwise.
pub const STATE: &str = "/var/lib/deploy";
/// Where clients are served unless told otherwise.
pub const ADDRESS: &str = "unix!/run/deploy/deploy.sock";
/// Who may write unless told otherwise.
pub const GROUP: &str = "deploy";

/// The age from which a deploy lock may be taken by force, unless told otherwise, in seconds.
const LOCK_FORCE_S: u64 = crate::lock::FORCE_MS / 1_000;
/// The longest time that a deploy lock can be made safe from force: a day, in seconds.
const LOCK_FORCE_S_MAX: u64 = 86_400;

/// The flags, one a row: short, long, the word it takes, the variable, what it means.
pub const FLAGS: &[(&str, &str, &str, &str, &str)] = &[
    ("-D", "", "", "DEPLOYFS_TRANSCRIPT", "print each 9P message in one line"),
    ("-v", "", "", "DEPLOYFS_VERBOSE", "tell more on stderr"),
    ("-r", "", "DIR", "DEPLOYFS_STATE", "state directory (/var/lib/deploy)"),
    (
        "-s",
        "",
        "ADDRESS",
        "DEPLOYFS_ADDRESS",
        "serve here; repeatable (unix!/run/deploy/deploy.sock)",
    ),
    ("-g", "", "GROUP", "DEPLOYFS_GROUP", "the group that may write (deploy)"),
    (
        "",
        "--lock-force-after",
        "SECONDS",
        "DEPLOYFS_LOCK_FORCE_AFTER",
        "the age from which a deploy lock may be taken by force (300)",
    ),
    ("", "--net", "CIDR", "DEPLOYFS_NET", "addresses for instances (10.89.0.0/16)"),
    (
        "",
        "--allow-host",
        "DIR",
        "DEPLOYFS_ALLOW_HOST",
        "volumes host:DIR may be there and below; repeatable (none)",
    ),
    ("", "--http", "ADDR", "DEPLOYFS_HTTP", "where the edge serves HTTP; - for nowhere (:80)"),
    ("", "--https", "ADDR", "DEPLOYFS_HTTPS", "where it serves HTTPS (:443)"),
    (
        "",
        "--certs",
        "DIR",
        "DEPLOYFS_CERTS",
        "its certificates, NAME.crt with NAME.key (state/certs)",
    ),
    ("", "--acme", "URL", "DEPLOYFS_ACME", "order missing certificates there; agrees to its terms"),
    ("", "--acme-contact", "MAIL", "DEPLOYFS_ACME_CONTACT", "where it may write to"),
    (
        "",
        "--acme-ca",
        "FILE",
        "DEPLOYFS_ACME_CA",
        "who vouches for it, in PEM (whom the machine trusts)",
    ),
    (
        "",
        "--dns",
        "ADDR",
        "DEPLOYFS_DNS",
        "where it answers for names; repeatable (bridge, where instances ask, and 127.0.0.1)",
    ),
    (
        "",
        "--trust",
        "NETWORK",
        "DEPLOYFS_TRUST",
        "proxies in front of it, whose X-Forwarded- fields hold; repeatable (none)",
    ),
    (
        "",
        "--access-log",
        "FILE",
        "DEPLOYFS_ACCESS_LOG",
        "its access log; - for standard output, or none (state/edge/access.log)",
    ),
    ("", "--no-edge", "", "DEPLOYFS_NO_EDGE", "run no edge on this machine"),
    (
        "",
        "--web",
        "ADDR",
        "DEPLOYFS_WEB",
        "serve the API and the page there, :8099 is loopback (-)",
    ),
    ("", "--web-token", "FILE", "DEPLOYFS_WEB_TOKEN", "whoever asks there shows what is in it"),
];

/// Why the words were not understood.
#[derive(Debug, Error)]
pub enum Error {
    /// A flag that is not in the table, or one without its word.
    #[error("{0}; deployfs help lists the flags")]
    Flag(#[from] lexopt::Error),
    /// A word that is no flag, and none of those that choose a program.
    #[error("unknown word {0:?}; deployfs help lists the words and flags")]
    Word(OsString),
    /// An address that is none.
    #[error("-s {0}: {1}")]
    Address(String, String),
    /// Proxies that are no networks.
    #[error("--trust {0}: say networks, as 192.0.2.0/24, with commas between them")]
    Trust(String),
    /// A place to listen that is none.
    #[error("{0} {1}: say HOST:PORT, :PORT, or - for nowhere")]
    Listen(&'static str, String),
    /// A door that others reach, and that nothing guards.
    #[error("{0}")]
    Web(String),
    /// An authority that cannot be asked, or whose certificates could not be used.
    #[error("{0}")]
    Acme(String),
    /// An age that is none.
    #[error("--lock-force-after {0}: say seconds, 0 to {LOCK_FORCE_S_MAX}")]
    Seconds(String),
    /// A range that no instances can be in.
    #[error("--net {0}: give a network of IPv4 and its length, 8 to 30, like 10.89.0.0/16")]
    Net(String),
    /// A path must not depend on where the server was started.
    #[error("{0} {1}: give an absolute path, without ..")]
    Relative(&'static str, PathBuf),
}

/// Reads the words after the program's name, over the environment, over the defaults.
///
/// # Errors
/// An unknown flag, a flag without its word, an address that does not parse.
pub fn parse(
    words: impl IntoIterator<Item = OsString>,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<Config, Error> {
    let text = |name: &str| env(name).and_then(|v| v.into_string().ok());
    let mut addresses = Vec::new();
    let mut door = (text("DEPLOYFS_WEB"), env("DEPLOYFS_WEB_TOKEN").map(PathBuf::from));
    let mut config = begun(&env)?;
    let mut words = Parser::from_args(words);
    while let Some(arg) = words.next()? {
        match arg {
            Arg::Short('D') => config.transcript = true,
            Arg::Short('v') => config.verbose = true,
            Arg::Short('r') => config.state = words.value()?.into(),
            Arg::Short('s') => addresses.push(words.value()?.string()?),
            Arg::Short('g') => config.group = words.value()?.string()?,
            Arg::Long("lock-force-after") => {
                config.lock_force_s = seconds(words.value()?.string()?)?
            }
            Arg::Long("net") => config.net = Some(words.value()?.string()?),
            Arg::Long("allow-host") => config.allow_host.push(words.value()?.string()?),
            Arg::Long("http") => config.edge.http = words.value()?.string()?,
            Arg::Long("https") => config.edge.https = words.value()?.string()?,
            Arg::Long("certs") => config.edge.certs = Some(words.value()?.into()),
            Arg::Long("acme") => config.edge.acme = Some(words.value()?.string()?),
            Arg::Long("acme-contact") => config.edge.acme_contact = Some(words.value()?.string()?),
            Arg::Long("acme-ca") => config.edge.acme_ca = Some(words.value()?.into()),
            Arg::Long("trust") => config.edge.trust.push(words.value()?.string()?),
            Arg::Long("access-log") => config.edge.access_log = Some(words.value()?.string()?),
            Arg::Long("dns") => config.edge.dns.push(words.value()?.string()?),
            Arg::Long("no-edge") => config.edge.runs = false,
            Arg::Long("web") => door.0 = Some(words.value()?.string()?),
            Arg::Long("web-token") => door.1 = Some(words.value()?.into()),
            Arg::Value(word) => return Err(Error::Word(word)),
            other @ (Arg::Short(_) | Arg::Long(_)) => return Err(other.unexpected().into()),
        }
    }
    if addresses.is_empty() {
        addresses = listed(&text("DEPLOYFS_ADDRESS").unwrap_or_else(|| ADDRESS.to_string()));
    }
    if config.allow_host.is_empty() {
        config.allow_host = listed(&text("DEPLOYFS_ALLOW_HOST").unwrap_or_default());
    }
    several(&mut config.edge, text);
    config.web = Web::read(door.0, door.1).map_err(Error::Web)?;
    for address in addresses {
        let parsed = address.parse::<Address>();
        config.addresses.push(parsed.map_err(|e| Error::Address(address, e.to_string()))?);
    }
    check(&config).map(|()| config)
}

/// Checks what can be told without looking.
fn check(config: &Config) -> Result<(), Error> {
    places(&config.edge)?;
    trust(&config.edge)?;
    acme(&config.edge)?;
    if let Some(net) = config.net.as_ref().filter(|net| !is_net(net)) {
        return Err(Error::Net(net.clone()));
    }
    absolute(config)
}

/// What the environment says, over the defaults.
fn begun(env: impl Fn(&str) -> Option<OsString>) -> Result<Config, Error> {
    let text = |name: &str| env(name).and_then(|v| v.into_string().ok());
    Ok(Config {
        transcript: env("DEPLOYFS_TRANSCRIPT").is_some(),
        verbose: env("DEPLOYFS_VERBOSE").is_some(),
        state: env("DEPLOYFS_STATE").unwrap_or_else(|| STATE.into()).into(),
        addresses: Vec::new(),
        group: text("DEPLOYFS_GROUP").unwrap_or_else(|| GROUP.to_string()),
        net: text("DEPLOYFS_NET"),
        allow_host: Vec::new(),
        lock_force_s: text("DEPLOYFS_LOCK_FORCE_AFTER").map_or(Ok(LOCK_FORCE_S), seconds)?,
        edge: Edge {
            runs: env("DEPLOYFS_NO_EDGE").is_none(),
            http: text("DEPLOYFS_HTTP").unwrap_or_else(|| ":80".to_string()),
            https: text("DEPLOYFS_HTTPS").unwrap_or_else(|| ":443".to_string()),
            certs: env("DEPLOYFS_CERTS").map(PathBuf::from),
            acme: text("DEPLOYFS_ACME"),
            acme_contact: text("DEPLOYFS_ACME_CONTACT"),
            acme_ca: env("DEPLOYFS_ACME_CA").map(PathBuf::from),
            trust: Vec::new(),
            access_log: text("DEPLOYFS_ACCESS_LOG"),
            dns: Vec::new(),
        },
        web: None,
    })
}

/// What may be said several times, and was not said, is what the environment says.
fn several(edge: &mut Edge, text: impl Fn(&str) -> Option<String>) {
    for (words, name) in [(&mut edge.dns, "DEPLOYFS_DNS"), (&mut edge.trust, "DEPLOYFS_TRUST")] {
        if words.is_empty() {
            *words = listed(&text(name).unwrap_or_default());
        }
    }
}

/// The words of a variable that may have several.
fn listed(text: &str) -> Vec<String> {
    text.split_whitespace().map(String::from).collect()
}

/// How old a deploy lock has to be to be taken by force.
fn seconds(text: String) -> Result<u64, Error> {
    let seconds = text.parse().ok().filter(|seconds| *seconds <= LOCK_FORCE_S_MAX);
    seconds.ok_or(Error::Seconds(text))
}

/// Checks that no path depends on where the server was started.
fn absolute(config: &Config) -> Result<(), Error> {
    let edge = &config.edge;
    let certs = edge.certs.iter().map(|dir| ("--certs", dir.as_path()));
    let ca = edge.acme_ca.iter().map(|file| ("--acme-ca", file.as_path()));
    let access = edge.access_log.as_deref().filter(|log| !["-", "none"].contains(log));
    let access = access.map(|log| ("--access-log", Path::new(log)));
    let token = config.web.iter().filter_map(|web| web.token.as_deref());
    let token = token.map(|file| ("--web-token", file));
    let state = [("-r", config.state.as_path())].into_iter().chain(token);
    let host = config.allow_host.iter().map(|dir| ("--allow-host", Path::new(dir)));
    let all = state.chain(certs).chain(ca).chain(access).chain(host);
    // One that climbs could not be compared with what a manifest says.
    let climbs = |path: &Path| path.components().any(|part| part == Component::ParentDir);
    match all.into_iter().find(|(_, path)| path.is_relative() || climbs(path)) {
        Some((flag, path)) => Err(Error::Relative(flag, path.to_owned())),
        None => Ok(()),
    }
}

/// Checks where the edge is to listen, as far as it can be told without looking.
fn places(edge: &Edge) -> Result<(), Error> {
    let web = [("--http", &edge.http), ("--https", &edge.https)];
    let dns = edge.dns.iter().map(|place| ("--dns", place));
    for (flag, place) in web.into_iter().chain(dns) {
        let port = place.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let bridge = place == crate::edge::BRIDGE;
        let address = flag == "--dns" && (bridge || place.parse::<IpAddr>().is_ok());
        if place != "-" && !port && !address {
            return Err(Error::Listen(flag, place.clone()));
        }
    }
    Ok(())
}

/// Checks that those who are to be believed are networks, as the edge does: it could only refuse
/// to start.
fn trust(edge: &Edge) -> Result<(), Error> {
    match edge.trust.iter().find(|words| !words.split(',').all(is_network)) {
        Some(words) => Err(Error::Trust(words.clone())),
        None => Ok(()),
    }
}

fn is_network(text: &str) -> bool {
    let (address, len) = text.split_once('/').map_or((text, None), |(ip, len)| (ip, Some(len)));
    let (all, most) = match address.parse() {
        Ok(IpAddr::V4(ip)) => (u128::from(ip.to_bits()) << 96, 32),
        Ok(IpAddr::V6(ip)) => (ip.to_bits(), 128),
        Err(_) => return false,
    };
    let len = len.map_or(Ok(most), str::parse::<u32>);
    len.is_ok_and(|len| len <= most && all.checked_shl(len).is_none_or(|rest| rest == 0))
}

/// Checks that certificates can be ordered where they are to be.
fn acme(edge: &Edge) -> Result<(), Error> {
    let Some(url) = &edge.acme else {
        let alone = edge.acme_contact.is_some() || edge.acme_ca.is_some();
        let why = "--acme-contact and --acme-ca: say from whom with --acme";
        return if alone { Err(Error::Acme(why.to_string())) } else { Ok(()) };
    };
    let host = url.strip_prefix("https://").and_then(|rest| rest.split('/').next());
    if host.is_none_or(|host| host.is_empty() || host.contains('@')) {
        return Err(Error::Acme(format!("--acme {url}: say https://HOST/PATH")));
    }
    if edge.runs && (edge.http == "-" || edge.https == "-") {
        let why = "certificates are proven over HTTP and served over HTTPS";
        return Err(Error::Acme(format!("--acme needs --http and --https: {why}")));
    }
    Ok(())
}

/// Whether the node will take it; a node that is not there yet could only refuse to start.
fn is_net(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let (Ok(address), Ok(bits)) = (address.parse::<Ipv4Addr>(), bits.parse::<u32>()) else {
        return false;
    };
    (8..=30).contains(&bits) && address.to_bits().trailing_zeros() >= 32 - bits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str, env: &[(&str, &str)]) -> Result<Config, Error> {
        let env: Vec<(String, OsString)> =
            env.iter().map(|(k, v)| ((*k).to_string(), OsString::from(*v))).collect();
        parse(line.split_whitespace().map(OsString::from), |name| {
            env.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone())
        })
    }

    #[test]
    fn without_words_the_defaults_of_the_manual_hold() {
        let config = words("", &[]).unwrap();
        assert_eq!(config.state, PathBuf::from(STATE));
        assert_eq!(config.addresses[0].to_string(), ADDRESS);
        assert_eq!((config.group.as_str(), config.lock_force_s), (GROUP, 300));
        assert!(!config.verbose && !config.transcript);
    }

    #[test]
    fn a_flag_is_stronger_than_the_environment() {
        let env = [("DEPLOYFS_STATE", "/e"), ("DEPLOYFS_ADDRESS", "unix!/e.sock")];
        let config = words("-r /f -s unix!/a -s tcp!127.0.0.1!5640", &env).unwrap();
        assert_eq!(config.state, PathBuf::from("/f"));
        assert_eq!(config.addresses.len(), 2);
        assert_eq!(words("", &env).unwrap().addresses[0].to_string(), "unix!/e.sock");
        let env = [("DEPLOYFS_LOCK_FORCE_AFTER", "60")];
        assert_eq!(words("", &env).unwrap().lock_force_s, 60);
        assert_eq!(words("--lock-force-after 0", &env).unwrap().lock_force_s, 0);
    }

    #[test]
    fn the_edge_listens_where_flags_and_then_the_environment_say() {
        let env = [("DEPLOYFS_HTTP", "127.0.0.1:81"), ("DEPLOYFS_DNS", "127.0.0.1:54 [::1]:54")];
        let edge = words("--https -", &env).unwrap().edge;
        assert_eq!((edge.http.as_str(), edge.https.as_str()), ("127.0.0.1:81", "-"));
        assert_eq!(edge.dns, ["127.0.0.1:54", "[::1]:54"]);
        let env = [("DEPLOYFS_TRUST", "192.0.2.0/24 fd00::/8")];
        assert_eq!(words("", &env).unwrap().edge.trust, ["192.0.2.0/24", "fd00::/8"]);
        assert_eq!(words("--trust 10.0.0.1", &env).unwrap().edge.trust, ["10.0.0.1"]);
        assert_eq!(edge.certs, None);
        let env_certs = [("DEPLOYFS_CERTS", "/e")];
        assert_eq!(words("", &env_certs).unwrap().edge.certs, Some(PathBuf::from("/e")));
        let edge = words("--certs /f", &env_certs).unwrap().edge;
        assert_eq!(edge.certs, Some(PathBuf::from("/f")));
        let env_log = [("DEPLOYFS_ACCESS_LOG", "/e")];
        let log = |line: &str, env| words(line, env).unwrap().edge.access_log;
        assert_eq!(log("", &env_log).as_deref(), Some("/e"));
        assert_eq!(log("--access-log none", &env_log).as_deref(), Some("none"));
        assert_eq!((log("--access-log -", &[]).as_deref(), log("", &[])), (Some("-"), None));
        let edge = words("--http :82 --dns -", &env).unwrap().edge;
        assert_eq!((edge.http.as_str(), edge.runs), (":82", true));
        assert_eq!(edge.dns, ["-"]);
        assert!(!words("--no-edge", &[]).unwrap().edge.runs);
        assert!(!words("", &[("DEPLOYFS_NO_EDGE", "1")]).unwrap().edge.runs);
    }

    #[test]
    fn certificates_are_ordered_from_whom_flags_and_then_the_environment_say() {
        let env = [("DEPLOYFS_ACME", "https://e/d"), ("DEPLOYFS_ACME_CA", "/e")];
        let edge = words("--acme-contact a@b", &env).unwrap().edge;
        assert_eq!((edge.acme.as_deref(), edge.acme_ca), (Some("https://e/d"), Some("/e".into())));
        assert_eq!(edge.acme_contact.as_deref(), Some("a@b"));
        let edge = words("--acme https://f/d --acme-ca /f", &env).unwrap().edge;
        assert_eq!((edge.acme.as_deref(), edge.acme_ca), (Some("https://f/d"), Some("/f".into())));
        assert_eq!(words("", &[]).unwrap().edge.acme, None);
    }

    #[test]
    fn a_range_for_instances_is_a_network_of_the_length_it_says() {
        for net in ["10.89.0.0/16", "10.0.0.4/30", "192.168.7.0/24", "11.0.0.0/8"] {
            assert_eq!(words(&format!("--net {net}"), &[]).unwrap().net.as_deref(), Some(net));
        }
    }

    #[test]
    fn an_unknown_flag_or_a_wrong_word_is_refused_by_name() {
        for (line, want) in [
            ("--fast", "invalid option '--fast'"),
            ("dwon", "unknown word \"dwon\"; deployfs help"),
            ("-r", "missing argument for option '-r'"),
            ("-r here", "-r here: give an absolute path"),
            ("--certs here", "--certs here: give an absolute path"),
            ("--access-log here", "--access-log here: give an absolute path"),
            ("--acme http://a/d", "--acme http://a/d: say https://"),
            ("--acme https:///d", "--acme https:///d: say https://"),
            ("--acme https://a/d --http -", "--acme needs --http and --https"),
            ("--acme-contact a@b", "--acme-contact and --acme-ca: say from whom"),
            ("--acme https://a/d --acme-ca c", "--acme-ca c: give an absolute path"),
            ("-s nowhere", "-s nowhere"),
            ("--web 0.0.0.0:80", "--web 0.0.0.0:80 is reached by others: give"),
            ("--web :80 --web-token t", "--web-token t: give an absolute path"),
            ("--http 80", "--http 80: say HOST:PORT"),
            ("--dns here", "--dns here: say HOST:PORT"),
            ("--trust 10.0.0.0/8,x", "--trust 10.0.0.0/8,x: say networks"),
            ("--trust 10.0.0.1/8", "--trust 10.0.0.1/8: say networks"),
            ("--trust 10.0.0.0/33", "--trust 10.0.0.0/33: say networks"),
            ("--lock-force-after soon", "--lock-force-after soon: say seconds, 0 to 86400"),
            ("--lock-force-after 86401", "--lock-force-after 86401: say seconds"),
            ("--net frob", "--net frob: give a network"),
            ("--net 10.0.0.0/4", "--net 10.0.0.0/4: give a network"),
            ("--net 10.0.0/16", "--net 10.0.0/16: give a network"),
            ("--net 10.232.0.5/16", "--net 10.232.0.5/16: give a network"),
        ] {
            let told = words(line, &[]).unwrap_err().to_string();
            assert!(told.starts_with(want), "{line}: {told}");
        }
    }
}
