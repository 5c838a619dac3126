//! The page, in a browser, through real updates: seen, pressed, and looked at by a screen reader's
//! rules.

use super::browser::Browser;
use super::{WITH_EDGE, deploy, opened, with_token};
use crate::rig::{Rig, bin};
use serde_json::{Value, json};
use std::path::PathBuf;
use tokio::sync::watch;

/// Where pictures are kept, if somebody wants to look at them.
fn pictures() -> Option<PathBuf> {
    std::env::var_os("DEPLOY_TESTS_PICTURES").map(PathBuf::from)
}

async fn picture(browser: &mut Browser, name: &str) {
    let Some(dir) = pictures() else { return };
    for (scheme, width) in [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)] {
        browser.window(width, 900, scheme).await;
        browser.picture(&dir.join(format!("{name}-{scheme}-{width}.png"))).await;
    }
    browser.window(1280, 900, "light").await;
}

/// A service whose answers can take a while, at a version.
fn shop(version: &str, health: &str) -> String {
    format!(
        "image target:1\nreplicas 3\nport 8080\ncpu 0.1\nmemory 64M\nhealth http {health}\n\
         health_deadline 3\nstop_timeout 2\nroute shop.test /\ndrain 10\n\
         env VERSION={version}\nenv START_MS=300\n"
    )
}

/// A server with that service at its first version, and where its door is.
async fn open() -> (Rig, String) {
    let rig = Rig::with(WITH_EDGE).await;
    let at = opened(&rig, 1).await;
    let program = bin("target");
    rig.deploy(&["push", "target:1", program.to_str().expect("UTF-8")]).await.fine();
    let told = deploy(&at, "web", &shop("1", "/health")).await;
    assert_eq!(told.last().expect("an end").name, "done", "{told:?}");
    (rig, at)
}

/// What is done all the time in the background, until told to end: how often.
async fn load(edge: String, mut ends: watch::Receiver<bool>) -> u32 {
    let mut asked = 0;
    while !*ends.borrow_and_update() {
        let said = crate::edge::ask(&edge, "shop.test").await;
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
        asked += 1;
    }
    asked
}

/// A request that takes four seconds.
async fn slow(edge: &str) -> String {
    let text = "GET /slow HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n";
    super::raw(edge, text.as_bytes()).await
}

/// Keeps, for whoever watches, every step that is drawn of every instance.
const WATCH: &str = "window.steps = {}; new MutationObserver(() => { \
    for (const lane of document.querySelectorAll('#lanes > li')) { \
    const all = window.steps[lane.dataset.id] ??= []; \
    if (all.at(-1) !== lane.dataset.state) all.push(lane.dataset.state); } }) \
    .observe(document.querySelector('#lanes'), {childList: true, subtree: true}), 0";

#[tokio::test(flavor = "multi_thread")]
async fn an_update_is_drawn_as_it_happens_and_taken_back_by_a_button() {
    let (rig, at) = open().await;
    let mut browser = Browser::start().await;
    browser.window(1280, 900, "light").await;
    browser.open(&format!("http://{at}/")).await;
    browser.until("document.querySelector('#list .name').textContent === 'web'").await;
    browser.until("document.querySelector('#link').textContent === 'connected'").await;
    browser.until("/Cores reserved/.test(document.querySelector('#nodes').textContent)").await;
    picture(&mut browser, "all").await;

    browser.eval("document.querySelector('#list a').click()").await;
    browser.until("document.querySelectorAll('#lanes > li').length === 3").await;
    browser.until(ALL_SERVE).await;
    browser.until("/deployed/.test(document.querySelector('#history tbody').textContent)").await;
    browser.eval(WATCH).await;
    update(&rig, &at, &mut browser).await;
    back(&rig, &mut browser).await;
    failed(&rig, &mut browser).await;
    assert_eq!(browser.complaints, Vec::<String>::new());
    let other = browser.requests.iter().find(|url| !url.starts_with(&format!("http://{at}/")));
    assert_eq!(other.filter(|url| *url != "about:blank"), None, "no other host is asked");
    browser.end().await;
    rig.end().await;
}

const ALL_SERVE: &str = "[...document.querySelectorAll('#lanes > li')]\
                         .every((lane) => lane.dataset.state === 'serving')";

