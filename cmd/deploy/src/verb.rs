//! The verbs: one table, from which the parser, `help` and `help VERB` are made.

use crate::flag::{
    ATOMIC, DETACH, ENV, EXIT_CODE, FILE, FOLLOW, FORCE, Flag, LONG, MESSAGE, PRUNE, RUN_DETACH,
    RUN_TIMEOUT, SINCE, SUPERSEDE, TIMEOUT, WAIT_LOCK,
};

/// A verb as a user writes it.
#[derive(Debug)]
pub(crate) struct Verb {
    /// Which it is.
    pub(crate) is: Is,
    /// The word.
    pub(crate) name: &'static str,
    /// What follows it, as help shows it.
    pub(crate) words: &'static str,
    /// Least words after it.
    pub(crate) least: usize,
    /// Most words after it.
    pub(crate) most: usize,
    /// Its own flags.
    pub(crate) flags: &'static [Flag],
    /// What it does, in a few words.
    pub(crate) meaning: &'static str,
    /// What else there is to know.
    pub(crate) more: &'static str,
    /// The same without this command.
    pub(crate) by_hand: &'static str,
}

/// Which verb it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Is {
    Apply,
    Plan,
    Diff,
    Status,
    Pause,
    Resume,
    Cancel,
    Rollback,
    Restart,
    Scale,
    Stop,
    Remove,
    History,
    Events,
    Logs,
    Wait,
    Push,
    Images,
    Gc,
    Run,
    Ps,
    Kill,
    Volume,
    Top,
    Metrics,
    Secret,
    Cat,
    Write,
    Ls,
    Tree,
    Stdio,
    Help,
}

/// As many words as one likes.
pub(crate) const ANY: usize = usize::MAX;

const APPLIED: &[Flag] =
    &[FILE, MESSAGE, ATOMIC, PRUNE, DETACH, TIMEOUT, WAIT_LOCK, FORCE, SUPERSEDE];

const FOLLOWED: &[Flag] = &[DETACH, TIMEOUT];

