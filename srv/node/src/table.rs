//! The tree the node serves, a row a file; the indentation of a name is its depth.

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum File {
    Root,
    Help,
    Ctl,
    Error,
    Status,
    Events,
    Images,
    Gc,
    Instances,
    Instance,
    InstanceCtl,
    Spec,
    Secrets,
    InstanceStatus,
    Log,
    Tail,
    Logs,
    Kept,
    Volumes,
    Volume,
}

/// A row.
#[derive(Debug)]
pub(crate) struct Row {
    /// The name behind four blanks a level; `<id>` stands for every instance's.
    name: &'static str,
    /// Permission bits.
    pub(crate) mode: u32,
    /// Which file it is.
    pub(crate) file: File,
    /// What a read gives; empty: it cannot be read.
    pub(crate) read: &'static str,
    /// What a write does; empty: it cannot be written.
    pub(crate) write: &'static str,
}

const fn row(
    name: &'static str,
    mode: u32,
    file: File,
    read: &'static str,
    write: &'static str,
) -> Row {
    Row { name, mode, file, read, write }
}

/// The tree.
pub(crate) const TREE: &[Row] = &[
    row("/", 0o555, File::Root, "", ""),
    row("    help", 0o444, File::Help, "this tree and the verbs", ""),
    row(
        "    ctl",
        0o220,
        File::Ctl,
        "",
        "pull, push, cancel-push, remove-image, down: a verb a line",
    ),
    row("    error", 0o444, File::Error, "the last refused write, in full", ""),
    row("    status", 0o444, File::Status, "key=value lines about the node", ""),
    row("    events", 0o444, File::Events, "waits: a line for whatever happens", ""),
    row("    images", 0o444, File::Images, "reference, digest, bytes, used by: a line each", ""),
    row("    gc", 0o220, File::Gc, "", "what to keep, a line each, and 'gc': removes other images"),
    row("    instances", 0o775, File::Instances, "", "mkdir makes an instance"),
    row("        <id>", 0o555, File::Instance, "", ""),
    row("            ctl", 0o220, File::InstanceCtl, "", "start, stop, signal, remove"),
    row("            spec", 0o664, File::Spec, "the spec as written", "the spec, once"),
    row("            secrets", 0o200, File::Secrets, "", "values for the start, in memory only"),
    row("            status", 0o444, File::InstanceStatus, "key=value lines", ""),
    row("            log", 0o444, File::Log, "grows: the program's output", ""),
    row("            tail", 0o444, File::Tail, "waits: the log's end, an empty line, and on", ""),
    row("    logs", 0o775, File::Logs, "", ""),
    row("        <id>", 0o444, File::Kept, "all that one wrote that is gone; can be removed", ""),
    row("    volumes", 0o775, File::Volumes, "", ""),
    row("        <id>", 0o444, File::Volume, "where it lies; can be removed, with all in it", ""),
];

/// The name that stands for every instance's.
const ANY: &str = "<id>";
/// Blanks a level.
const INDENT: usize = 4;

impl Row {
    /// The name without its indentation.
    pub(crate) fn name(&self) -> &'static str {
        self.name.trim_start()
    }

    /// The name behind blanks that show where it stands.
    pub(crate) fn indented(&self) -> &'static str {
        self.name
    }

    /// Whether any instance's name stands here, of one that is there or of one that is gone.
    pub(crate) fn any(&self) -> bool {
        self.name() == ANY
    }

    /// Whether it is a directory: the only thing that needs to be gone through.
    pub(crate) fn dir(&self) -> bool {
        match self.file {
            File::Root | File::Instances | File::Instance | File::Logs | File::Volumes => true,
            File::Help
            | File::Ctl
            | File::Error
            | File::Status
            | File::Events
            | File::Images
            | File::Gc
            | File::InstanceCtl
            | File::Spec
            | File::Secrets
            | File::InstanceStatus
            | File::Log
            | File::Tail
            | File::Kept
            | File::Volume => false,
        }
    }

    fn depth(&self) -> usize {
        (self.name.len() - self.name().len()) / INDENT
    }
}

/// The rows right below the row of that number.
pub(crate) fn children(of: usize) -> impl Iterator<Item = usize> {
    let depth = TREE[of].depth();
    let rest = TREE.iter().enumerate().skip(of + 1);
    let below = rest.take_while(move |(_, row)| row.depth() > depth);
    below.filter(move |(_, row)| row.depth() == depth + 1).map(|(number, _)| number)
}

/// The row that the row of that number stands in; the root's is the root.
pub(crate) fn parent(of: usize) -> usize {
    let depth = TREE[of].depth();
    (0..of).rev().find(|&number| TREE[number].depth() + 1 == depth).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(of: &str, below: &[&str]) {
        let of = TREE.iter().position(|row| row.name() == of).unwrap();
        let names: Vec<_> = children(of).map(|n| TREE[n].name()).collect();
        assert_eq!(names, below);
        for child in children(of) {
            assert_eq!(parent(child), of, "{}", TREE[child].name());
        }
    }

    #[test]
    fn the_indentation_is_the_tree() {
        let files = ["help", "ctl", "error", "status", "events", "images", "gc"];
        check("/", &[&files[..], &["instances", "logs", "volumes"]].concat());
        check("volumes", &["<id>"]);
        check("logs", &["<id>"]);
        check("instances", &["<id>"]);
        check("<id>", &["ctl", "spec", "secrets", "status", "log", "tail"]);
        check("events", &[]);
        assert_eq!(parent(0), 0);
    }

    #[test]
    fn a_file_that_can_be_read_says_what_it_gives_and_one_that_can_be_written_what_it_does() {
        for row in TREE.iter().filter(|row| !row.dir()) {
            assert_eq!(row.mode & 0o444 != 0, !row.read.is_empty(), "{}", row.name());
            assert_eq!(row.mode & 0o222 != 0, !row.write.is_empty(), "{}", row.name());
        }
    }
}
