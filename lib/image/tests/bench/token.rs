//! A token server as distribution's `spec/auth/token.md` and `jwt.md` have it: JSON web tokens
//! signed with a key whose certificate the registry knows.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use super::http::{Ask, Http, Reply};
use super::run;

/// How the registry calls itself.
pub const SERVICE: &str = "registry.test";
/// How the token server calls itself.
pub const ISSUER: &str = "tokens.test";
/// The user who may do everything, as it stands in a header and in `config.json`.
pub const USER: (&str, &str) = ("me:right", "bWU6cmlnaHQ=");

/// What it does with a request.
pub enum Rule {
    /// Signs what is asked for, for the user; others are refused.
    User,
    /// Signs what is asked for, for everybody; but not for a wrong password.
    Everybody,
    /// Signs a token with no rights.
    Nothing,
    /// As `Everybody`, valid from and until so many seconds from now.
    Valid(i64, i64),
    /// Says this.
    Say(Reply),
}

/// The server.
pub struct Server {
    pub http: Http,
    key: Arc<Key>,
}

struct Key {
    dir: tempfile::TempDir,
    x5c: String,
}

impl Server {
    /// Starts one with a rule for each request, by how many came before.
    pub fn start(rule: impl Fn(usize, &Ask) -> Rule + Send + Sync + 'static) -> Self {
        let key = Arc::new(Key::make());
        // Its threads live as long as the process: they must not keep the key's directory.
        let with = Arc::downgrade(&key);
        let http = Http::serve(move |n, ask| match with.upgrade() {
            Some(key) => key.answer(ask, rule(n, ask)),
            None => Reply::new(503, None, "over"),
        });
        Self { http, key }
    }

    pub fn realm(&self) -> String {
        format!("http://{}/token", self.http.host)
    }

    pub fn certificate(&self) -> PathBuf {
        self.key.path("certificate.pem")
    }
}

impl Key {
    fn make() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let (key, certificate) = (path("key.pem"), path("certificate.pem"));
        let make = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-days"];
        let files = ["2", "-keyout", &key, "-out", &certificate];
        run("openssl", "openssl", &[&make[..], &files[..]].concat());
        let pem = fs::read_to_string(certificate).unwrap();
        let x5c = pem.lines().filter(|line| !line.starts_with('-')).collect();
        Self { dir, x5c }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn answer(&self, ask: &Ask, rule: Rule) -> Reply {
        let given = ask.authorization.as_deref();
        let user = given == Some(&format!("Basic {}", USER.1));
        let (let_in, from, until) = match rule {
            Rule::User => (user, -10, 300),
            Rule::Everybody => (user || given.is_none(), -10, 300),
            Rule::Nothing => return self.token(ask, "", -10, 300),
            Rule::Valid(from, until) => (user || given.is_none(), from, until),
            Rule::Say(reply) => return reply,
        };
        if ask.parameter("service") != Some(SERVICE) {
            return Reply::new(400, None, "another service");
        }
        match ask.parameter("scope").and_then(|scope| scope.strip_prefix("repository:app:")) {
            // Not a word: the status has to be enough.
            _ if !let_in => Reply::new(401, None, ""),
            Some(actions) => self.token(ask, actions, from, until),
            None => Reply::new(400, None, "another scope"),
        }
    }

    fn token(&self, ask: &Ask, actions: &str, from: i64, until: i64) -> Reply {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
        let actions: Vec<&str> = actions.split(',').filter(|action| !action.is_empty()).collect();
        let header = json!({"typ": "JWT", "alg": "RS256", "x5c": [self.x5c]});
        let claims = json!({
            "iss": ISSUER, "sub": "", "aud": SERVICE, "jti": format!("{:?}", ask.at),
            "iat": now, "nbf": now + from, "exp": now + until,
            "access": [{"type": "repository", "name": "app", "actions": actions}],
        });
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let signed = format!(
            "{}.{}",
            part(header.to_string().as_bytes()),
            part(claims.to_string().as_bytes())
        );
        let token = format!("{signed}.{}", part(&self.sign(&signed)));
        Reply::new(200, None, json!({"token": token}).to_string())
    }

    fn sign(&self, text: &str) -> Vec<u8> {
        // Many may ask at once.
        let dir = tempfile::tempdir_in(self.dir.path()).unwrap();
        let (from, to) = (dir.path().join("text"), dir.path().join("signature"));
        fs::write(&from, text).unwrap();
        let name = |path: &Path| path.to_str().unwrap().to_owned();
        let (key, from, to) = (name(&self.path("key.pem")), name(&from), name(&to));
        run("openssl", "openssl", &["dgst", "-sha256", "-sign", &key, "-out", &to, &from]);
        fs::read(to).unwrap()
    }
}

/// `user:password` as `config.json` has it, for one registry.
pub fn config(host: &str, user: &str) -> String {
    json!({"auths": {host: {"auth": STANDARD.encode(user)}}}).to_string()
}