/// Every verb, in the order of help.
#[rustfmt::skip]
pub(crate) const VERBS: &[Verb] = &[
    verb(Is::Apply, "apply", "[SERVICE…]", (0, ANY), APPLIED,
        "make services what their manifests say",
        "With -f the files are checked here first; all errors of all files are told, and nothing\n\
         is written unless there are none. The service is what the key `name` says, else the\n\
         file's name without what follows its first dot; - is standard input, which must say.\n\
         A file that ends in .hcl or .mill has several services, which are an app: its name is\n\
         what the key `app` says, else the file's, as above. The images of all are fetched first,\n\
         then the updates go side by side. With --atomic one that fails takes all others back;\n\
         the end is then 3. What the app has at the server and its file no longer has is named,\n\
         and stays; --prune removes it when all else has succeeded.\n\
         With -f the deploy lock is held until the server has taken over: meanwhile a `source` is\n\
         looked at, which must be clean, and a `build` is run there, with DEPLOY_ADDR and\n\
         DEPLOY_COMMIT set. Others are told who has the lock; --wait-lock waits for it in the\n\
         order of coming, and for the update in flight, with =TIME not for ever. A build that\n\
         fails changes nothing; Ctrl-C ends it with all it started, and so does whoever cancels\n\
         it or takes the lock by force.\n\
         Without -f, what is in manifests/ is applied: the services named, or all.\n\
         Each update is followed to its end. Services go side by side and do not wait for each\n\
         other. Ctrl-C stops following, never the update.\n\
         With --json the last object of a service is done or failed; one that failed has failure:\n\
         at, instance, reason, exit_code (128 and more for a signal), signal, oom, last_probe and\n\
         log_tail, its last 20 lines, each null where it is not known. history has the same of\n\
         each version, status as last_failure.",
        "cp web /deploy/manifests/web; echo apply > /deploy/active/web/ctl\n  \
         several: echo together web api > /deploy/ctl, or atomic, which is all or none"),
    verb(Is::Plan, "plan", "[SERVICE…]", (0, ANY), &[FILE, PRUNE, EXIT_CODE],
        "what apply would do, and whether there is room",
        "Of an app it tells what is added, changed, unchanged and gone. The room is that which is\n\
         left when all services before it have theirs. A tag is resolved when it is applied, not\n\
         before: an image under the tag that is deployed already counts as the same.",
        "diff /deploy/active/web/manifest web; cat /deploy/nodes/*/allocated"),
    verb(Is::Diff, "diff", "[SERVICE…]", (0, ANY), &[FILE, EXIT_CODE],
        "what differs from what is deployed, key by key", "",
        "diff /deploy/active/web/manifest web"),
    verb(Is::Status, "status", "[SERVICE]", (0, 1), &[],
        "a table of all services, or one in full",
        "One is told with its update, its instances and its last events. With --json each\n\
         instance has exit_code, signal, oom and last_probe, and last_failure is the one that\n\
         failed last, of all versions that are kept: deploy help apply tells its fields.",
        "cat /deploy/status"),
    verb(Is::Pause, "pause", "SERVICE…", (1, ANY), FOLLOWED,
        "hold the update in flight; repairs go on", "", "echo pause > /deploy/active/web/ctl"),
    verb(Is::Resume, "resume", "SERVICE…", (1, ANY), FOLLOWED,
        "go on with a paused update, and follow it", "", "echo resume > /deploy/active/web/ctl"),
    verb(Is::Cancel, "cancel", "SERVICE…", (1, ANY), FOLLOWED,
        "give up the update in flight, or the build",
        "What is deployed serves as before: it ends within stop_timeout and 5 s, whatever the\n\
         update is at. It ends with 0 when the update was given up; who follows that update is\n\
         told so, and ends with 1. Where somebody still builds, his lock is free at once, his\n\
         build is ended, and nothing that he still writes counts.",
        "echo cancel > /deploy/active/web/ctl"),
    verb(Is::Rollback, "rollback", "SERVICE [VERSION]", (1, 2), FOLLOWED,
        "go back to an earlier version",
        "With an update in flight, paused or failed: back to what is deployed. Else to the\n\
         version before it, or to any that `deploy history` shows as completed, by number (v3)\n\
         or name.",
        "echo rollback > /deploy/active/web/ctl"),
    verb(Is::Restart, "restart", "SERVICE…", (1, ANY), FOLLOWED,
        "replace every instance, same version", "",
        "echo restart > /deploy/active/web/ctl"),
    verb(Is::Scale, "scale", "SERVICE N", (2, 2), FOLLOWED,
        "run N instances, 0 to 1000", "", "echo scale 4 > /deploy/active/web/ctl"),
    verb(Is::Stop, "stop", "SERVICE…", (1, ANY), FOLLOWED,
        "end all instances, keep the service", "Apply starts it again.",
        "echo stop > /deploy/active/web/ctl"),
    verb(Is::Remove, "remove", "SERVICE…", (1, ANY), FOLLOWED,
        "end all instances, forget the service", "Its history is forgotten, too.",
        "echo remove > /deploy/active/web/ctl"),
    verb(Is::History, "history", "SERVICE [VERSION]", (1, 2), &[],
        "the versions kept: who, when, how each ended",
        "With a version, by number (v3) or name, its manifest as it was applied. With --json\n\
         failure is its instance that failed last, as deploy help apply tells its fields.",
        "ls /deploy/active/web/history"),
    verb(Is::Events, "events", "[SERVICE]", (0, 1), &[FOLLOW, SINCE],
        "what happened, a line an event", "", "cat /deploy/active/web/events"),
    verb(Is::Logs, "logs", "[SERVICE[/N]]", (0, 1), &[FOLLOW, SINCE],
        "what instances wrote: of all services, or of one",
        "N is the number that status shows. It is a place, and another instance may take it; a\n\
         line has the instance's id behind its time, as web-9, which never changes and is the\n\
         instance's host name too. status shows both, and logs web-9 takes the id, also that of\n\
         an instance that is gone: the last ten of a service are kept, 32 MiB at most. With -f\n\
         it goes on over restarts and updates until the service is removed.",
        "tail -f /deploy/active/web/log"),
    verb(Is::Wait, "wait", "SERVICE", (1, 1), &[TIMEOUT],
        "wait for an update's end, and say how it ended",
        "Without one in flight it says how the last one ended. It ends with the status of an\n\
         apply that was followed, but with 0 also when the update was cancelled or rolled back\n\
         because somebody asked for it.",
        "cat /deploy/active/web/wait"),
    verb(Is::Push, "push", "NAME:TAG PATH", (2, 2), &[],
        "make an image of a directory or a program",
        "PATH is read by the server, on its machine; with a program go the libraries it needs.\n\
         The image's digest is printed. Ctrl-C gives the push up; so does cancel-push NAME:TAG\n\
         in the ctl at the root.",
        "echo push app:1.0 /srv/app > /deploy/ctl"),
    verb(Is::Images, "images", "", (0, 0), &[],
        "the images: reference, digest, bytes, used by", "", "cat /deploy/images"),
    verb(Is::Gc, "gc", "", (0, 0), &[TIMEOUT],
        "remove images that nothing uses, and list them",
        "What instances run from stays, what any history or manifest names, and for an hour what\n\
         was pushed, pulled or asked for. One goes on at a time; Ctrl-C does not end it.",
        "echo gc > /deploy/ctl"),
    verb(Is::Run, "run", "JOB [-- WORD…]", (1, ANY), &[ENV, RUN_TIMEOUT, RUN_DETACH],
        "run a job once, and end as it ends",
        "A job is a task block that apply -f keeps, in jobs/. Words behind -- take the place of\n\
         its command, --env and --timeout that of what it says. What it writes comes to standard\n\
         output and standard error, and its exit status is this command's; 124 says that its\n\
         time was over, and 125 that it could not be started. It is never started again. Ctrl-C\n\
         leaves it running, says so, and ends with 130: deploy kill ends a task.",
        "n=$(cat /deploy/tasks/clone); cp /deploy/jobs/migrate /deploy/tasks/$n/spec\n  \
         echo start > /deploy/tasks/$n/ctl; cat /deploy/tasks/$n/wait"),
    verb(Is::Ps, "ps", "", (0, 0), &[],
        "tasks that run, and the last hundred that ended", "",
        "cat /deploy/tasks/*/status"),
    verb(Is::Kill, "kill", "TASK…", (1, ANY), &[],
        "end tasks, by their numbers",
        "Each is sent its stop_signal, and killed after its stop_timeout.",
        "echo kill > /deploy/tasks/7/ctl"),
    verb(Is::Volume, "volume", "[list | delete NAME…]", (0, ANY), &[],
        "the named volumes, and who uses each",
        "delete takes one with all that is in it, when nothing that is kept names it: no\n\
         instance, nothing deployed, no version that a rollback could go to. Removing the\n\
         service lets go of them.",
        "cat /deploy/volumes/data; rm /deploy/volumes/data"),
    verb(Is::Top, "top", "", (0, 0), &[],
        "what goes through the routes now",
        "Requests and errors a second, in flight, and times, a line a route and a line an\n\
         instance: of the last second, drawn again each second on a terminal, until Ctrl-C,\n\
         and once anywhere else.",
        "cat /deploy/edges/main/metrics"),
    verb(Is::Metrics, "metrics", "", (0, 0), &[],
        "figures of server and edges for Prometheus", "", "cat /deploy/metrics"),
    verb(Is::Secret, "secret",
        "VERB [NAME…]",
        (1, ANY), &[],
        "sealed values, and which services have them",
        "set NAME · list · grant NAME SERVICE… · revoke NAME SERVICE…\n\
         delete NAME · rotate-key\n\n\
         set takes the value from standard input, to the byte, or on a terminal asks for it and\n\
         shows nothing: a line there, without its end. From standard input a line's end at the\n\
         end is part of the value: printf %s VALUE has none. 64 KiB at most. Nobody can read it\n\
         again; list tells the version, a number no value had before, when it was set, and who\n\
         has it.\n\
         A service gets the secrets its manifest names and that it was granted: secret NAME is\n\
         the file /secret/NAME, readable for the program's user alone, in memory; secret NAME env\n\
         KEY is a variable instead. In a .hcl file env { KEY = \"${secret(NAME)}\" } is the same.\n\
         A new value is given by the next apply, as an update, and a rollback gives the old one\n\
         back. Without a secret, or a grant, apply is refused before anything happens. revoke\n\
         counts from the next apply; what runs keeps what it has. delete is refused while what is\n\
         deployed, or rollback goes to, means it.\n\
         rotate-key seals everything under a new key, in secret.key in the state directory.",
        "printf %s VALUE > /deploy/secrets/NAME; echo NAME >> /deploy/grants/web"),
    verb(Is::Cat, "cat", "PATH…", (1, ANY), &[],
        "print files of the tree", "One that waits is printed as it comes, until Ctrl-C.",
        "cat /deploy/PATH"),
    verb(Is::Write, "write", "PATH [WORD…]", (1, ANY), &[],
        "write words, or standard input, into a file",
        "Into a lock standard input is written line by line, as it comes, and it is held until\n\
         that ends.", "echo WORD > /deploy/PATH"),
    verb(Is::Ls, "ls", "[PATH…]", (0, ANY), &[LONG],
        "list directories of the tree", "", "ls -l /deploy/PATH"),
    verb(Is::Tree, "tree", "[PATH]", (0, 1), &[],
        "every file below a directory, indented by depth", "", "find /deploy"),
    verb(Is::Stdio, "stdio", "", (0, 0), &[],
        "carry standard input and output to the server",
        "The address ssh!user@host runs this at its other end.", ""),
    verb(Is::Help, "help", "[VERB | manifest]", (0, 1), &[],
        "this, a verb in full, or the keys of a manifest", "", "cat /deploy/help"),
];

