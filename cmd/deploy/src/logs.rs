//! `logs`: what instances wrote, of all services, of one, or of one instance.

use crate::error::{Error, Result};
use crate::link::Link;
use crate::out::Out;
use crate::row::values;
use crate::since::is_since;
use crate::source::{Source, time};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Lines that were read and not printed yet, in batches.
const BATCHES_MAX: usize = 16;

/// Prints logs in the order of their lines' times; with `follow` also what is written from now,
/// until the services are gone.
pub(crate) async fn run(
    link: &Link,
    out: Out,
    what: Option<&str>,
    follow: bool,
    from: Option<&str>,
) -> Result<()> {
    let wanted = Wanted::read(link, what).await?;
    let print = |mut lines: Vec<String>| -> Result<()> {
        lines.retain(|line| is_since(line, from) && wanted.has(line));
        lines.iter().try_for_each(|line| match out.json {
            true => out.object(&object(line)),
            false => out.foreign(format!("{line}\n").as_bytes()),
        })
    };
    let (mut sources, mut lines) = (Vec::new(), Vec::new());
    for directory in wanted.directories() {
        let mut source = Source::open(link, &directory, follow).await?;
        lines.extend(source.more(link).await?);
        sources.push(source);
    }
    lines.sort_by(|a, b| time(a).cmp(time(b)));
    print(lines)?;
    if !follow {
        return Ok(());
    }
    let (batches, mut come) = mpsc::channel(BATCHES_MAX);
    let mut tasks = JoinSet::new();
    for source in sources {
        let (link, batches, wanted) = (link.clone(), batches.clone(), wanted.clone());
        tasks.spawn(async move {
            let ended = follow_one(&link, source, &wanted, &batches).await;
            if let Err(error) = ended {
                // Nobody listens any more when printing has failed.
                let _ = batches.send(Err(error)).await;
            }
        });
    }
    drop(batches);
    while let Some(lines) = come.recv().await {
        print(lines?)?;
    }
    Ok(())
}

type Batches = mpsc::Sender<Result<Vec<String>>>;

/// Follows one log to its end, and of an instance the next ones at its place, for as long as the
/// service is there.
async fn follow_one(
    link: &Link,
    mut source: Source,
    wanted: &Wanted,
    batches: &Batches,
) -> Result<()> {
    loop {
        while let Some(lines) = source.next(link).await? {
            if batches.send(Ok(lines)).await.is_err() {
                return Ok(());
            }
        }
        let Wanted::Place { service, number, .. } = wanted else { return Ok(()) };
        let Some(next) = next_at(link, service, *number, &source).await? else { return Ok(()) };
        source = next;
        let lines = source.more(link).await?;
        if batches.send(Ok(lines)).await.is_err() {
            return Ok(());
        }
    }
}

