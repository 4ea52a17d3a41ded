//! Which output channels share a scale: runs of channels that follow each other.

use std::ops::Range;

/// Channels that share a scale, and the scale: the largest of theirs.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The channels.
    pub channels: Range<usize>,
    /// Their common scale.
    pub scale: f64,
}

/// Most groups of a layer.
const MOST: usize = 16;
/// Most channels of a layer that have a job of their own.
const MOST_ALONE: usize = 32;

/// How the channels of a layer are dealt to jobs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Division {
    /// Channels with a common scale.
    pub groups: Vec<Group>,
    /// Channels that have a job, and so a scale, of their own; the groups that they lie in have room
    /// for them.
    pub alone: Vec<usize>,
}

impl Division {
    /// Jobs in all.
    pub fn jobs(&self) -> usize {
        self.groups.len() + self.alone.len()
    }
}

/// Takes out the channels with the largest scales until the groups that `group` makes of the others
/// leave a mean square of scales of `limit` at most, with as few jobs as possible; None if more than
/// `most` jobs would be needed.
pub fn divide(
    scales: &[f64],
    limit: f64,
    most: usize,
    group: impl Fn(&[f64]) -> Vec<Group>,
) -> Option<Division> {
    let mut order: Vec<usize> = (0..scales.len()).collect();
    order.sort_by(|&a, &b| scales[b].total_cmp(&scales[a]));
    let mut left = scales.to_vec();
    let mut best: Option<Division> = None;
    for alone in 0..=MOST_ALONE.min(scales.len()) {
        let (taken, _) = order.split_at(alone);
        if let Some(&last) = taken.last() {
            left[last] = 0.0;
        }
        // One group and these are too many already.
        if alone >= best.as_ref().map_or(most, |best| best.jobs() - 1) {
            break;
        }
        let groups = group(&left);
        let squares = groups.iter();
        let squares = squares.map(|group| group.scale.powi(2) * group.channels.len() as f64);
        if squares.sum::<f64>() > limit * scales.len() as f64 {
            continue;
        }
        let division = Division {
            groups,
            alone: taken.to_vec(),
        };
        let fewest = best.as_ref().map_or(most.saturating_add(1), Division::jobs);
        if division.jobs() < fewest {
            best = Some(division);
        }
    }
    let mut division = best?;
    division.alone.sort_unstable();
    Some(division)
}

/// Groups whose bounds are multiples of `step`: as few as leave a mean square of scales of
/// `limit` at most; where no number does, those with the smallest.
pub fn fewest(scales: &[f64], step: usize, limit: f64) -> Vec<Group> {
    let units: Vec<&[f64]> = scales.chunks(step.max(1)).collect();
    let most = MOST.min(units.len());
    let plan = Plan::new(&units, most);
    let limit = limit * scales.len() as f64;
    let count = (1..=most).find(|&count| plan.cost(count) <= limit);
    let mut first = 0;
    let mut groups = Vec::new();
    for end in plan.ends(count.unwrap_or(most)) {
        let channels = first * step..(end * step).min(scales.len());
        groups.push(Group {
            scale: largest(&scales[channels.clone()]),
            channels,
        });
        first = end;
    }
    groups
}

/// Groups of so many channels each.
pub fn equal(scales: &[f64], each: usize) -> Vec<Group> {
    let firsts = (0..scales.len()).step_by(each.max(1));
    let group = |first: usize| {
        let channels = first..scales.len().min(first + each);
        Group {
            scale: largest(&scales[channels.clone()]),
            channels,
        }
    };
    firsts.map(group).collect()
}

/// The largest of some scales.
pub fn largest(scales: &[f64]) -> f64 {
    scales.iter().copied().fold(0.0, f64::max)
}

/// The best ways to divide the first units into so many groups.
struct Plan {
    /// By number of groups less one and number of units: squares of scales, and where the last
    /// group begins.
    best: Vec<Vec<(f64, usize)>>,
}

impl Plan {
    fn new(units: &[&[f64]], most: usize) -> Plan {
        let mut best: Vec<Vec<(f64, usize)>> = Vec::with_capacity(most);
        for _ in 0..most {
            let before = best.last();
            let row = (0..=units.len()).map(|end| {
                let (mut scale, mut count) = (0.0, 0);
                let mut least = (f64::INFINITY, 0);
                for first in (0..end).rev() {
                    scale = largest(units[first]).max(scale);
                    count += units[first].len();
                    let left = match before {
                        Some(row) => row[first].0,
                        None if first == 0 => 0.0,
                        None => f64::INFINITY,
                    };
                    let cost = left + scale * scale * count as f64;
                    if cost < least.0 {
                        least = (cost, first);
                    }
                }
                least
            });
            let row = row.collect();
            best.push(row);
        }
        Plan { best }
    }

