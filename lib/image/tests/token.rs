//! Pulling from the real registry when it wants tokens of a server it names.

#![allow(clippy::unwrap_used)] // all of it is tests

mod bench;

use std::fs;
use std::process::Command;
use std::time::Duration;

use bench::http::{Ask, Http, Reply};
use bench::token::{Rule, Server, USER, config};
use bench::{Bench, Registry};

/// A token server whose rules begin after the image was brought in by the user, and its registry.
fn filled(rule: impl Fn(usize) -> Rule + Send + Sync + 'static) -> (Server, Registry, usize) {
    let before = std::sync::Arc::new(std::sync::OnceLock::<usize>::new());
    let begun = std::sync::Arc::clone(&before);
    let server = Server::start(move |n, _| match begun.get() {
        Some(before) => rule(n - before),
        None => Rule::User,
    });
    let registry = Registry::with_tokens(&server);
    let bench = Bench::new();
    registry.fill(&bench.umoci(), "two", "app:1", &["--dest-creds", USER.0]);
    let count = server.http.asks().len();
    assert!(count > 0, "the registry wants tokens");
    before.set(count).unwrap();
    (server, registry, count)
}

/// The file of credentials is found through the environment, so a pull with one is made by this
/// program started again. True in that one, which has done its work then.
async fn pulled_for_another() -> bool {
    let (Ok(reference), Ok(answer)) =
        (std::env::var("TEST_REFERENCE"), std::env::var("TEST_ANSWER"))
    else {
        return false;
    };
    let text = match Bench::new().pull(&reference).await {
        Ok(image) => format!("{} layers", image.layers.len()),
        Err(error) if error.permanent() => format!("permanent: {error}"),
        Err(error) => format!("passing: {error}"),
    };
    fs::write(answer, text).unwrap();
    true
}

/// What a pull of `app:1` with this `config.json` came to.
fn pull_with(test: &str, config: &str, host: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.json"), config).unwrap();
    let answer = dir.path().join("answer");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env("DOCKER_CONFIG", dir.path())
        .env("TEST_REFERENCE", format!("{host}/app:1"))
        .env("TEST_ANSWER", &answer)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    fs::read_to_string(answer).unwrap().replace(dir.path().to_str().unwrap(), "DIR")
}

#[tokio::test]
async fn everybody_pulls_what_the_token_server_lets_everybody_pull() {
    let (server, registry, before) = filled(|_| Rule::Everybody);
    let image = Bench::new().pull(&format!("{}/app:1", registry.host)).await.unwrap();
    assert_eq!(image.layers.len(), 2);
    let asks = &server.http.asks()[before..];
    assert_eq!(asks.len(), 1, "one token is enough: {asks:?}");
    assert_eq!(asks[0].parameter("scope"), Some("repository:app:pull"));
    assert_eq!(asks[0].authorization, None);
}

#[tokio::test]
async fn the_realm_is_shown_the_credentials_and_wrong_ones_are_told_once_and_clearly() {
    if pulled_for_another().await {
        return;
    }
    let test = "the_realm_is_shown_the_credentials_and_wrong_ones_are_told_once_and_clearly";
    let (server, registry, mut before) = filled(|_| Rule::User);
    let host = &registry.host;
    let mut check = |config: &str, sent: Option<&str>, want: &str| {
        assert_eq!(pull_with(test, config, host), want);
        let asks = server.http.asks()[before..].to_vec();
        before += asks.len();
        assert_eq!(asks.len(), 1, "{want}: {asks:?}");
        assert_eq!(asks[0].authorization.as_deref(), sent);
    };
    check(&config(host, USER.0), Some("Basic bWU6cmlnaHQ="), "2 layers");
    let refuses = format!("permanent: {host} refuses access to {host}/app:1");
    let wrong = "user 'me' or the password in DIR/config.json is wrong; correct the entry";
    check(&config(host, "me:wrong"), Some("Basic bWU6d3Jvbmc="), &format!("{refuses}: {wrong}"));
    let none = format!("it is not there, or wants an entry for {host} in DIR/config.json");
    check("{}", None, &format!("{refuses}: {none}"));
    check(&config("another.test", USER.0), None, &format!("{refuses}: {none}"));
}

#[tokio::test]
async fn a_user_without_the_right_to_pull_is_told_so() {
    if pulled_for_another().await {
        return;
    }
    let test = "a_user_without_the_right_to_pull_is_told_so";
    let (_server, registry, _) = filled(|_| Rule::Nothing);
    let host = &registry.host;
    let want = format!(
        "permanent: {host} refuses access to {host}/app:1: it is not there, or user 'me' of \
         DIR/config.json is not let in; correct the entry"
    );
    assert_eq!(pull_with(test, &config(host, USER.0), host), want);
}

