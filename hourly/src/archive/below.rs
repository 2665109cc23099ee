//! Which folder of a template a key lies below, whatever listing has shown it: an earlier template
//! may have had others.

use super::{Folder, PrefixTemplate};

impl PrefixTemplate {
    /// The prefix of the folder that a key, or a directory's name with `/` at its end, lies below;
    /// `None` where it lies below no folder that this template makes.
    #[must_use]
    pub fn prefix_below<'k>(&self, key: &'k str) -> Option<&'k str> {
        let rest = key.strip_prefix(self.stem())?;
        let begin = key.len() - rest.len();
        // What ends within the part that all folders have in common is none.
        let mut ends = rest.match_indices('/').map(|(end, _)| begin + end + 1);
        ends.find(|end| self.hour_of(&key[..*end]).is_some()).map(|end| &key[..end])
    }

    /// That folder, with its hours.
    #[must_use]
    pub fn folder_below(&self, key: &str) -> Option<Folder> {
        let hour = self.hour_of(self.prefix_below(key)?)?;
        self.folders(hour..hour.plus(1)).pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_lies_below_the_folder_that_a_template_makes_at_any_depth() {
        let below = |template: &str, key: &str| {
            let template = PrefixTemplate::parse(template).unwrap();
            template.prefix_below(key).map(str::to_owned)
        };
        let key = "raw/2025-06-02/13/a/t+0+1.json";
        for (template, folder) in [
            ("raw/%Y-%m-%d/%H/", Some("raw/2025-06-02/13/")),
            ("raw/%Y-%m-%d/", Some("raw/2025-06-02/")),
            ("raw/%Y-%m-%d/%H/a/", Some("raw/2025-06-02/13/a/")),
            ("raw/%Y-%m-%d/%H/b/", None),
            ("raw/%Y-%m-%d-%H/", None),
            ("%Y-%m-%d/%H/", None),
        ] {
            assert_eq!(below(template, key).as_deref(), folder, "{template}");
        }
        assert_eq!(below("%Y/%m/%d/", "2025/06/02/").as_deref(), Some("2025/06/02/"));
        assert_eq!(below("%Y/%m/%d/", "2025/06/02"), None, "an object of that name");
    }

    #[test]
    fn a_days_folder_has_all_of_its_hours() {
        let template = PrefixTemplate::parse("raw/%Y-%m-%d/").unwrap();
        let folder = template.folder_below("raw/2025-06-02/13/t+0+1.json").unwrap();
        assert_eq!(folder, template.folders(folder.hours.clone()).remove(0));
        assert_eq!(crate::hour::Hour::each(folder.hours).count(), 24);
    }
}