#[allow(clippy::too_many_arguments, reason = "the columns of one table")]
const fn verb(
    is: Is,
    name: &'static str,
    words: &'static str,
    (least, most): (usize, usize),
    flags: &'static [Flag],
    meaning: &'static str,
    more: &'static str,
    by_hand: &'static str,
) -> Verb {
    Verb { is, name, words, least, most, flags, meaning, more, by_hand }
}

/// The verb of that name.
pub(crate) fn find(name: &str) -> Option<&'static Verb> {
    VERBS.iter().find(|verb| verb.name == name)
}

impl Verb {
    /// As it is written: `rollback SERVICE [VERSION]`.
    pub(crate) fn usage(&self) -> String {
        format!("{} {}", self.name, self.words).trim_end().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flag::EVERYWHERE;
    use std::collections::BTreeSet;

    #[test]
    fn every_verb_stands_once_and_says_what_it_does() {
        for verb in VERBS {
            let same = VERBS.iter().filter(|other| other.name == verb.name || other.is == verb.is);
            assert_eq!(same.count(), 1, "{}", verb.name);
            assert!(!verb.meaning.is_empty() && !verb.meaning.ends_with('.'), "{}", verb.name);
            assert!(verb.least <= verb.most, "{}", verb.name);
        }
    }

    #[test]
    fn no_letter_or_word_of_a_flag_means_two_things_of_one_verb() {
        for verb in VERBS {
            let flags = || verb.flags.iter().chain(EVERYWHERE);
            let letters: Vec<char> = flags().filter_map(|flag| flag.short).collect();
            let words: Vec<&str> = flags().filter_map(|flag| flag.long).collect();
            assert_eq!(letters.iter().collect::<BTreeSet<_>>().len(), letters.len());
            assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len());
        }
    }
}
