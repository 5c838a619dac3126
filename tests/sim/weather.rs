//! What goes wrong by chance, how often in this run, and how it is mended.

use crate::chance::Chance;
use crate::node::Later;
use crate::sim::{Ev, Millis, Sim};
use rollout::Exit;

/// What is out of order and will be in order again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The store refuses and loses.
    Store,
    /// The disk is full.
    Full,
    /// The node takes long.
    SlowNode,
    /// An edge takes long.
    SlowEdge(usize),
}

/// How a run is.
#[derive(Debug, Clone)]
pub(crate) struct Weather {
    /// Of a thousand turns so many are the server's last.
    pub(crate) deaths: u64,
    /// Of a thousand answers so many are told twice.
    pub(crate) doubles: u64,
    /// Milliseconds between two strokes of chance, about.
    every_ms: Millis,
    /// What the node has to give, in thousandths of a core.
    pub(crate) cpu_milli: u32,
    /// The node takes so much longer.
    slow_ms: Millis,
    /// When the last thing that it told arrives.
    pub(crate) told_at: Millis,
}

impl Weather {
    pub(crate) fn new(chance: &mut Chance) -> Weather {
        Weather {
            deaths: chance.pick(&[0, 1, 3, 10]),
            doubles: chance.pick(&[0, 20, 100]),
            every_ms: chance.pick(&[1_000, 4_000, 20_000]),
            cpu_milli: chance.pick(&[100_000, 100_000, 2_000]),
            slow_ms: 0,
            told_at: 0,
        }
    }

    pub(crate) fn order_ms(&self, chance: &mut Chance) -> Millis {
        chance.below(4) + if self.slow_ms > 0 { chance.below(self.slow_ms) } else { 0 }
    }

    pub(crate) fn told_ms(&self, chance: &mut Chance) -> Millis {
        self.order_ms(chance)
    }
}

impl Sim {
    /// Chance does something.
    pub(crate) fn mischief(&mut self) {
        if self.is_calm() {
            return;
        }
        let ms = self.weather.every_ms;
        let ms = self.chance.between(ms / 4, ms * 2);
        self.after(ms, Ev::Mischief);
        match self.chance.below(30) {
            0..=14 => self.container_fails(),
            15 => self.node_dies(),
            16 if self.chance.below(3) == 0 => self.machine_restarts(),
            17 => self.connection_breaks(),
            18 => self.trouble(Trouble::SlowNode),
            19 | 20 => self.trouble(Trouble::Store),
            21 => self.trouble(Trouble::Full),
            22 | 23 => self.clock_is_set(),
            24 | 25 => self.edge_dies(),
            26 => {
                let which = self.chance.below(self.edges.len() as u64) as usize;
                self.trouble(Trouble::SlowEdge(which));
            }
            27 => self.stray_appears(),
            _ => {
                if self.weather.deaths > 0 {
                    self.server_dies();
                }
            }
        }
    }

    /// A container ends, or changes its answers.
    fn container_fails(&mut self) {
        let running: Vec<&String> =
            self.node.boxes.iter().filter(|(_, one)| one.runs()).map(|(id, _)| id).collect();
        let Some(id) = running.get(self.chance.below(running.len().max(1) as u64) as usize) else {
            return;
        };
        let id = (*id).clone();
        let later = match self.chance.below(8) {
            0 => {
                self.figures.count("exits with 0");
                Later::Ends(id, Exit::default())
            }
            1 => {
                self.figures.count("out of memory");
                let signal = Some("KILL".to_string());
                Later::Ends(id, Exit { code: 137, signal, oom: true, reason: None })
            }
            2..=4 => {
                self.figures.count("exits");
                Later::Ends(id, Exit { code: 3, ..Exit::default() })
            }
            5 => Later::Healthy(id, true),
            _ => {
                self.figures.count("failed probes");
                if self.chance.below(2) == 0 {
                    let ms = self.chance.between(10, 5_000);
                    self.after(ms, Ev::Node(Later::Healthy(id.clone(), true)));
                }
                Later::Healthy(id, false)
            }
        };
        self.after(0, Ev::Node(later));
    }

    /// The node's process ends; its containers go on.
    fn node_dies(&mut self) {
        if !std::mem::replace(&mut self.node_up, false) {
            return;
        }
        self.figures.count("deaths of the node");
        self.node.pushing.clear();
        self.hangs_up();
        let ms = self.chance.between(20, 8_000);
        self.after(ms, Ev::NodeBegins);
    }

    /// The connection between server and node ends, and with it what was on its way.
    fn connection_breaks(&mut self) {
        self.figures.count("connections lost");
        self.hangs_up();
    }

