//! Tasks when the node answers: what it runs of them, and what is expected, made one.

use super::{Stage, Task, name};
use crate::arrival::Order;
use crate::report::Container;
use crate::turn::Turn;
use crate::world::World;
use std::collections::BTreeMap;

impl World {
    /// The node answers: its containers of tasks are compared with what is expected.
    pub(crate) fn adopt_tasks(
        &mut self,
        containers: &mut BTreeMap<String, Container>,
        turn: &mut Turn,
    ) {
        let numbers: Vec<u32> = self.tasks.all.keys().copied().collect();
        for number in numbers {
            let found = containers.remove(&name(number));
            let Some(task) = self.tasks.all.get(&number).cloned() else { continue };
            match (task.stage, found) {
                (Stage::New, _) => {}
                (Stage::Pulling, _) => self.pull_task(number, turn),
                (Stage::Starting | Stage::Running, Some(found)) => {
                    self.adopt_task(number, &task, &found, turn);
                }
                // It was told to end before it began.
                (Stage::Starting, None) if task.told.is_some() => {
                    self.task_over(number, 143, "killed before it was started".to_string(), turn);
                }
                // What the order to start it was lost with; a name starts one container once.
                (Stage::Starting, None) => {
                    let Some(task) = self.task(number, turn) else { continue };
                    task.stage = Stage::Pulling;
                    self.pull_task(number, turn);
                }
                (Stage::Running, None) => self.task_failed(number, "lost with its node", turn),
                (Stage::Ended, Some(_)) => {
                    turn.orders.push(Order::Remove { container: name(number) });
                }
                (Stage::Ended, None) if task.log_bytes.is_none() => {
                    // Its log is told of with those of all others, where it wrote one.
                    if let Some(task) = self.task(number, turn) {
                        task.log_bytes = Some(0);
                    }
                }
                (Stage::Ended, None) => {}
            }
        }
    }

    fn adopt_task(&mut self, number: u32, task: &Task, found: &Container, turn: &mut Turn) {
        if found.started > 0 || found.state == "running" {
            self.task_runs(number, turn);
        }
        match found.state.as_str() {
            "failed" => self.task_failed(number, &found.reason, turn),
            "exited" => {
                let exit = found.exit.clone().unwrap_or_default();
                self.task_exited(number, &exit, turn);
            }
            "new" if task.told.is_some() => {
                self.task_over(number, 143, "killed before it was started".to_string(), turn);
            }
            // Made, and the order to start it was lost.
            "new" => {
                if let Some(task) = self.task(number, turn) {
                    task.stage = Stage::Pulling;
                }
                self.pull_task(number, turn);
            }
            _ => {
                let at = task.due.map(|due| due.max(turn.now));
                let wake = at.map(|at| Order::Wake { service: name(number), at });
                turn.orders.extend(wake);
                if let Some(why) = task.told.clone() {
                    self.end_task(number, why, turn);
                }
            }
        }
    }
}
