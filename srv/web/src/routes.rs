//! All that can be asked for, in one table: by it requests are matched and checked, and from it
//! the OpenAPI document is made.

use crate::page::Asset;
use crate::shape::Shape;
use crate::verb::Verb;

/// A row: what is asked for, and what comes of it.
#[derive(Debug)]
pub(crate) struct Route {
    /// In which way.
    pub(crate) way: Way,
    /// Where; `{name}` stands for a service.
    pub(crate) path: &'static str,
    /// What answers it.
    pub(crate) does: Does,
    /// Who may.
    pub(crate) needs: Needs,
    /// What the answer is.
    pub(crate) gives: Gives,
    /// Words after the `?`.
    pub(crate) words: &'static [Word],
    /// In a few words.
    pub(crate) meaning: &'static str,
}

/// In which way it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// To see something; HEAD does as well.
    Get,
    /// To have something done.
    Post,
}

/// What answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is described in its row of the table")]
pub(crate) enum Does {
    Page(Asset),
    Openapi,
    Deploy,
    Services,
    Service,
    History,
    Log,
    Do(Verb),
    Nodes,
    Status,
    Metrics,
    Events,
}

/// Who may ask for it. With a token whoever has it may do all of it; without one it is as on the
/// tree's other sockets: others read, and root and the group write and see what instances wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Anybody: it says nothing of what is deployed.
    Nothing,
    /// Whoever may read.
    Read,
    /// Whoever may write.
    Write,
}

/// What an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gives {
    /// A file of the page, of this type.
    File(&'static str),
    /// An object.
    Object(Shape),
    /// The same, for something that was accepted and goes on.
    Accepted(Shape),
    /// Server-sent events.
    Stream,
    /// An object, or a stream when it is followed.
    ObjectOrStream(Shape),
}

/// A word after the `?`: its name, what it is, whether it must be there, what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) must: bool,
    pub(crate) meaning: &'static str,
}

/// What a word may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A number of at most so much.
    Number(u64),
    /// `true` or `false`.
    Truth,
    /// The name of a service.
    Service,
    /// A version, by number or name: `v3`, `ab12cd34ef56`.
    Version,
    /// A line of text.
    Line,
}

const fn word(name: &'static str, kind: Kind, must: bool, meaning: &'static str) -> Word {
    Word { name, kind, must, meaning }
}

const LINES: Word = word(
    "lines",
    Kind::Number(crate::limits::LOG_LINES_MAX),
    false,
    "so many of the last lines; 500 unless said otherwise",
);
const FOLLOW: Word = word("follow", Kind::Truth, false, "go on with what is written from now on");
const TAIL: Word = word(
    "tail",
    Kind::Number(crate::limits::EVENT_LINES_MAX),
    false,
    "begin with so many of the last events; 0 unless said otherwise",
);
const ONE: Word = word("service", Kind::Service, false, "only what happens to this one");
const NAME: Word = word(
    "name",
    Kind::Service,
    false,
    "of the service, or of the app where there are several, when the body does not say so",
);
const ATOMIC: Word =
    word("atomic", Kind::Truth, false, "all or none: one that fails takes the others back");
const MESSAGE: Word = word("message", Kind::Line, false, "why, for the history");
const TO: Word = word("version", Kind::Version, false, "to which; else the previous one");
const REPLICAS: Word =
    word("replicas", Kind::Number(manifest::limits::REPLICAS_MAX as u64), true, "how many");

/// The table.
pub(crate) const ROUTES: &[Route] = &[
    page("/", Asset::Html, "the page"),
    page("/style.css", Asset::Style, "how it looks"),
    page("/icon.svg", Asset::Icon, "its icon"),
    page("/app.js", Asset::App, "what it does"),
    page("/tree.js", Asset::Tree, "how it asks"),
    page("/draw.js", Asset::Draw, "how it draws"),
    page("/chart.js", Asset::Chart, "how it draws figures over time"),
    get("/v1/openapi.json", Does::Openapi, Needs::Nothing, Gives::Object(Shape::Openapi))
        .means("this description"),
    Route {
        way: Way::Post,
        path: "/v1/deploy",
        does: Does::Deploy,
        needs: Needs::Write,
        gives: Gives::Stream,
        words: &[NAME, ATOMIC, MESSAGE],
        meaning: "deploys what the body says, and tells it as it happens; with Last-Event-ID a \
                  stream that broke off goes on, and nothing is deployed",
    },
    get("/v1/services", Does::Services, Needs::Read, Gives::Object(Shape::Services))
        .means("all services, a row each"),
    get("/v1/services/{name}", Does::Service, Needs::Read, Gives::Object(Shape::Service))
        .means("one service: its update, its instances, its manifest"),
    get("/v1/services/{name}/history", Does::History, Needs::Read, Gives::Object(Shape::History))
        .means("the versions that are kept, newest first"),
    get("/v1/services/{name}/log", Does::Log, Needs::Write, Gives::ObjectOrStream(Shape::Log))
        .with(&[LINES, FOLLOW])
        .means("what its instances wrote"),
    verb("/v1/services/{name}/apply", Verb::Apply, &[], "make it what manifests/ says"),
    verb("/v1/services/{name}/pause", Verb::Pause, &[], "hold the update in flight"),
    verb("/v1/services/{name}/resume", Verb::Resume, &[], "go on with a paused update"),
    verb("/v1/services/{name}/cancel", Verb::Cancel, &[], "give up the update in flight"),
    verb("/v1/services/{name}/rollback", Verb::Rollback, &[TO], "go back to an earlier version"),
    verb("/v1/services/{name}/restart", Verb::Restart, &[], "replace every instance"),
    verb("/v1/services/{name}/scale", Verb::Scale, &[REPLICAS], "run that many instances"),
    verb("/v1/services/{name}/stop", Verb::Stop, &[], "end all instances, keep the service"),
    verb("/v1/services/{name}/remove", Verb::Remove, &[], "end all, forget the service"),
    get("/v1/nodes", Does::Nodes, Needs::Read, Gives::Object(Shape::Nodes))
        .means("the nodes, and what of them is reserved"),
    get("/v1/status", Does::Status, Needs::Read, Gives::Object(Shape::Status))
        .means("all in a few numbers"),
    get("/v1/metrics", Does::Metrics, Needs::Read, Gives::Object(Shape::Metrics))
        .means("requests, errors and times of each service, counted since the edge started"),
    get("/v1/events", Does::Events, Needs::Read, Gives::Stream)
        .with(&[ONE, TAIL])
        .means("events as they happen; with Last-Event-ID from there on"),
];