/// Waits until another instance is at that place; none when the service is gone.
async fn next_at(
    link: &Link,
    service: &str,
    number: u32,
    before: &Source,
) -> Result<Option<Source>> {
    // Each change of places is told; opened before the look, so that none is missed.
    let mut watch = match crate::link::Lines::open(link, &format!("active/{service}/watch")).await {
        Err(Error::Refused { .. }) => return Ok(None),
        other => other?,
    };
    let directory = format!("active/{service}/instances/{number}");
    loop {
        match Source::open(link, &directory, true).await {
            Ok(source) if source.id() != before.id() => return Ok(Some(source)),
            Ok(_) | Err(Error::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
        if watch.next().await?.is_empty() {
            return Ok(None);
        }
    }
}

/// Whose logs are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    /// `web`, or every service.
    Services(Vec<String>),
    /// `web/0`: the number is that of `status`.
    Place { service: String, number: u32 },
    /// `web-9`: the name on the lines, also of an instance that is gone.
    Named { service: String, name: String },
}

impl Wanted {
    async fn read(link: &Link, what: Option<&str>) -> Result<Wanted> {
        let services = link.names("active").await?;
        let Some(what) = what else { return Ok(Wanted::Services(services)) };
        let wanted = Wanted::of(what, &services)?;
        if let Wanted::Place { service, number } = &wanted {
            let places = link.names(&format!("active/{service}/instances")).await?;
            if !places.contains(&number.to_string()) {
                return Err(Error::Other(format!(
                    "{service} has no instance {number}; deploy status {service} shows those it \
                     has, and deploy logs {service} has also what instances wrote that are gone"
                )));
            }
        }
        Ok(wanted)
    }

    fn of(what: &str, services: &[String]) -> Result<Wanted> {
        if let Some((service, number)) = what.split_once('/') {
            let service = service.to_string();
            return match number.parse() {
                Ok(number) => Ok(Wanted::Place { service, number }),
                Err(_) => Err(Error::Other(format!(
                    "{number:?} is not an instance; say its number: deploy logs web/0"
                ))),
            };
        }
        let named = what.rsplit_once('-').filter(|(service, id)| {
            id.parse::<u64>().is_ok() && services.iter().any(|name| name == service)
        });
        Ok(match named.filter(|_| !services.iter().any(|name| name == what)) {
            Some((service, _)) => {
                Wanted::Named { service: service.to_string(), name: what.to_string() }
            }
            None => Wanted::Services(vec![what.to_string()]),
        })
    }

    fn directories(&self) -> Vec<String> {
        match self {
            Wanted::Services(names) => names.iter().map(|name| format!("active/{name}")).collect(),
            Wanted::Place { service, number } => {
                vec![format!("active/{service}/instances/{number}")]
            }
            Wanted::Named { service, .. } => vec![format!("active/{service}")],
        }
    }

    fn has(&self, line: &str) -> bool {
        match self {
            Wanted::Services(_) | Wanted::Place { .. } => true,
            Wanted::Named { name, .. } => line.split(' ').nth(1) == Some(name),
        }
    }
}

/// The name of the instance that a directory is of; none for a service's.
pub(crate) async fn id_of(link: &Link, directory: &str) -> Result<Option<String>> {
    if !directory.contains("/instances/") {
        return Ok(None);
    }
    let status = link.read(&format!("{directory}/status")).await?;
    Ok(values(&status).get("id").map(ToString::to_string))
}

/// `TIME [INSTANCE] STREAM TEXT` as an object.
fn object(line: &str) -> serde_json::Value {
    let mut words = line.splitn(3, ' ');
    let (time, second, rest) = (words.next(), words.next(), words.next().unwrap_or_default());
    if matches!(second, Some("stdout" | "stderr")) {
        return json!({"time": time, "stream": second, "text": rest});
    }
    let (stream, text) = rest.split_once(' ').unwrap_or((rest, ""));
    json!({"time": time, "instance": second, "stream": stream, "text": text})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_services_a_place_or_the_name_on_the_lines() {
        let services = ["web", "web-2"].map(String::from);
        let check = |what: &str, want: Wanted| {
            assert_eq!(Wanted::of(what, &services).unwrap(), want, "{what}");
        };
        let (web, some) = ("web".to_string(), |name: &str| vec![name.to_string()]);
        check("web", Wanted::Services(some("web")));
        check("web-2", Wanted::Services(some("web-2")));
        check("nobody", Wanted::Services(some("nobody")));
        check("nobody-9", Wanted::Services(some("nobody-9")));
        check("web/3", Wanted::Place { service: web.clone(), number: 3 });
        let named = Wanted::Named { service: web, name: "web-9".to_string() };
        check("web-9", named.clone());
        assert!(Wanted::of("web/x", &services).is_err());
        assert!(named.has("2026-11-20T12:34:05.123Z web-9 stdout web-8"));
        assert!(!named.has("2026-11-20T12:34:05.123Z web-8 stdout web-9"));
    }

    #[test]
    fn a_line_as_json_names_its_instance_where_the_file_has_several() {
        let (time, text) = ("2026-11-20T12:34:05.123Z", "hello there");
        let want = json!({"time": time, "instance": "web-3", "stream": "stdout", "text": text});
        assert_eq!(object(&format!("{time} web-3 stdout {text}")), want);
        let want = json!({"time": time, "stream": "stderr", "text": text});
        assert_eq!(object(&format!("{time} stderr {text}")), want);
    }
}