/// An update under load, in which each old instance has something to drain.
async fn update(rig: &Rig, at: &str, browser: &mut Browser) {
    let edge = crate::edge::told(rig, "http").await;
    let (end, ends) = watch::channel(false);
    let loaded = tokio::spawn(load(edge.clone(), ends));
    let slow: Vec<_> = (0..3)
        .map(|_| {
            let edge = edge.clone();
            tokio::spawn(async move { slow(&edge).await })
        })
        .collect();
    browser
        .until("/[1-9]/.test(document.querySelector('#charts figcaption b')?.textContent)")
        .await;
    let told = tokio::spawn({
        let at = at.to_string();
        async move { deploy(&at, "web", &shop("2", "/health")).await }
    });
    browser.until("document.querySelector('#lanes .old[data-state=draining]')").await;
    browser.until("document.querySelector('#update progress')").await;
    picture(browser, "update").await;
    assert_eq!(told.await.expect("told").last().expect("an end").name, "done");
    for one in slow {
        assert!(one.await.expect("asked").starts_with("HTTP/1.1 200"));
    }
    browser.until("/done update v1→v2/.test(document.querySelector('#events').textContent)").await;
    browser.until("document.querySelectorAll('#lanes > li').length === 3").await;
    browser.until(ALL_SERVE).await;
    let steps = browser.eval("JSON.stringify(window.steps)").await;
    let steps: Value = serde_json::from_str(steps.as_str().expect("text")).expect("JSON");
    let of = |id: &str| steps[id].as_array().cloned().unwrap_or_default();
    let seen = |id: &str, step: &str| of(id).iter().any(|it| it == step);
    for id in ["web-3", "web-4", "web-5"] {
        assert_eq!(of(id).last(), Some(&json!("serving")), "{steps}");
        assert!(seen(id, "starting") || seen(id, "checking"), "{id}: {steps}");
    }
    let old = ["web-0", "web-1", "web-2"];
    assert!(old.iter().any(|id| seen(id, "draining")), "{steps}");
    browser.until("document.querySelector('#history tbody').rows.length === 2").await;
    browser.until("/v2/.test(document.querySelector('#facts').textContent)").await;
    // Each of the three figures is a line by now.
    browser
        .until("document.querySelectorAll('#charts figure path:last-child[d*=L]').length === 3")
        .await;
    picture(browser, "one").await;
    end.send_replace(true);
    assert!(loaded.await.expect("asked") > 0);
}

/// Back by the keyboard alone: the button, the question, yes.
async fn back(rig: &Rig, browser: &mut Browser) {
    browser.eval("document.querySelector('#history tbody button').focus()").await;
    browser.press("Enter", 13).await;
    browser.until("document.querySelector('#ask').open").await;
    let title = browser.eval("document.querySelector('#ask-title').textContent").await;
    assert_eq!(title, "Roll back web to v1?");
    picture(browser, "ask").await;
    browser.eval("document.querySelector('#ask-yes').focus()").await;
    browser.press("Enter", 13).await;
    browser.until("/was accepted/.test(document.querySelector('#said').textContent)").await;
    browser.until("/rolled back v2→v1/.test(document.querySelector('#events').textContent)").await;
    assert!(rig.wait("web").await.starts_with("rolled back v2→v1"));
}