const fn get(path: &'static str, does: Does, needs: Needs, gives: Gives) -> Route {
    Route { way: Way::Get, path, does, needs, gives, words: &[], meaning: "" }
}

const fn page(path: &'static str, asset: Asset, meaning: &'static str) -> Route {
    get(path, Does::Page(asset), Needs::Nothing, Gives::File(asset.kind())).means(meaning)
}

const fn verb(
    path: &'static str,
    verb: Verb,
    words: &'static [Word],
    meaning: &'static str,
) -> Route {
    let (does, gives) = (Does::Do(verb), Gives::Accepted(Shape::Accepted));
    Route { way: Way::Post, path, does, needs: Needs::Write, gives, words, meaning }
}

impl Route {
    const fn means(self, meaning: &'static str) -> Route {
        Route { meaning, ..self }
    }

    const fn with(self, words: &'static [Word]) -> Route {
        Route { words, ..self }
    }
}

/// What a path is.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// That row, and the service in the path.
    Route(&'static Route, Option<&'a str>),
    /// There, but only in these ways.
    Otherwise(&'static str),
    /// Nothing.
    Nothing,
}

/// Finds the row for a path that is asked for in that way.
pub(crate) fn find(way: Option<Way>, path: &str) -> Found<'_> {
    let here = ROUTES.iter().filter_map(|route| Some((route, matches(route.path, path)?)));
    let mut otherwise = None;
    for (route, name) in here {
        if way == Some(route.way) {
            return Found::Route(route, name);
        }
        otherwise = Some(route.way);
    }
    match otherwise {
        Some(Way::Get) => Found::Otherwise("GET, HEAD"),
        Some(Way::Post) => Found::Otherwise("POST"),
        None => Found::Nothing,
    }
}

/// Whether a path is of that pattern, and the service in it.
fn matches<'a>(pattern: &str, path: &'a str) -> Option<Option<&'a str>> {
    let mut name = None;
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(name),
            (Some("{name}"), Some(word)) if !word.is_empty() => name = Some(word),
            (Some(want), Some(word)) if want == word => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_row_and_its_service() {
        let check = |way, path, want: &str| {
            let got = match find(way, path) {
                Found::Route(route, name) => {
                    format!("{:?} {}", route.does, name.unwrap_or_default())
                }
                Found::Otherwise(allow) => allow.to_string(),
                Found::Nothing => "nothing".to_string(),
            };
            assert_eq!(got.trim(), want, "{path}");
        };
        let (get, post) = (Some(Way::Get), Some(Way::Post));
        check(get, "/", "Page(Html)");
        check(get, "/v1/services", "Services");
        check(get, "/v1/services/web", "Service web");
        check(get, "/v1/services/web/log", "Log web");
        check(post, "/v1/services/web/scale", "Do(Scale) web");
        check(post, "/v1/services", "GET, HEAD");
        check(get, "/v1/deploy", "POST");
        check(None, "/v1/deploy", "POST");
        check(get, "/v1/services/", "nothing");
        check(get, "/v1/services//log", "nothing");
        check(get, "/v1/services/web/log/", "nothing");
        check(get, "//", "nothing");
        check(get, "", "nothing");
    }

    #[test]
    fn no_two_rows_are_the_same_and_each_says_what_it_is() {
        for (at, route) in ROUTES.iter().enumerate() {
            assert!(!route.meaning.is_empty(), "{route:?}");
            let twin = |other: &&Route| other.path == route.path && other.way == route.way;
            assert!(!ROUTES[at + 1..].iter().any(|other| twin(&other)), "{route:?}");
            assert!(route.way == Way::Get || route.needs == Needs::Write, "{route:?}");
        }
    }
}
