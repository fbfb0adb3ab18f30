//! What a misspelt name was probably meant to be.

/// The known name nearest to `word`, if it is near enough: a third of its length in edits, or the same
/// last part.
pub(super) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str> + Clone) -> Option<&'k str> {
    let folded = word.to_ascii_lowercase();
    let limit = (word.len() / 3).clamp(1, 8);
    let close = known.clone().map(|name| (distance(&folded, name), name)).min_by_key(|(edits, _)| *edits);
    if let Some((edits, name)) = close
        && edits <= limit
    {
        return Some(name);
    }
    let last = folded.rsplit('.').next().filter(|last| last.len() > 3)?;
    known.into_iter().find(|name| name.rsplit('.').next() == Some(last))
}

/// Insertions, deletions and replacements between two texts.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, a) in left.bytes().enumerate() {
        let mut diagonal = index;
        let mut previous = index + 1;
        if let Some(first) = row.first_mut() {
            *first = previous;
        }
        for (cell, b) in row.iter_mut().skip(1).zip(right.bytes()) {
            let replaced = diagonal + usize::from(a != b);
            diagonal = *cell;
            previous = replaced.min(*cell + 1).min(previous + 1);
            *cell = previous;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_names_are_recognised() {
        let known = ["http.host", "http.request.uri.path", "cf.tls_client_auth.cert_verified", "ssl"];
        let nearest = |word| nearest(word, known.into_iter());
        assert_eq!(nearest("http.hosts"), Some("http.host"));
        assert_eq!(nearest("HTTP.HOST"), Some("http.host"));
        assert_eq!(nearest("http.uri.path"), Some("http.request.uri.path"));
        assert_eq!(nearest("tls.cert_verified"), Some("cf.tls_client_auth.cert_verified"));
        assert_eq!(nearest("completely.different"), None);
    }

    #[test]
    fn distances_are_counted_in_edits() {
        for (left, right, edits) in [("", "abc", 3), ("kitten", "sitting", 3), ("a", "a", 0), ("abc", "", 3)]
        {
            assert_eq!(distance(left, right), edits);
        }
    }
}
