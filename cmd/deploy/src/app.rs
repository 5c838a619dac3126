//! A file of several services: read into a draft a service, as a server keeps them, and what the
//! server has of its app besides.

use crate::error::{Error, Result};
use crate::files::{Draft, STDIN_PATH};
use crate::flaw::Flaw;
use crate::link::Link;
use crate::out::Out;
use serde_json::json;

/// How files of several services end.
const ENDS: [&str; 2] = [".hcl", ".mill"];

/// What standard input begins with when it is such a file.
const BEGINS: [&str; 3] = ["service", "task", "app"];

/// What one file deploys together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct App {
    /// Its name.
    pub(crate) name: String,
    /// The file.
    pub(crate) path: String,
    /// Its services, in the order of the file.
    pub(crate) services: Vec<String>,
    /// Its tasks, each with its manifest.
    pub(crate) jobs: Vec<(String, String)>,
}

/// A service that an app has at the server, and no longer in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gone {
    /// The app.
    pub(crate) app: String,
    /// The file.
    pub(crate) path: String,
    /// The service.
    pub(crate) service: String,
}

impl Gone {
    /// What becomes of it.
    pub(crate) fn text(&self, removed: bool) -> String {
        let Gone { app, path, .. } = self;
        match removed {
            true => format!("gone from {path}, and removed"),
            false => format!("gone from {path}; it stays, of app {app}: apply --prune removes it"),
        }
    }

    /// Says that it is gone, and stays.
    ///
    /// # Errors
    /// When nobody reads standard output.
    pub(crate) fn tell(&self, out: Out) -> Result<()> {
        let Gone { app, service, .. } = self;
        if out.json {
            return out.object(&json!({"service": service, "app": app, "phase": "gone"}));
        }
        out.message(&format!("  {service}: {}", self.text(false)));
        Ok(())
    }
}

/// Whether a file of that name may have several services.
pub(crate) fn may_be_app(path: &str) -> bool {
    path == STDIN_PATH || ENDS.iter().any(|end| path.ends_with(end))
}

/// Whether a file has several services: by its name, or what comes from standard input by its
/// first word, for no key of the flat language is followed by a string or a `=`.
pub(crate) fn is_app(path: &str, text: &str) -> bool {
    if path != STDIN_PATH {
        return may_be_app(path);
    }
    let comment = |line: &&str| line.is_empty() || line.starts_with(['#', '/']);
    let first = text.lines().map(str::trim).find(|line| !comment(line)).unwrap_or_default();
    let rest = BEGINS.iter().find_map(|word| first.strip_prefix(word));
    rest.is_some_and(|rest| rest.trim_start().starts_with(['"', '=']))
}

/// What is wrong or odd in such a file, and what it says when nothing is wrong.
pub(crate) fn check(path: &str, text: &str) -> (Vec<Flaw>, Vec<Draft>, Option<App>) {
    let name = path.rsplit('/').next().and_then(|name| name.split('.').next());
    let name = name.filter(|_| path != STDIN_PATH).unwrap_or_default();
    let parsed = manifest::parse_app(name, text);
    let mut flaws: Vec<Flaw> =
        parsed.warnings.into_iter().map(|problem| Flaw::warning(path, problem)).collect();
    // A server would refuse them one by one, when others were begun already.
    let mut errors: Vec<_> = parsed.errors.into_iter().chain(parsed.later).collect();
    errors.sort_by_key(|problem| (problem.line, problem.column));
    let refused = !errors.is_empty();
    flaws.extend(errors.into_iter().map(|problem| Flaw::error(path, problem)));
    let flaws = flaws.into_iter().map(|flaw| flaw.within(text)).collect();
    let Some(app) = parsed.app.filter(|_| !refused) else { return (flaws, Vec::new(), None) };
    let services = app.services.iter().map(|service| service.name.clone()).collect();
    let draft = |manifest: manifest::Manifest| Draft {
        service: manifest.name.clone(),
        path: path.to_string(),
        text: manifest::print(&manifest),
        manifest,
    };
    let drafts = app.services.into_iter().map(draft).collect();
    let job = |task: &manifest::Manifest| (task.name.clone(), manifest::print(task));
    let jobs = app.tasks.iter().map(job).collect();
    (flaws, drafts, Some(App { name: app.name, path: path.to_string(), services, jobs }))
}