/// A version that never becomes healthy, deployed by the page's own form.
async fn failed(rig: &Rig, browser: &mut Browser) {
    browser.eval("location.hash = ''").await;
    browser.until("!document.querySelector('#all').hidden").await;
    browser.eval("document.querySelector('#new').open = true").await;
    let manifest = serde_json::json!(shop("3", "/nowhere")).to_string();
    let fill = format!(
        "document.querySelector('#name').value = 'web'; \
         document.querySelector('#manifest').value = {manifest}; \
         document.querySelector('#deploy').requestSubmit(), 0"
    );
    browser.eval(&fill).await;
    browser
        .until("/health check timeout/.test(document.querySelector('#tale .bad').textContent)")
        .await;
    assert!(rig.wait("web").await.starts_with("failed update"));
    browser
        .until("document.querySelector('#list .badge.bad') || document.querySelector('#list .why')")
        .await;
    picture(browser, "failed").await;
    let wrong = "document.querySelector('#manifest').value = 'replicas x'; \
                 document.querySelector('#deploy').requestSubmit(), 0";
    browser.eval(wrong).await;
    browser.until("/line 1, column 10/.test(document.querySelector('#tale').textContent)").await;
    // What the browser itself says of an answer of 400 is no complaint of the page's.
    browser.complaints.retain(|said| !said.contains("status of 400"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_usable_without_eyes_or_a_mouse() {
    let (rig, at) = open().await;
    let mut browser = Browser::start().await;
    for width in [1280, 390] {
        browser.window(width, 900, "dark").await;
        browser.open(&format!("http://{at}/#web")).await;
        browser.until("document.querySelectorAll('#lanes > li').length === 3").await;
        // Everything that can be used has a name, and is in the order of the page.
        let nameless = browser
            .eval(
                "[...document.querySelectorAll( \
                 'button, a, input, textarea, [role=img], progress')] \
                 .filter((e) => e.checkVisibility()).filter((e) => !(e.getAttribute('aria-label') \
                 || e.textContent.trim() || e.labels?.length)).map((e) => e.outerHTML)",
            )
            .await;
        assert_eq!(nameless, serde_json::json!([]));
        let landmarks = "['header', 'main', 'h1', 'h2', '[role=status]', '[role=log]'] \
                         .every((s) => document.querySelector(s))";
        assert_eq!(browser.eval(landmarks).await, true);
        let wide = "document.documentElement.scrollWidth <= innerWidth";
        assert_eq!(browser.eval(wide).await, true, "nothing is cut off at {width}");
        // Every colour of a text can be told from what is behind it (WCAG 2.2, 1.4.3).
        for scheme in ["light", "dark"] {
            browser.window(width, 900, scheme).await;
            let pale = browser.eval(CONTRAST).await;
            assert_eq!(pale, serde_json::json!([]), "{scheme} at {width}");
        }
        // From the top by Tab alone to the service's first button.
        browser.eval("document.activeElement.blur(); document.body.focus(); scrollTo(0, 0)").await;
        let mut reached = Vec::new();
        for _ in 0..12 {
            browser.press("Tab", 9).await;
            let name = browser.eval("document.activeElement.textContent.trim().slice(0, 20)").await;
            reached.push(name.as_str().unwrap_or_default().to_string());
        }
        assert!(reached.iter().any(|name| name == "Restart"), "{reached:?}");
        let shown = "getComputedStyle(document.activeElement).outlineStyle !== 'none'";
        assert_eq!(browser.eval(shown).await, true, "where the focus is can be seen");
    }
    browser.end().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_asks_for_the_token_and_keeps_it_for_its_tab() {
    let (rig, at, _dir) = with_token("a-token-of-some-length\n").await;
    let mut browser = Browser::start().await;
    browser.window(1280, 900, "light").await;
    browser.open(&format!("http://{at}/")).await;
    browser.until("document.querySelector('#key').open").await;
    picture(&mut browser, "key").await;
    let give = |token: &str| {
        format!(
            "document.querySelector('#token').value = '{token}'; \
             document.querySelector('#key button').click()"
        )
    };
    // A wrong one is asked for again, by a page that was loaded anew.
    browser.eval("window.before = true").await;
    browser.eval(&give("not-the-one-that-is-asked-for")).await;
    browser.until("!window.before && document.querySelector('#key').open").await;
    browser.eval(&give("a-token-of-some-length")).await;
    browser.until("document.querySelector('#link').textContent === 'connected'").await;
    browser.until("/Cores reserved/.test(document.querySelector('#nodes').textContent)").await;
    assert_eq!(browser.eval("document.cookie + localStorage.length").await, "0");
    browser.end().await;
    rig.end().await;
}

/// Texts that are less than 4.5 times as light or dark as the ground they stand on.
const CONTRAST: &str = r"(() => {
	const rgb = (text) => (text.match(/[\d.]+/g) ?? []).map(Number);
	const light = ([r, g, b]) => {
		const part = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
		return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
	};
	const ground = (e) => {
		for (; e; e = e.parentElement) {
			const c = rgb(getComputedStyle(e).backgroundColor);
			if (c.length === 3 || c[3] === 1) return c;
		}
		return [255, 255, 255];
	};
	const texts = [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility()
		&& !e.disabled && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()));
	return texts.map((e) => {
		const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))];
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		return ratio < 4.5 ? `${e.tagName} ${e.className} ${ratio.toFixed(2)}` : null;
	}).filter(Boolean);
})()";