#[tokio::test]
async fn credentials_go_to_the_realm_and_nowhere_else() {
    if pulled_for_another().await {
        return;
    }
    let test = "credentials_go_to_the_realm_and_nowhere_else";
    let other = std::sync::Arc::new(Http::serve(|_, _| Reply::new(401, None, "")));
    let there = std::sync::Arc::clone(&other);
    let realm = Http::serve(move |_, ask| {
        let location = format!("Location: http://{}{}", there.host, ask.path);
        Reply::new(307, Some(&location), "")
    });
    let challenge = format!("WWW-Authenticate: Bearer realm=\"http://{}/t\"", realm.host);
    let registry = Http::serve(move |_, _| Reply::new(401, Some(&challenge), ""));
    let answer = pull_with(test, &config(&registry.host, USER.0), &registry.host);
    assert!(answer.starts_with(&format!("permanent: {} refuses", registry.host)), "{answer}");
    let sent = |http: &Http| -> Vec<_> {
        http.asks().into_iter().map(|ask: Ask| ask.authorization).collect()
    };
    assert_eq!(sent(&realm), [Some(format!("Basic {}", USER.1))]);
    assert_eq!(sent(&other), [None]);
    assert_eq!(sent(&registry), [None]);
}

#[tokio::test]
async fn a_realm_without_tls_elsewhere_is_not_asked() {
    let challenge = "WWW-Authenticate: Bearer realm=\"http://tokens.invalid/t\"";
    let registry = Http::serve(move |_, _| Reply::new(401, Some(challenge), ""));
    let error = Bench::new().pull(&format!("{}/app:1", registry.host)).await.unwrap_err();
    assert!(error.permanent() && error.to_string().contains("without TLS"), "{error}");
}

#[tokio::test]
async fn a_token_that_is_not_good_any_more_is_renewed_in_the_middle_of_a_pull() {
    let check = async |rule: fn(usize) -> Rule, tokens: usize| {
        let (server, registry, before) = filled(rule);
        let image = Bench::new().pull(&format!("{}/app:1", registry.host)).await.unwrap();
        assert_eq!(image.layers.len(), 2);
        assert_eq!(server.http.asks().len() - before, tokens);
    };
    // Old by our clock when the first blob is asked for; the registry gives a minute.
    let old = |n: usize| if n == 0 { Rule::Valid(-10, -5) } else { Rule::Everybody };
    check(old, 2).await;
    // The same while the token server is down for a moment.
    let down = |n: usize| match n {
        0 => Rule::Valid(-10, -5),
        1 => Rule::Say(Reply::new(503, None, "")),
        _ => Rule::Everybody,
    };
    check(down, 3).await;
    // Good by our clock, and not by the registry's.
    let early = |n: usize| if n == 0 { Rule::Valid(3600, 7200) } else { Rule::Everybody };
    check(early, 2).await;
}

#[tokio::test]
async fn the_rest_a_server_asks_for_is_given_when_it_is_short() {
    let busy = |header| Rule::Say(Reply::new(429, Some(header), "slowly"));
    let (server, registry, before) = filled(move |n| match n {
        0 => busy("Retry-After: 1"),
        1 => Rule::Everybody,
        _ => busy("Retry-After: 3600"),
    });
    let reference = format!("{}/app:1", registry.host);
    assert_eq!(Bench::new().pull(&reference).await.unwrap().layers.len(), 2);
    let asks = server.http.asks();
    assert_eq!(asks.len(), before + 2);
    assert!(asks[before + 1].at - asks[before].at >= Duration::from_secs(1));
    // An hour is for whoever asked for the image.
    let error = Bench::new().pull(&reference).await.unwrap_err();
    assert!(!error.permanent(), "{error}");
    assert!(error.to_string().contains("429: slowly (it asks for 3600 s of rest)"), "{error}");
    assert_eq!(server.http.asks().len(), before + 3);
}

#[tokio::test]
async fn a_manifest_is_read_to_its_limit_only() {
    let registry = Http::serve(|_, ask| match ask.path.as_str() {
        "/v2/" => Reply::new(200, None, "{}"),
        _ => Reply::new(200, None, vec![b' '; 64 << 20]),
    });
    let error = Bench::new().pull(&format!("{}/app:1", registry.host)).await.unwrap_err();
    let text = error.to_string();
    assert!(error.permanent() && text.contains("more than 4194304 bytes"), "{text}");
}

#[tokio::test]
async fn a_password_is_shown_by_us_alone_and_not_when_a_token_is_renewed_unseen() {
    if pulled_for_another().await {
        return;
    }
    let test = "a_password_is_shown_by_us_alone_and_not_when_a_token_is_renewed_unseen";
    let old = |n: usize| if n == 0 { Rule::Valid(-10, -5) } else { Rule::Everybody };
    let (server, registry, before) = filled(old);
    let config = config(&registry.host, USER.0);
    assert_eq!(pull_with(test, &config, &registry.host), "2 layers");
    let asks = server.http.asks();
    let sent: Vec<_> = asks[before..].iter().map(|ask| ask.authorization.as_deref()).collect();
    assert_eq!(sent, [Some("Basic bWU6cmlnaHQ="), None]);
}
