//! Turns: whoever comes first in a round has no advantage of it in the next.

/// So many rounds in which each of `all` is measured once.
///
/// # Errors
/// The first of a measurement.
pub(crate) fn turns<T>(
    rounds: usize,
    all: &mut [T],
    mut measure: impl FnMut(&mut T) -> Result<(), String>,
) -> Result<(), String> {
    let count = all.len();
    for round in 0..rounds {
        for place in 0..count {
            measure(&mut all[(round + place) % count])?;
        }
    }
    Ok(())
}
