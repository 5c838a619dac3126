//! Pulling from the real registry.

#![allow(clippy::unwrap_used)] // all of it is tests

mod bench;

use std::fs;
use std::process::Command;

use bench::{Bench, Line, Registry};
use image::Error;

/// A registry with the two-layer image as `app:1`.
fn filled(bench: &Bench) -> Registry {
    let registry = Registry::start();
    registry.fill(&bench.umoci(), "two", "app:1", &[]);
    registry
}

/// The digests of the layers, from the manifest in the store.
fn layers(bench: &Bench, digest: &str) -> Vec<String> {
    let path = bench.path(&format!("store/blobs/sha256/{}", &digest[7..]));
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let layers = manifest["layers"].as_array().unwrap();
    layers.iter().map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_tag_is_pulled_and_its_digest_needs_no_registry_any_more() {
    let bench = Bench::new();
    let mut registry = filled(&bench);
    let reference = format!("{}/app:1", registry.host);
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let to = std::sync::Arc::clone(&told);
    let image =
        bench.store.pull(&reference, move |progress| to.lock().unwrap().push(progress)).await;
    let image = image.unwrap();
    assert_eq!(image.reference, reference);
    assert_eq!(image.layers.len(), 2);
    assert_eq!(image.config["config"]["Entrypoint"][0], "/bin/a");
    assert_eq!(fs::read_to_string(image.layers[0].join("a")).unwrap(), "one");
    assert_eq!(fs::read_to_string(image.layers[1].join("a")).unwrap(), "two");
    assert!(image.bytes > 256_000);
    let last = told.lock().unwrap().last().cloned().unwrap();
    assert!(last.done == last.total && last.total > 256_000, "{last:?}");

    registry.end();
    let pinned = format!("{}/app@{}", registry.host, image.digest);
    assert_eq!(bench.pull(&pinned).await.unwrap().layers, image.layers);
    let both = format!("{reference}@{}", image.digest);
    assert_eq!(bench.pull(&both).await.unwrap().layers, image.layers);
    assert_eq!(bench.store.get(&reference).unwrap().unwrap(), image);
    assert_eq!(bench.store.get(&image.digest).unwrap().unwrap().layers, image.layers);
    // A tag may have moved, so it is asked for; that nobody answers may pass.
    let error = bench.pull(&reference).await.unwrap_err();
    assert!(!error.permanent(), "{error}");
}

#[tokio::test]
async fn a_digest_is_pulled_and_a_tag_that_moved_gives_the_new_image() {
    let bench = Bench::new();
    let registry = filled(&bench);
    let reference = format!("{}/app:1", registry.host);
    let two = bench.pull(&reference).await.unwrap();
    registry.fill(&bench.path("layout"), "one", "app:1", &[]);
    let one = bench.pull(&reference).await.unwrap();
    assert_ne!(one.digest, two.digest);
    assert_eq!(one.layers, two.layers[..1]);
    let other = Bench::new();
    let pinned = format!("{}/app@{}", registry.host, two.digest);
    assert_eq!(other.pull(&pinned).await.unwrap().digest, two.digest);
}

#[tokio::test]
async fn what_is_not_there_is_a_permanent_error() {
    let bench = Bench::new();
    let registry = Registry::start();
    for reference in [format!("{}/app:1", registry.host), format!("{}/no/app", registry.host)] {
        let error = bench.pull(&reference).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }) && error.permanent(), "{error}");
        assert!(error.to_string().contains(&reference), "{error}");
    }
    assert!(bench.store.list().unwrap().is_empty());
}

#[tokio::test]
async fn changed_bytes_are_refused_and_nothing_is_left_half_there() {
    let bench = Bench::new();
    let registry = filled(&bench);
    let reference = format!("{}/app:1", registry.host);
    let digest = bench.pull(&reference).await.unwrap().digest;
    let layer = layers(&bench, &digest)[1].clone();
    let path = registry.blob(&layer);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();

    let other = Bench::new();
    let error = other.pull(&reference).await.unwrap_err();
    assert!(matches!(&error, Error::Digest { expected, .. } if *expected == layer), "{error}");
    assert!(error.permanent());
    assert!(other.store.get(&reference).unwrap().is_none());
    // The other layer may be on its way still, to be gone on with; the bad one is nowhere.
    for part in ["ingest", "blobs/sha256"] {
        assert!(!other.names(part).contains(&layer[7..].to_owned()), "{part}");
    }
}

