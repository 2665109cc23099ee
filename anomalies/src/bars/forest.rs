//! Isolation forest (Liu, Ting and Zhou 2008) over shapes: a few values in a row are a point, and a
//! point that random cuts set apart soon is odd.

use crate::random::Random;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// How a forest is grown.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Growth {
    /// Values in a row that make a point.
    pub shingle: usize,
    pub trees: usize,
    /// Points that a tree is grown from.
    pub sample: usize,
    /// Newest values that samples are drawn from.
    pub history: usize,
    /// The forest is grown again after this many values.
    pub renewed_after: usize,
}

impl Default for Growth {
    fn default() -> Self {
        Self { shingle: 8, trees: 40, sample: 256, history: 2048, renewed_after: 64 }
    }
}

/// A forest that is grown again from the newest values as they come. The seed of each growth is its
/// own and the number of values seen.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Forest {
    growth: Growth,
    seed: u64,
    #[serde(with = "crate::exact::many")]
    values: VecDeque<f64>,
    seen: u64,
    /// The mean depth of a point among as many as each tree has.
    #[serde(with = "crate::exact")]
    usual_depth: f64,
    trees: Vec<Vec<Node>>,
}

/// A node of a tree, whose nodes are in one array.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Node {
    /// Points with less than `at` in this dimension go to the next node, the others to `right`.
    Cut {
        dimension: usize,
        #[serde(with = "crate::exact")]
        at: f64,
        right: usize,
    },
    /// The depth at which a point would be alone.
    Leaf {
        #[serde(with = "crate::exact")]
        depth: f64,
    },
}

impl Forest {
    #[must_use]
    pub fn of(growth: Growth) -> Self {
        Self { growth, ..Self::default() }
    }

    /// A tree with draws of its own.
    #[must_use]
    pub fn seeded(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// From about 0.4 for a usual shape to 1 for one that is alone; 0 as long as there is no
    /// forest.
    pub fn score(&mut self, value: f64) -> f64 {
        self.seen += 1;
        self.values.push_back(value);
        let Growth { shingle, history, renewed_after, .. } = self.growth;
        if self.values.len() > history + shingle {
            self.values.pop_front();
        }
        let score = self.score_of_newest();
        if self.seen.is_multiple_of(renewed_after as u64) && self.values.len() >= 2 * shingle {
            self.grow();
        }
        score
    }

    fn score_of_newest(&self) -> f64 {
        if self.trees.is_empty() {
            return 0.0;
        }
        let first = self.values.len() - self.growth.shingle;
        let depth: f64 = self.trees.iter().map(|tree| depth_of(tree, &self.values, first)).sum();
        (-depth / self.trees.len() as f64 / self.usual_depth).exp2()
    }

    fn grow(&mut self) {
        let Growth { shingle, trees, sample, .. } = self.growth;
        let mut random = Random::of(self.seed ^ self.seen);
        let points = self.values.len() - shingle + 1;
        self.usual_depth = usual_depth(sample.min(points));
        let deepest = sample.ilog2() as usize + 2;
        self.trees = (0..trees)
            .map(|_| {
                let mut chosen: Vec<usize> =
                    (0..sample.min(points)).map(|_| random.below(points)).collect();
                let mut tree = Vec::new();
                let mut planter =
                    Planter { values: &self.values, shingle, deepest, random: &mut random };
                planter.plant(&mut tree, &mut chosen, 0);
                tree
            })
            .collect();
    }
}

struct Planter<'a> {
    values: &'a VecDeque<f64>,
    shingle: usize,
    deepest: usize,
    random: &'a mut Random,
}

impl Planter<'_> {
    fn plant(&mut self, tree: &mut Vec<Node>, points: &mut [usize], depth: usize) {
        let cut = if points.len() <= 1 || depth >= self.deepest { None } else { self.cut(points) };
        let Some((dimension, at)) = cut else {
            tree.push(Node::Leaf { depth: depth as f64 + usual_depth(points.len()) });
            return;
        };
        let middle = partition(points, |point| self.values[point + dimension] < at);
        let place = tree.len();
        tree.push(Node::Cut { dimension, at, right: 0 });
        let (left, right) = points.split_at_mut(middle);
        self.plant(tree, left, depth + 1);
        let beginning = tree.len();
        tree[place] = Node::Cut { dimension, at, right: beginning };
        self.plant(tree, right, depth + 1);
    }

    /// As a random cut forest does it (Guha et al. 2016): a dimension in proportion to its extent,
    /// then a place in it.
    fn cut(&mut self, points: &[usize]) -> Option<(usize, f64)> {
        let extents: Vec<(f64, f64)> = (0..self.shingle)
            .map(|dimension| {
                let values = points.iter().map(|point| self.values[point + dimension]);
                values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                    (low.min(value), high.max(value))
                })
            })
            .collect();
        let total: f64 = extents.iter().map(|(low, high)| high - low).sum();
        let mut left = self.random.unit() * total;
        for (dimension, (low, high)) in extents.into_iter().enumerate() {
            left -= high - low;
            let at = high + left;
            if left < 0.0 && at > low {
                return Some((dimension, at));
            }
        }
        None
    }
}

fn depth_of(tree: &[Node], values: &VecDeque<f64>, first: usize) -> f64 {
    let mut place = 0;
    loop {
        match tree[place] {
            Node::Cut { dimension, at, right } => {
                place = if values[first + dimension] < at { place + 1 } else { right }
            }
            Node::Leaf { depth } => return depth,
        }
    }
}

/// The mean depth of a point among `count` points, cut at random.
fn usual_depth(count: usize) -> f64 {
    match count {
        0 | 1 => 0.0,
        2 => 1.0,
        _ => {
            let others = (count - 1) as f64;
            2.0 * (others.ln() + 0.577_215_664_901_532_9) - 2.0 * others / count as f64
        }
    }
}

/// Brings the points that are `wanted` to the front, and says how many they are.
fn partition(points: &mut [usize], wanted: impl Fn(usize) -> bool) -> usize {
    let mut front = 0;
    for index in 0..points.len() {
        if wanted(points[index]) {
            points.swap(index, front);
            front += 1;
        }
    }
    front
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_that_was_never_seen_stands_alone_sooner() {
        let mut forest = Forest::default();
        let wave = |index: usize| (index as f64 / 5.0).sin();
        let usual = (0..1000).map(|index| forest.score(wave(index))).skip(500).fold(0.0, f64::max);
        // Within the range of the wave, and yet not of its shape.
        let flat = (0..8).map(|_| forest.score(0.0)).fold(0.0, f64::max);
        assert!(flat > usual, "{flat} {usual}");
        let far = forest.score(10.0);
        assert!(far > usual, "{far} {usual}");
    }

    #[test]
    fn values_without_any_difference_are_not_odd() {
        let mut forest = Forest::default();
        let scores: Vec<f64> = (0..300).map(|_| forest.score(1.0)).collect();
        assert!(scores.iter().all(|score| *score < 0.500_001), "{scores:?}");
    }
}
