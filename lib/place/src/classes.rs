//! Nodes by what constraints can tell apart: a class is all nodes with the same values of the
//! labels that somebody asks for, and a filter is the classes that a set of constraints leaves.
//!
//! Labels that nobody asks for make no class, so that a few constraints make few of them, however
//! many labels nodes have.

use std::collections::BTreeMap;

use manifest::Constraint;

use crate::machine::{Machine, NODE_LABEL};
use crate::row::Row;
use crate::want::Want;

/// Nodes that no constraint in use tells apart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Class {
    /// The number of its value, by label; 0 is a label it has not.
    pub(crate) values: Vec<u32>,
    pub(crate) row: Row,
}

/// One comparison with a label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Term {
    label: String,
    value: String,
    equal: bool,
}

/// Comparisons that wants share, and the classes in which all of them hold.
#[derive(Clone, Debug, Default)]
struct Filter {
    terms: Vec<Term>,
    classes: Vec<u32>,
    uses: u32,
}

/// All classes, and what makes them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Classes {
    /// How many filters and wants speak of a label.
    uses: BTreeMap<String, u32>,
    /// The labels in use, in order, each with the numbers of its values.
    labels: Vec<(String, BTreeMap<String, u32>)>,
    classes: Vec<Class>,
    by_values: BTreeMap<Vec<u32>, u32>,
    filters: Vec<Filter>,
    by_terms: BTreeMap<Vec<Term>, u32>,
}

impl Classes {
    /// The filter of a want. The second answer is whether nodes must be sorted into classes
    /// anew, because a label is asked for that was not before.
    pub(crate) fn filter(&mut self, want: &Want) -> (u32, bool) {
        let mut new = false;
        for label in want.spread() {
            new |= self.use_label(label);
        }
        let terms = terms(want);
        if let Some(known) = self.by_terms.get(&terms) {
            self.filters[*known as usize].uses += 1;
            return (*known, new);
        }
        for term in &terms {
            new |= self.use_label(&term.label);
        }
        let mut filter = Filter { terms: terms.clone(), classes: Vec::new(), uses: 1 };
        let numbered = self.classes.iter().zip(0..);
        let holding = numbered.filter(|(class, _)| self.holds(&filter.terms, &class.values));
        filter.classes = holding.map(|(_, number)| number).collect();
        let vacant = self.filters.iter().position(|filter| filter.uses == 0);
        let at = vacant.unwrap_or(self.filters.len());
        match vacant {
            Some(at) => self.filters[at] = filter,
            None => self.filters.push(filter),
        }
        let number = u32::try_from(at).unwrap_or(u32::MAX);
        self.by_terms.insert(terms, number);
        (number, new)
    }

    /// A want that had this filter is gone; the answer is whether a label is asked for no longer.
    pub(crate) fn release(&mut self, want: &Want, filter: u32) -> bool {
        let mut gone = false;
        for label in want.spread() {
            gone |= self.leave_label(label);
        }
        let kept = &mut self.filters[filter as usize];
        kept.uses -= 1;
        if kept.uses == 0 {
            let terms = std::mem::take(&mut kept.terms);
            kept.classes = Vec::new();
            for term in &terms {
                gone |= self.leave_label(&term.label);
            }
            self.by_terms.remove(&terms);
        }
        gone
    }

    /// Forgets all classes, and takes the labels that are in use now.
    pub(crate) fn clear(&mut self) {
        self.labels = self.uses.keys().map(|label| (label.clone(), BTreeMap::new())).collect();
        self.classes.clear();
        self.by_values.clear();
        for filter in &mut self.filters {
            filter.classes.clear();
        }
    }

    /// The class of a node.
    pub(crate) fn of(&mut self, machine: &Machine) -> u32 {
        let mut values = Vec::with_capacity(self.labels.len());
        for (label, known) in &mut self.labels {
            values.push(match machine.label(label) {
                Some(value) => match known.get(value) {
                    Some(number) => *number,
                    None => {
                        let number = u32::try_from(known.len() + 1).unwrap_or(u32::MAX);
                        known.insert(value.to_owned(), number);
                        number
                    }
                },
                None => 0,
            });
        }
        if let Some(class) = self.by_values.get(&values) {
            return *class;
        }
        let number = u32::try_from(self.classes.len()).unwrap_or(u32::MAX);
        for at in 0..self.filters.len() {
            let filter = &self.filters[at];
            if filter.uses > 0 && self.holds(&filter.terms, &values) {
                self.filters[at].classes.push(number);
            }
        }
        self.by_values.insert(values.clone(), number);
        self.classes.push(Class { values, row: Row::default() });
        number
    }

    pub(crate) fn at(&self, class: u32) -> &Class {
        &self.classes[class as usize]
    }

    pub(crate) fn row_mut(&mut self, class: u32) -> &mut Row {
        &mut self.classes[class as usize].row
    }

    /// The classes that a filter leaves.
    pub(crate) fn left_by(&self, filter: u32) -> &[u32] {
        &self.filters[filter as usize].classes
    }

    /// The place of a label among a class's values, and how many values of it there are, with
    /// the one of nodes that have it not.
    pub(crate) fn label(&self, label: &str) -> Option<(usize, usize)> {
        let at = self.labels.binary_search_by(|(known, _)| known.as_str().cmp(label)).ok()?;
        Some((at, self.labels[at].1.len() + 1))
    }

    fn holds(&self, terms: &[Term], values: &[u32]) -> bool {
        terms.iter().all(|term| {
            let Some((at, _)) = self.label(&term.label) else { return !term.equal };
            let number = self.labels[at].1.get(&term.value);
            let same = number.is_some() && number == values.get(at);
            same == term.equal
        })
    }

    fn use_label(&mut self, label: &str) -> bool {
        let uses = self.uses.entry(label.to_owned()).or_default();
        *uses += 1;
        *uses == 1
    }

    fn leave_label(&mut self, label: &str) -> bool {
        let Some(uses) = self.uses.get_mut(label) else { return false };
        *uses -= 1;
        let gone = *uses == 0;
        if gone {
            self.uses.remove(label);
        }
        gone
    }
}

/// The comparisons of a want, but those with a node's name, which is a class of its own.
fn terms(want: &Want) -> Vec<Term> {
    let terms = want.constraints.iter().filter_map(|constraint| match constraint {
        Constraint::Equal { label, value } => Some((label, value, true)),
        Constraint::NotEqual { label, value } => Some((label, value, false)),
        Constraint::Spread { .. }
        | Constraint::Affinity { .. }
        | Constraint::AntiAffinity { .. } => None,
    });
    let terms = terms.filter(|(label, _, _)| *label != NODE_LABEL);
    let term = |(label, value, equal): (&String, &String, bool)| Term {
        label: label.clone(),
        value: value.clone(),
        equal,
    };
    let mut terms: Vec<Term> = terms.map(term).collect();
    terms.sort();
    terms.dedup();
    terms
}
