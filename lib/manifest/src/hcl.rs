//! The HCL language: a text to an app and all its problems.

mod block;
mod heredoc;
mod lex;
mod nested;
mod refer;
mod syntax;
mod text;
mod token;
mod tree;

use std::collections::BTreeMap;

use self::block::block;
use self::refer::Services;
use self::syntax::{Content, Item, Name, Value};
use self::token::Piece;
use crate::app::App;
use crate::error::quoted;
use crate::kinds::Route;
use crate::limits::{APP_BYTES_MAX, APP_SERVICES_MAX, PROBLEMS_MAX};
use crate::manifest::Manifest;
use crate::nearest::nearest;
use crate::parse::NO_IMAGE;
use crate::place::Place;
use crate::problem::{Problem, in_order};
use crate::version::check_name;

/// What became of an app's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedApp {
    /// The app; there is one exactly when there are no errors.
    pub app: Option<App>,
    /// All that refuses it, in the order of the text.
    pub errors: Vec<Problem>,
    /// What the writer should know and what refuses nothing, in the order of the text.
    pub warnings: Vec<Problem>,
    /// What is right and does not take effect in this version of deploy, in the order of the
    /// text: a server refuses the services in which it stands.
    pub later: Vec<Problem>,
}

/// Reads an app in the HCL language. `name` is the app's unless the text says `app = "NAME"`: the
/// file's name up to its first dot.
#[must_use]
pub fn parse_app(name: &str, text: &str) -> ParsedApp {
    let mut file = File::default();
    if text.len() > APP_BYTES_MAX {
        let (bytes, max) = (text.len(), APP_BYTES_MAX);
        file.wrong(Place::START, format!("the file has {bytes} bytes; the most is {max}"));
        return file.finish(App::new(name));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (tokens, problems) = lex::lex(text);
    file.errors.extend(problems);
    let (items, problems) = tree::read(&tokens);
    file.errors.extend(problems);
    let mut app = App::new(name);
    let blocks = file.outermost(&mut app, &items);
    if let Err(error) = check_name(&app.name)
        && !file.named
    {
        let text = format!("the file's name {error}; or write app = \"NAME\" before all blocks");
        file.wrong(Place::START, text);
    }
    let mut services = Services::default();
    for block in blocks.iter().filter(|block| !block.task) {
        services.add(&block.label.text, block.body);
    }
    for block in &blocks {
        file.block(&mut app, block, &services);
    }
    file.finish(app)
}

/// A block that makes a manifest.
struct Outer<'a> {
    task: bool,
    place: Place,
    label: &'a Name,
    body: &'a [Item],
}

/// What a file has told.
#[derive(Default)]
struct File {
    /// Whether the text says the app's name.
    named: bool,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
    later: Vec<Problem>,
    /// The service of each route.
    routes: BTreeMap<String, String>,
}

impl File {
    /// The blocks of services and tasks; the rest is told or is the app's name.
    fn outermost<'a>(&mut self, app: &mut App, items: &'a [Item]) -> Vec<Outer<'a>> {
        let mut blocks = Vec::new();
        let mut lines: BTreeMap<(bool, &str), u32> = BTreeMap::new();
        for item in items {
            let name = item.name();
            let (task, labels, body) = match (name.text.as_str(), item) {
                ("app", Item::Attribute { value, .. }) => {
                    self.app_name(app, name.place, value);
                    continue;
                }
                ("service", Item::Block { labels, body, .. }) => (false, labels, body),
                ("task", Item::Block { labels, body, .. }) => (true, labels, body),
                _ => {
                    self.unknown(name);
                    continue;
                }
            };
            let [label] = &labels[..] else {
                let word = &name.text;
                self.wrong(name.place, format!("write {word} \"NAME\" {{ … }}, with one name"));
                continue;
            };
            if let Err(error) = check_name(&label.text) {
                self.wrong(label.place, error.to_string());
            }
            if let Some(line) = lines.insert((task, &label.text), name.place.line) {
                let (word, label) = (&name.text, quoted(&label.text));
                let text = format!("{word} {label} stands twice, first on line {line}; rename one");
                self.wrong(name.place, text);
            }
            if blocks.iter().filter(|block: &&Outer<'_>| block.task == task).count()
                == APP_SERVICES_MAX
            {
                let word = &name.text;
                self.wrong(name.place, format!("{word}: the most is {APP_SERVICES_MAX} in a file"));
                break;
            }
            blocks.push(Outer { task, place: name.place, label, body });
        }
        if blocks.is_empty() && self.errors.is_empty() {
            let text = "no service is in the file; write service \"NAME\" { image = \"…\" }";
            self.wrong(Place::START, text);
        }
        blocks
    }

    fn app_name(&mut self, app: &mut App, place: Place, value: &Value) {
        let twice = std::mem::replace(&mut self.named, true);
        let text = match &value.content {
            Content::Bad => return,
            Content::Text(pieces) => match &pieces[..] {
                [Piece::Plain(text)] => text.as_str(),
                _ => "",
            },
            Content::Plain(_) | Content::List(_) | Content::Map(_) => "",
        };
        match check_name(text) {
            _ if twice => self.wrong(place, "app: stands twice; remove one"),
            Ok(()) => text.clone_into(&mut app.name),
            Err(error) => self.wrong(value.place, format!("app: {error}")),
        }
    }

    fn unknown(&mut self, name: &Name) {
        let near = match self.errors.len() < PROBLEMS_MAX {
            true => nearest(&name.text, ["service", "task", "app"].into_iter()),
            false => None,
        };
        let word = quoted(&name.text);
        let hint = match near {
            Some(near) => format!("did you mean {near}?"),
            None => "a file has app = \"NAME\", service \"NAME\" { … }, task \"NAME\" { … }".into(),
        };
        self.wrong(name.place, format!("{word} is nothing that stands outside a block; {hint}"));
    }

    /// Reads the block of a service or a task.
    fn block(&mut self, app: &mut App, outer: &Outer<'_>, services: &Services) {
        let new = if outer.task { Manifest::new_task } else { Manifest::new };
        let mut manifest = new(&outer.label.text, NO_IMAGE);
        manifest.app = Some(app.name.clone());
        let read = block(manifest, outer.place, outer.body, services);
        let routes = read.told.place_of_routes();
        self.routes(&read.manifest, routes.unwrap_or(outer.place));
        self.errors.extend(read.told.errors);
        self.warnings.extend(read.told.warnings);
        self.later.extend(read.told.later);
        let list = if outer.task { &mut app.tasks } else { &mut app.services };
        list.push(read.manifest);
    }

    /// A way from users leads to one service.
    fn routes(&mut self, manifest: &Manifest, place: Place) {
        for route in &manifest.routes {
            let way = match route {
                Route::Http { host, path, .. } => format!("{host} {path}"),
                Route::Tcp { port } => format!("tcp {port}"),
            };
            if let Some(other) = self.routes.get(&way) {
                self.wrong(place, format!("route: {way} is also of service {other}; change one"));
            } else {
                self.routes.insert(way, manifest.name.clone());
            }
        }
    }

    fn wrong(&mut self, place: Place, text: impl Into<String>) {
        self.errors.push(place.problem(text.into()));
    }

    fn finish(self, app: App) -> ParsedApp {
        ParsedApp {
            app: self.errors.is_empty().then_some(app),
            errors: in_order(self.errors),
            warnings: in_order(self.warnings),
            later: in_order(self.later),
        }
    }
}