#[tokio::test]
async fn a_pull_that_died_goes_on_where_it_ended() {
    let bench = Bench::new();
    let registry = filled(&bench);
    let reference = format!("{}/app:1", registry.host);
    let digest = bench.pull(&reference).await.unwrap().digest;
    let layer = layers(&bench, &digest)[0].clone();
    let bytes = fs::read(registry.blob(&layer)).unwrap();

    // Requests for the whole layer and for a part of it, all checks so far together.
    let check = async |have: &[u8], whole: usize, part: usize| {
        let other = Bench::new();
        fs::write(other.path(&format!("store/ingest/{}", &layer[7..])), have).unwrap();
        assert_eq!(other.pull(&reference).await.unwrap().digest, digest);
        assert!(other.names("ingest").is_empty());
        registry.assert_answers(206, &layer, part);
        registry.assert_answers(200, &layer, whole);
    };
    check(&bytes[..bytes.len() / 2], 1, 1).await;
    check(&bytes, 1, 1).await;
    // What was there is no part of it: it is fetched again from the first byte.
    check(&vec![7; bytes.len() / 2], 2, 2).await;
    check(&vec![7; bytes.len() + 1], 3, 2).await;
}

#[tokio::test]
async fn pulls_at_the_same_time_fetch_everything_once() {
    let bench = Bench::new();
    let registry = filled(&bench);
    let reference = format!("{}/app:1", registry.host);
    let (a, b, c) =
        tokio::join!(bench.pull(&reference), bench.pull(&reference), bench.pull(&reference));
    let digest = a.unwrap().digest;
    assert_eq!((&b.unwrap().digest, &c.unwrap().digest), (&digest, &digest));
    for layer in layers(&bench, &digest) {
        registry.assert_answers(200, &layer, 1);
    }
}

#[tokio::test]
async fn a_line_that_breaks_costs_nothing_but_time() {
    let bench = Bench::new();
    let registry = filled(&bench);
    let line = Line::to(&registry, 2, 100_000);
    let image = bench.pull(&format!("{}/app:1", line.host)).await.unwrap();
    let layer = layers(&bench, &image.digest)[0].clone();
    registry.assert_answers(200, &layer, 1);
    registry.assert_answers(206, &layer, 2);
}

#[tokio::test]
async fn a_pull_that_is_dropped_in_the_middle_can_be_made_again() {
    let bench = Bench::new();
    let registry = filled(&bench);
    let reference = format!("{}/app:1", registry.host);
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let (store, name) = (bench.store.clone(), reference.clone());
    let pull = tokio::spawn(async move {
        store.pull(&name, move |progress| tell.send(progress).unwrap_or(())).await
    });
    told.recv().await.unwrap();
    pull.abort();
    let _ = pull.await;
    assert_eq!(bench.pull(&reference).await.unwrap().layers.len(), 2);
}

/// The file of credentials is found through the environment, so the test is a process of its
/// own: it starts itself again with one.
#[tokio::test]
async fn a_registry_with_a_password_takes_the_right_one_only() {
    let Ok(host) = std::env::var("TEST_REGISTRY") else {
        let bench = Bench::new();
        let registry = Registry::with_password("me", "right");
        registry.fill(&bench.umoci(), "two", "app:1", &["--dest-creds", "me:right"]);
        for (auth, want) in [("bWU6cmlnaHQ=", "pulled"), ("bWU6d3Jvbmc=", "denied"), ("", "denied")]
        {
            let config = match auth {
                "" => "{}".to_owned(),
                auth => format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, registry.host),
            };
            fs::write(bench.path("config.json"), config).unwrap();
            let output = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "a_registry_with_a_password_takes_the_right_one_only"])
                .env("DOCKER_CONFIG", bench.dir.path())
                .env("TEST_REGISTRY", &registry.host)
                .env("TEST_WANT", want)
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success() && text.contains("1 passed"), "{want}: {text}");
        }
        return;
    };
    let pulled = Bench::new().pull(&format!("{host}/app:1")).await;
    match std::env::var("TEST_WANT").unwrap().as_str() {
        "pulled" => assert_eq!(pulled.unwrap().layers.len(), 2),
        _ => {
            let error = pulled.unwrap_err();
            assert!(matches!(error, Error::Denied { .. }) && error.permanent(), "{error}");
            assert!(error.to_string().contains("/config.json"), "{error}");
        }
    }
}