    fn hangs_up(&mut self) {
        use deployfs::arrival::{Arrival, Heard};
        if self.server.session.take().is_some() || self.server.opening.take().is_some() {
            self.laws.apart();
            let reason = "connection lost".to_string();
            self.arrives(Arrival::Heard(Heard::NodeDown { reason }), None);
            let (life, ms) = (self.server.life, self.chance.between(100, 400));
            self.after(ms, Ev::Dials(life));
        }
    }

    /// The machine of the node restarts: of some containers the end is known, others are gone.
    fn machine_restarts(&mut self) {
        self.figures.count("restarts of the node's machine");
        self.node_dies();
        let ids: Vec<String> = self.node.boxes.keys().cloned().collect();
        for id in ids {
            self.laws.fell(&id);
            if self.chance.below(3) == 0 {
                self.node.boxes.remove(&id);
                self.figures.count("containers lost");
            } else {
                let signal = Some("KILL".to_string());
                let exit = Exit { code: 137, signal, ..Exit::default() };
                self.node.comes(Later::Ends(id, exit), self.now, &mut self.chance);
            }
        }
        // Nobody was there to be told.
        self.node.told.clear();
    }

    pub(crate) fn node_begins(&mut self) {
        self.node_up = true;
    }

    /// There is a container that nobody asked for.
    fn stray_appears(&mut self) {
        if self.node_up {
            return;
        }
        let Some((_, one)) = self.node.boxes.iter().find(|(_, one)| one.runs()) else { return };
        self.figures.count("strays");
        let mut one = one.clone();
        one.late = true;
        let name = format!("web-{}", 900_000 + self.chance.below(100));
        self.node.boxes.insert(name, one);
    }

    fn trouble(&mut self, trouble: Trouble) {
        let ms = self.chance.between(100, 6_000);
        match trouble {
            Trouble::Store => self.disk.fail(300, 200),
            Trouble::Full => self.disk.set_full(true),
            Trouble::SlowNode => {
                self.figures.count("times of a slow node");
                self.weather.slow_ms = self.chance.pick(&[200, 2_000]);
            }
            Trouble::SlowEdge(which) => {
                self.figures.count("times of a slow edge");
                self.edges[which].slow_ms = self.chance.pick(&[300, 2_000, 8_000]);
            }
        }
        self.after(ms, Ev::Mended(trouble));
    }

    pub(crate) fn mended(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Store => self.disk.fail(0, 0),
            Trouble::Full => self.disk.set_full(false),
            Trouble::SlowNode => self.weather.slow_ms = 0,
            Trouble::SlowEdge(which) => self.edges[which].slow_ms = 0,
        }
    }

    /// Somebody sets the machine's clock: forwards only while there is a server that knows how
    /// much time has passed.
    fn clock_is_set(&mut self) {
        let ms = self.chance.pick(&[50, 2_000, 60_000, 3_600_000, 100_000_000]) as i64;
        if self.chance.below(2) == 0 {
            self.off -= ms;
            self.figures.count("clocks set back");
        } else if self.server.wheel.is_some() {
            self.off += ms;
            self.figures.count("clocks set forward");
        }
    }

    fn edge_dies(&mut self) {
        use deployfs::arrival::Arrival;
        use deployfs::edges::Deed;
        let which = self.chance.below(self.edges.len() as u64) as usize;
        if !self.edges[which].up {
            return;
        }
        self.figures.count("deaths of an edge");
        let (name, open) = (self.edges[which].name.to_string(), self.edges[which].open);
        let forgets = self.chance.strikes(200);
        self.edges[which].dies(forgets);
        if let Some(open) = open {
            let deed = Deed::Closed(open);
            self.arrives(Arrival::Edge { edge: name, deed }, None);
        }
        let ms = self.chance.between(10, 9_000);
        self.after(ms, Ev::EdgeBegins(which));
    }

    pub(crate) fn edge_begins(&mut self, which: usize) {
        self.edges[which].up = true;
        let life = self.edges[which].life;
        let ms = self.chance.between(1, 100);
        self.after(ms, Ev::Edge(which, life, crate::edge::Later::Connects));
    }

    /// All goes well from now on.
    pub(crate) fn calms(&mut self) {
        self.all_leave();
        self.weather.deaths = 0;
        self.weather.doubles = 0;
        self.weather.slow_ms = 0;
        self.node.calm = true;
        self.disk.fail(0, 0);
        self.disk.set_full(false);
        self.edges.iter_mut().for_each(|edge| edge.slow_ms = 0);
        let sick = self.node.boxes.iter().filter(|(_, one)| one.runs() && one.was_healthy);
        let sick: Vec<String> = sick.map(|(id, _)| id.clone()).collect();
        for id in sick {
            self.after(0, Ev::Node(Later::Healthy(id, true)));
        }
    }
}
