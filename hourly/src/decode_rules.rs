//! Decode rules: by which flags about messages something was read, as a text that tables keep.

/// A sentence if one set of decode rules reads messages in another way than another one.
#[must_use]
pub fn described(computed: &str, ours: &str) -> Option<String> {
    let (then, now) = differences(computed, ours);
    (rules(computed) != rules(ours))
        .then(|| format!("by other rules of messages: then {then}, now {now} (is a flag missing?)"))
}

/// Decode rules without the version of this program's sums: how messages are read.
#[must_use]
pub fn rules(decode_rules: &str) -> &str {
    decode_rules.split_once(' ').map_or(decode_rules, |(_, rules)| rules)
}

/// The flags in which two sets of decode rules differ.
#[must_use]
pub fn differences(one: &str, other: &str) -> (String, String) {
    let (one, other) = (flags(one), flags(other));
    let only = |these: &[&str], those: &[&str]| {
        let mut shown: Vec<String> = these
            .iter()
            .filter(|flag| !those.contains(flag))
            .map(|flag| format!("`{flag}`"))
            .collect();
        let lacks = |flag: &&&str| !these.iter().any(|other| name(other) == name(flag));
        let mut missing: Vec<String> =
            those.iter().filter(lacks).map(|flag| format!("no `{}`", name(flag))).collect();
        missing.dedup();
        shown.append(&mut missing);
        if shown.is_empty() { "without it".to_owned() } else { shown.join(" ") }
    };
    (only(&one, &other), only(&other, &one))
}

/// The flags of decode rules with their values, and in front of them the version of this program's
/// sums.
fn flags(decode_rules: &str) -> Vec<&str> {
    let starts = decode_rules.match_indices(" --").map(|(at, _)| at + 1);
    let starts: Vec<usize> = std::iter::once(0).chain(starts).collect();
    let ends = starts[1..].iter().map(|start| start - 1).chain([decode_rules.len()]);
    starts.iter().zip(ends).map(|(start, end)| &decode_rules[*start..end]).collect()
}

/// A flag without its value; all versions are called alike.
fn name(flag: &str) -> &str {
    if flag.starts_with("--") {
        flag.split_once(' ').map_or(flag, |(name, _)| name)
    } else {
        "version"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_shown_by_the_flags_that_differ_in_them() {
        let shown = |one: &str, other: &str| differences(one, other);
        let texts = |one: &str, other: &str| (one.to_owned(), other.to_owned());
        let base = "2 --file-name n --map a=b --timestamp-zone none";
        let with = |flags: &str| format!("{base}{flags}");
        assert_eq!(
            shown(base, &base.replace("a=b", "a=c d")),
            texts("`--map a=b`", "`--map a=c d`")
        );
        assert_eq!(
            shown(&with(" --where type=match"), base),
            texts("`--where type=match`", "no `--where`")
        );
        let (one, two) = (with(" --where a=1 --where b=2"), with(" --where b=2"));
        assert_eq!(shown(&one, &two), texts("`--where a=1`", "without it"));
        assert_eq!(shown(base, &one), texts("no `--where`", "`--where a=1` `--where b=2`"));
        assert_eq!(shown(base, &base.replace('2', "3")), texts("`2`", "`3`"));
        assert_eq!((rules("1 a b"), rules("2 a c")), ("a b", "a c"));
        assert_eq!(described(base, &base.replace('2', "3")), None, "another version");
        let said =
            "by other rules of messages: then `--map a=b`, now `--map a=c` (is a flag missing?)";
        assert_eq!(described(base, &base.replace("a=b", "a=c")).as_deref(), Some(said));
    }
}