    /// Sum of the squares of all channels' common scales with so many groups.
    fn cost(&self, groups: usize) -> f64 {
        let row = &self.best[groups - 1];
        row[row.len() - 1].0
    }

    /// Where so many groups end.
    fn ends(&self, groups: usize) -> Vec<usize> {
        let mut ends = Vec::new();
        let mut end = self.best.first().map_or(0, |row| row.len() - 1);
        for row in self.best[..groups.min(self.best.len())].iter().rev() {
            ends.push(end);
            end = row[end].1;
        }
        ends.reverse();
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(groups: &[Group]) -> f64 {
        let squares = groups.iter();
        squares
            .map(|group| group.scale * group.scale * group.channels.len() as f64)
            .sum()
    }

    /// Scales of numbers from a generator.
    fn random(count: usize) -> Vec<f64> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state >> 8) / f64::from(1 << 24)
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn channels_with_by_far_the_largest_scales_are_alone() {
        let mut scales = vec![0.01; 40];
        (scales[3], scales[38]) = (1.0, 0.7);
        let all = |left: &[f64]| equal(left, 40);
        let division = divide(&scales, 1e-4, 8, all).expect("three jobs");
        let rest = Group {
            channels: 0..40,
            scale: 0.01,
        };
        assert_eq!((division.groups, division.alone), (vec![rest], vec![3, 38]));
        assert_eq!(divide(&scales, 1e-4, 2, all), None);
        let division = divide(&scales, 1.0, 8, all).expect("one job");
        assert!(division.alone.is_empty());
    }

    #[test]
    fn as_few_jobs_as_do_are_made() {
        for count in [5, 40, 200] {
            let scales = random(count);
            for limit in [0.3, 0.1, 0.03] {
                let group = |left: &[f64]| fewest(left, 8, limit);
                let Some(division) = divide(&scales, limit, usize::MAX, group) else {
                    continue;
                };
                let jobs = division.jobs();
                assert_eq!(divide(&scales, limit, jobs, group), Some(division.clone()));
                assert_eq!(divide(&scales, limit, jobs - 1, group), None);
                assert!(cost(&division.groups) <= limit * count as f64 + 1e-9);
                for (channel, &scale) in scales.iter().enumerate() {
                    let mut groups = division.groups.iter();
                    let group = groups.find(|group| group.channels.contains(&channel));
                    let group = group.expect("every channel is in a group");
                    let fits = scale <= group.scale;
                    assert!(fits || division.alone.contains(&channel), "{channel}");
                }
            }
        }
    }

    #[test]
    fn alike_channels_make_one_group() {
        let groups = fewest(&[0.5; 20], 8, 0.3);
        let all = Group {
            channels: 0..20,
            scale: 0.5,
        };
        assert_eq!(groups, [all]);
    }

    #[test]
    fn groups_end_where_scales_jump() {
        let mut scales = vec![1.0; 16];
        scales.extend([0.125; 24]);
        scales.extend([0.5; 12]);
        let found = fewest(&scales, 8, 0.39);
        let ranges: Vec<Range<usize>> = found.iter().map(|g| g.channels.clone()).collect();
        assert_eq!(ranges, [0..16, 16..40, 40..52]);
        let scales: Vec<f64> = found.iter().map(|g| g.scale).collect();
        assert_eq!(scales, [1.0, 0.125, 0.5]);
    }

    #[test]
    fn every_channel_is_in_one_group_and_none_has_a_larger_scale() {
        for count in [1, 7, 8, 9, 100, 333] {
            let scales = random(count);
            let mut before = f64::INFINITY;
            for limit in [1.0, 0.7, 0.5, 0.0] {
                let groups = fewest(&scales, 8, limit);
                let mut next = 0;
                for group in &groups {
                    assert_eq!(group.channels.start, next);
                    next = group.channels.end;
                    assert!(next == count || next.is_multiple_of(8));
                    let all = &scales[group.channels.clone()];
                    assert_eq!(group.scale, largest(all));
                }
                assert_eq!(next, count);
                assert!(cost(&groups) <= before);
                before = cost(&groups);
            }
        }
    }

    #[test]
    fn no_division_into_as_many_groups_is_better() {
        let scales = [3.0, 1.0, 2.0, 7.0, 1.0, 1.0, 5.0, 4.0];
        let found = fewest(&scales, 1, 25.0);
        let mut least = f64::INFINITY;
        for first in 0..=7 {
            for second in first..=7 {
                let parts = [0..first, first..second, second..8];
                let parts = parts.into_iter().filter(|part| !part.is_empty());
                let squares = parts.map(|part| {
                    let part = &scales[part];
                    largest(part).powi(2) * part.len() as f64
                });
                least = least.min(squares.sum());
            }
        }
        let three = fewest(&scales, 1, least / 8.0);
        assert_eq!((three.len() <= 3, cost(&three)), (true, least));
        assert!(cost(&found) <= 25.0 * 8.0);
    }
}
