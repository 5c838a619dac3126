//! The file tree as one table: a row a file, the indentation of a name is its depth.
//!
//! README's tree, `help` and the tests are checked against it.

/// A row: a file or a directory of the tree.
#[derive(Debug)]
pub struct Row {
    /// Its name behind two blanks for each level it is deep; `<…>` stands for a name that varies.
    pub line: &'static str,
    /// Permission bits, as shown and as enforced.
    pub mode: u32,
    /// What it is, for the code.
    pub file: File,
    /// How its text comes: see [`Shape`].
    pub shape: Shape,
    /// What a read gives, or a write does, in a few words.
    pub meaning: &'static str,
}

/// How the text of a file comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A directory.
    Dir,
    /// Made when it is opened; one consistent snapshot for the life of the open; length 0.
    Text,
    /// Only grows; a read at its end gives end of file; its length is true.
    Grow,
    /// A read at its end waits for more.
    Wait,
    /// Takes verbs.
    Ctl,
    /// Gives back what was written.
    Draft,
    /// Takes what nobody reads again.
    Sealed,
    /// Held by whoever has it open for writing; a read of others shows who that is.
    Lock,
}

/// Every file of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is described in its row of the table")]
pub enum File {
    Root,
    Help,
    RootCtl,
    RootError,
    RootEvents,
    RootWatch,
    Audit,
    Status,
    Manifests,
    Draft,
    Secrets,
    Secret,
    Grants,
    Grant,
    Active,
    Service,
    Ctl,
    Version,
    PreviousVersion,
    TargetVersion,
    UpdateStatus,
    UpdateProgress,
    UpdatePhase,
    State,
    Events,
    Watch,
    Wait,
    Error,
    Manifest,
    PreviousManifest,
    Replicas,
    Health,
    Endpoints,
    Lock,
    Queue,
    Log,
    Tail,
    History,
    Past,
    Instances,
    Instance,
    InstanceCtl,
    InstanceStatus,
    InstanceLog,
    InstanceTail,
    Nodes,
    Node,
    NodeStatus,
    NodeCapacity,
    NodeAllocated,
    Apps,
    App,
    Volumes,
    Volume,
    Jobs,
    Job,
    Tasks,
    TaskClone,
    Task,
    TaskCtl,
    TaskSpec,
    TaskStatus,
    TaskWait,
    TaskLog,
    TaskTail,
    Images,
    Metrics,
    Routes,
    Edges,
    Edge,
    EdgeRoutes,
    EdgeAck,
    EdgeCtl,
    EdgeStatus,
    EdgeMetrics,
}

use File as F;
use Shape::{Ctl, Dir, Draft, Grow, Lock, Sealed, Text, Wait};