/// Keeps the tasks of these apps at the server, to be run. Those that a file no longer has are
/// named, or removed where that is asked for.
///
/// # Errors
/// What the server refuses.
pub(crate) async fn keep_jobs(link: &Link, out: Out, apps: &[App], prune: bool) -> Result<()> {
    for App { name: app, path, jobs, .. } in apps {
        for (job, text) in jobs {
            let file = format!("jobs/{job}");
            let before = link.find(&file).await?;
            if before.as_ref() == Some(text) {
                continue;
            }
            let put = link.client.put(&file, text.as_bytes()).await;
            put.map_err(|error| Error::at(&file, error))?;
            tell_job(out, job, if before.is_some() { "changed" } else { "kept" })?;
        }
        for job in link.names_if_there("jobs").await? {
            let file = format!("jobs/{job}");
            let text = link.find(&file).await?.unwrap_or_default();
            let its = manifest::app_of(&text).as_ref() == Some(app);
            if !its || jobs.iter().any(|(name, _)| *name == job) {
                continue;
            }
            if prune {
                link.remove(&file).await?;
            }
            let stays = format!("gone from {path}; it stays: apply --prune removes it");
            tell_job(out, &job, if prune { "removed" } else { &stays })?;
        }
    }
    Ok(())
}

fn tell_job(out: Out, job: &str, what: &str) -> Result<()> {
    if out.json {
        return out.object(&json!({"job": job, "phase": what}));
    }
    out.message(&format!("  job {job}: {what}"));
    Ok(())
}

/// What the server has of these apps that is in none of the drafts.
///
/// # Errors
/// As of any file.
pub(crate) async fn gone(link: &Link, apps: &[App], drafts: &[Draft]) -> Result<Vec<Gone>> {
    let mut gone = Vec::new();
    for App { name, path, .. } in apps {
        let text = link.find(&format!("apps/{name}")).await?.unwrap_or_default();
        let services = text.lines().filter_map(|line| line.split(' ').next());
        let kept = |service: &str| drafts.iter().any(|draft| draft.service == service);
        gone.extend(services.filter(|service| !kept(service)).map(|service| Gone {
            app: name.clone(),
            path: path.clone(),
            service: service.to_string(),
        }));
    }
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "service \"web\" {\n  image = \"app:1\"\n  port = 80\n}\n";

    #[test]
    fn a_file_of_several_services_is_known_by_its_name_and_standard_input_by_its_first_word() {
        assert!(is_app("a/shop.hcl", "") && is_app("shop.mill", "") && !is_app("shop", TEXT));
        let check = |text: &str, want: bool| assert_eq!(is_app(STDIN_PATH, text), want, "{text}");
        check(TEXT, true);
        check("# ours\n\n// too\napp = \"shop\"\n", true);
        check("task \"job\" {}", true);
        check("name web\nimage app:1\n", false);
        check("app shop\nimage app:1\n", false);
        check("", false);
    }

    #[test]
    fn each_service_becomes_a_draft_in_the_language_that_servers_keep() {
        let (flaws, drafts, app) = check("a/shop.hcl", TEXT);
        assert_eq!(flaws, []);
        assert_eq!(drafts[0].text, "name web\napp shop\nimage app:1\nport 80\n");
        assert_eq!(manifest::app_of(&drafts[0].text), Some("shop".to_string()));
        let app = app.unwrap();
        assert_eq!((app.name.as_str(), &app.services[..]), ("shop", &["web".to_string()][..]));
        assert!(check(STDIN_PATH, TEXT).0[0].problem.text.contains("app = \"NAME\""));
    }

    #[test]
    fn a_task_is_kept_as_a_job_and_makes_no_service() {
        let text = "task \"a\" { image = \"x\"; command = \"y z\" }\n";
        let (flaws, drafts, app) = check("shop.hcl", text);
        assert_eq!((flaws.len(), drafts.len()), (0, 0), "{flaws:?}");
        let wanted = "name a\napp shop\nimage x\ncommand y z\n".to_string();
        assert_eq!(app.unwrap().jobs, [("a".to_string(), wanted)]);
    }

    #[test]
    fn what_has_no_effect_yet_is_an_error_in_its_place() {
        let text = TEXT.replace("port = 80", "port = 80\n  constraint = \"zone=a\"");
        let (flaws, drafts, app) = check(
            "shop.hcl",
            &format!("{text}  task \"a\" {{ image = \"x\"; constraint = \"b=c\" }}\n"),
        );
        let places: Vec<(u32, u32)> =
            flaws.iter().map(|flaw| (flaw.problem.line, flaw.problem.column)).collect();
        assert_eq!(
            (&places[..], drafts.len(), app),
            (&[(4, 3), (6, 27)][..], 0, None),
            "{flaws:?}"
        );
        assert!(
            flaws.iter().all(|flaw| flaw.problem.text.contains("not yet supported")),
            "{flaws:?}"
        );
    }
}
