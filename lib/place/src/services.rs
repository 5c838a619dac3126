//! Services as a fleet knows them: how many instances of each are where.

use std::collections::BTreeMap;

use crate::counts::Counts;

/// A service that somebody wants, or that somebody wants to be beside, or not to be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Service {
    pub(crate) name: String,
    /// Instances a node.
    pub(crate) counts: Counts,
    /// Instances a class, in the order of classes; kept while `spreads` is not 0.
    pub(crate) by_class: Vec<(u32, u32)>,
    /// Wants of it that spread over a label.
    pub(crate) spreads: u32,
    /// Wants, of whatever service, that must not be beside it.
    pub(crate) shunned_by: Vec<u32>,
    /// Wants that are of it or speak of it.
    uses: u32,
}

/// All of them, by number and by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Services {
    all: Vec<Service>,
    by_name: BTreeMap<String, u32>,
    vacant: Vec<u32>,
}

impl Services {
    /// The number of a service, made when it is first spoken of.
    pub(crate) fn used(&mut self, name: &str) -> u32 {
        let number = match self.by_name.get(name) {
            Some(known) => *known,
            None => {
                let number = self.vacant.pop().unwrap_or_else(|| {
                    self.all.push(Service::default());
                    u32::try_from(self.all.len() - 1).unwrap_or(u32::MAX)
                });
                self.by_name.insert(name.to_owned(), number);
                self.at_mut(number).name = name.to_owned();
                number
            }
        };
        self.at_mut(number).uses += 1;
        number
    }

    /// One want fewer speaks of it.
    pub(crate) fn left(&mut self, number: u32) {
        let service = &mut self.all[number as usize];
        service.uses -= 1;
        if service.uses == 0 {
            self.by_name.remove(&std::mem::take(service).name);
            self.vacant.push(number);
        }
    }

    pub(crate) fn at(&self, number: u32) -> &Service {
        &self.all[number as usize]
    }

    pub(crate) fn at_mut(&mut self, number: u32) -> &mut Service {
        &mut self.all[number as usize]
    }

    pub(crate) fn each_mut(&mut self) -> impl Iterator<Item = &mut Service> {
        self.all.iter_mut()
    }
}

impl Service {
    /// Counts instances by class anew, after nodes were sorted into classes.
    pub(crate) fn sort(&mut self, class_of: impl Fn(u32) -> u32) {
        let mut by_class: BTreeMap<u32, u32> = BTreeMap::new();
        if self.spreads > 0 {
            for (slot, count) in self.counts.each() {
                *by_class.entry(class_of(slot)).or_default() += count;
            }
        }
        self.by_class = by_class.into_iter().collect();
    }

    pub(crate) fn add(&mut self, slot: u32, class: u32, of: usize) {
        self.counts.add(slot, of);
        if self.spreads > 0 {
            match self.by_class.binary_search_by_key(&class, |(class, _)| *class) {
                Ok(at) => self.by_class[at].1 += 1,
                Err(at) => self.by_class.insert(at, (class, 1)),
            }
        }
    }

    pub(crate) fn take(&mut self, slot: u32, class: u32) {
        self.counts.take(slot);
        if let Ok(at) = self.by_class.binary_search_by_key(&class, |(class, _)| *class) {
            self.by_class[at].1 -= 1;
            if self.by_class[at].1 == 0 {
                self.by_class.remove(at);
            }
        }
    }
}