/// The tree.
pub const TREE: &[Row] = &[
    row("", 0o555, F::Root, Dir, ""),
    row("  help", 0o444, F::Help, Text, "this tree and the verbs, a line each"),
    row("  ctl", 0o220, F::RootCtl, Ctl, "<verb> <service> [words]; together, push, gc, down …"),
    row("  error", 0o444, F::RootError, Text, "the last refused write to ctl or to manifests/"),
    row("  events", 0o444, F::RootEvents, Grow, "one line an event, all services"),
    row("  watch", 0o444, F::RootWatch, Wait, "the same lines, as they happen"),
    row("  audit", 0o440, F::Audit, Grow, "who asked for what, over what, and the answer"),
    row("  status", 0o444, F::Status, Text, "a table, a line a service"),
    row("  metrics", 0o444, F::Metrics, Text, "Prometheus text: of this server and its edges"),
    row("  routes", 0o444, F::Routes, Text, "generation; host, path, service, options, backends"),
    row("  images", 0o444, F::Images, Text, "reference, digest, bytes, used by"),
    row("  manifests/", 0o775, F::Manifests, Dir, "create, write, remove: what services should be"),
    row("    <service>", 0o664, F::Draft, Draft, "checked when it is closed after writing"),
    row("  secrets/", 0o770, F::Secrets, Dir, "sealed values: create, write, remove"),
    row("    <name>", 0o220, F::Secret, Sealed, "set when it is closed; never read; its version"),
    row("  grants/", 0o775, F::Grants, Dir, "which secrets a service may have"),
    row("    <service>", 0o664, F::Grant, Draft, "their names, a line each"),
    row("  active/", 0o775, F::Active, Dir, "what is, a directory a service; mkdir makes one"),
    row("    <service>/", 0o555, F::Service, Dir, ""),
    row("      ctl", 0o220, F::Ctl, Ctl, "the verbs, a line each"),
    row("      version", 0o444, F::Version, Text, "the version that is deployed, or empty"),
    row("      previous_version", 0o444, F::PreviousVersion, Text, "the one that rollback goes to"),
    row(
        "      target_version",
        0o444,
        F::TargetVersion,
        Text,
        "the one an update goes to, or that failed",
    ),
    row("      update_status", 0o444, F::UpdateStatus, Text, "none | rolling | paused | failed"),
    row("      update_progress", 0o444, F::UpdateProgress, Text, "new and serving / wanted: 2/3"),
    row(
        "      update_phase",
        0o444,
        F::UpdatePhase,
        Text,
        "idle, or pull place start health … pause",
    ),
    row("      state", 0o444, F::State, Text, "key=value lines: the update in one file"),
    row("      events", 0o444, F::Events, Grow, "one line an event"),
    row("      watch", 0o444, F::Watch, Wait, "the same lines, as they happen"),
    row("      wait", 0o444, F::Wait, Wait, "waits for the update's end, gives its outcome"),
    row("      error", 0o444, F::Error, Text, "the last refused write, in full"),
    row("      manifest", 0o444, F::Manifest, Text, "what is deployed, as written"),
    row("      previous_manifest", 0o444, F::PreviousManifest, Text, "what rollback goes to"),
    row("      replicas", 0o444, F::Replicas, Text, "healthy / wanted: 3/3"),
    row("      health", 0o444, F::Health, Text, "healthy | degraded | unhealthy"),
    row(
        "      endpoints",
        0o444,
        F::Endpoints,
        Text,
        "instance, node, address, state: a line each",
    ),
    row(
        "      lock",
        0o660,
        F::Lock,
        Lock,
        "the deploy lock: held by an open <>; cat shows by whom",
    ),
    row("      queue", 0o660, F::Queue, Lock, "the same, but its open waits until it is free"),
    row("      log", 0o440, F::Log, Grow, "what instances wrote, also those gone; their ids"),
    row("      tail", 0o440, F::Tail, Wait, "the same lines, as they are written"),
    row("      history/", 0o555, F::History, Dir, ""),
    row("        <version>", 0o444, F::Past, Text, "who, when, every end it had; its manifest"),
    row("      instances/", 0o555, F::Instances, Dir, ""),
    row("        <n>/", 0o555, F::Instance, Dir, ""),
    row("          status", 0o444, F::InstanceStatus, Text, "key=value lines"),
    row("          log", 0o440, F::InstanceLog, Grow, "what it wrote"),
    row("          tail", 0o440, F::InstanceTail, Wait, "the same lines, as they are written"),
    row("          ctl", 0o220, F::InstanceCtl, Ctl, "restart | stop | signal NAME"),
    row("  apps/", 0o555, F::Apps, Dir, "what one file deployed together"),
    row("    <name>", 0o444, F::App, Text, "service, version, replicas, update: a line each"),
    row(
        "  jobs/",
        0o775,
        F::Jobs,
        Dir,
        "manifests of tasks, which run once: create, write, remove",
    ),
    row("    <name>", 0o664, F::Job, Draft, "checked when it is closed after writing"),
    row("  tasks/", 0o555, F::Tasks, Dir, "what runs once, and has run"),
    row("    clone", 0o440, F::TaskClone, Text, "its open makes a task, and gives its number"),
    row("    <n>/", 0o555, F::Task, Dir, ""),
    row("      ctl", 0o220, F::TaskCtl, Ctl, "start | kill | signal NAME"),
    row("      spec", 0o664, F::TaskSpec, Draft, "its manifest, until it is started"),
    row("      status", 0o444, F::TaskStatus, Text, "key=value lines"),
    row("      wait", 0o444, F::TaskWait, Wait, "waits for its end, gives exit status and how"),
    row("      log", 0o440, F::TaskLog, Grow, "what it wrote"),
    row("      tail", 0o440, F::TaskTail, Wait, "the same lines, as they are written"),
    row("  volumes/", 0o775, F::Volumes, Dir, "named volumes; removing one deletes what is in it"),
    row("    <name>", 0o444, F::Volume, Text, "key=value lines: state, node, size, used by whom"),
    row("  nodes/", 0o555, F::Nodes, Dir, ""),
    row("    <name>/", 0o555, F::Node, Dir, ""),
    row("      status", 0o444, F::NodeStatus, Text, "key=value lines"),
    row(
        "      capacity",
        0o444,
        F::NodeCapacity,
        Text,
        "cpu in thousandths of a core, memory and volumes in bytes",
    ),
    row("      allocated", 0o444, F::NodeAllocated, Text, "the same, what instances reserve"),
    row("  edges/", 0o555, F::Edges, Dir, "an edge makes its directory, as root"),
    row("    <name>/", 0o555, F::Edge, Dir, ""),
    row("      routes", 0o400, F::EdgeRoutes, Wait, "each table, and a line end GENERATION"),
    row("      ack", 0o200, F::EdgeAck, Ctl, "the edge writes what it serves and has drained"),
    row("      ctl", 0o220, F::EdgeCtl, Ctl, "restart: a new process takes over, none is lost"),
    row("      status", 0o444, F::EdgeStatus, Text, "key=value lines"),
    row("      metrics", 0o444, F::EdgeMetrics, Text, "Prometheus text"),
];

