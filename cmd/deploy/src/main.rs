//! `deploy`: the command over the file tree of a deployment server.
//!
//! It parses words, dials, reads and writes files, prints, and ends with a status; echo and cat
//! could replace it. The verbs are one table ([`verb`]); what a server tells becomes values at
//! one edge ([`fact`], [`outcome`]) and is printed from there.
//!
//! Never: decides what an update does; holds any state between two runs; knows more than the
//! files say.

mod ahead;
mod app;
mod apply;
mod ask;
mod bars;
mod build;
mod closing;
mod compare;
mod edges;
mod error;
mod events;
mod exit;
mod fact;
mod failure;
#[cfg(test)]
mod fake_tree;
mod figures;
mod files;
mod flag;
mod flaw;
mod follow;
mod going;
mod guard;
mod help;
mod history;
mod hold;
mod images;
mod joint;
mod json;
mod link;
mod logs;
mod nearest;
mod news;
mod out;
mod outcome;
mod parse;
mod past;
#[cfg(test)]
mod phases_test;
mod plain;
mod plan;
mod room;
mod row;
mod run;
mod screen;
mod secret;
mod show;
mod since;
mod source;
mod status;
mod stdio;
mod stop;
mod task;
mod top;
mod total;
mod typed;
mod verb;
mod volume;
mod wait;
mod walk;
mod work_tree;

use std::process::ExitCode;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let exit = match runtime {
        Ok(runtime) => {
            let exit = runtime.block_on(run::run(std::env::args_os().skip(1)));
            // A read of standard input that nobody waits for any more must not hold us up.
            runtime.shutdown_background();
            exit
        }
        Err(why) => {
            eprintln!("deploy: {}", ninep::words(&why));
            exit::Exit::Other
        }
    };
    ExitCode::from(exit.code())
}