const fn row(
    line: &'static str,
    mode: u32,
    file: File,
    shape: Shape,
    meaning: &'static str,
) -> Row {
    Row { line, mode, file, shape, meaning }
}

impl Row {
    /// How deep it is: 0 for the root.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.line.bytes().take_while(|b| *b == b' ').count() / 2
    }

    /// Its name, without the slash of a directory; `<…>` when it varies.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.line.trim_start().trim_end_matches('/')
    }

    /// Whether its name varies.
    #[must_use]
    pub fn varies(&self) -> bool {
        self.name().starts_with('<')
    }
}

impl File {
    /// Its row; every file has exactly one, which a test checks.
    #[must_use]
    pub fn row(self) -> &'static Row {
        &TREE[self.index()]
    }

    fn index(self) -> usize {
        TREE.iter().position(|row| row.file == self).unwrap_or(0)
    }

    /// The rows directly below it.
    pub fn children(self) -> impl Iterator<Item = &'static Row> {
        let depth = self.row().depth();
        let below = &TREE[self.index() + 1..];
        let inside = below.iter().take_while(move |row| row.depth() > depth);
        inside.filter(move |row| row.depth() == depth + 1)
    }

    /// The directory it is in; the root is in itself.
    #[must_use]
    pub fn parent(self) -> File {
        let depth = self.row().depth();
        let above = TREE[..self.index()].iter().rev();
        above.into_iter().find(|row| row.depth() < depth).map_or(File::Root, |row| row.file)
    }
}

/// The tree as `help` shows it.
#[must_use]
pub fn help() -> String {
    let mut text = String::new();
    for row in TREE.iter().filter(|row| row.file != File::Root) {
        let line = &row.line[2..];
        let shape = match row.shape {
            Dir | Text | Ctl | Draft | Sealed => "",
            Grow => "grow",
            Wait => "wait",
            Lock => "lock",
        };
        let rest = format!("{line:<27} {:04o} {shape:<4}  {}", row.mode, row.meaning);
        text.push_str(rest.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_one_file_and_no_deeper_than_its_parent_allows() {
        for pair in TREE.windows(2) {
            assert!(pair[1].depth() <= pair[0].depth() + 1, "{:?}", pair[1]);
            assert!(
                pair[1].depth() <= pair[0].depth() || pair[0].shape == Dir,
                "{:?} is inside a plain file",
                pair[1]
            );
        }
        for row in TREE {
            let same = TREE.iter().filter(|other| other.file == row.file).count();
            assert_eq!(same, 1, "{row:?}");
            assert_eq!(row.shape == Dir, row.line.ends_with('/') || row.file == File::Root);
        }
    }

    #[test]
    fn a_file_is_readable_or_writable_not_both_but_for_drafts_and_locks() {
        for row in TREE.iter().filter(|row| !matches!(row.shape, Dir | Draft | Lock)) {
            assert!(row.mode & 0o444 == 0 || row.mode & 0o222 == 0, "{row:?}");
        }
    }

    #[test]
    fn parents_and_children_agree() {
        for row in TREE.iter().filter(|row| row.file != File::Root) {
            let parent = row.file.parent();
            assert!(parent.children().any(|child| child.file == row.file), "{row:?}");
        }
        assert_eq!(File::InstanceLog.parent(), File::Instance);
        assert_eq!(File::Root.children().count(), 20);
    }
}
