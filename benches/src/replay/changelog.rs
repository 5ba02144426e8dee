//! Days and versions of a Debian changelog (Debian policy 4.4).

/// Returns the entries of a source, oldest first: the day, and the version.
pub(crate) fn entries(text: &str, source: &str) -> Vec<(i64, String)> {
    let mut entries = Vec::new();
    let mut version = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix(" -- ") {
            let date = rest.rsplit("  ").next().and_then(mail_day);
            if let (Some(day), Some(version)) = (date, version.take()) {
                entries.push((day, version));
            }
        } else if !line.is_empty() && !line.starts_with([' ', '\t']) {
            let head = line.split_once(" (").filter(|(name, _)| *name == source);
            version = head.and_then(|(_, rest)| rest.split(')').next()).map(str::to_owned);
        }
    }
    entries.sort();
    entries
}

/// Returns the day of `Mon, 02 Jan 2006 15:04:05 -0700`, counted from 1970-01-01; the zone is left out of account.
fn mail_day(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(',')?.1.split_whitespace();
    let day = words.next()?.parse().ok()?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|name| month.starts_with(name))? as i64 + 1;
    days(words.next()?.parse().ok()?, month, day)
}

/// Returns the day of `2006-01-02`, counted from 1970-01-01.
pub(crate) fn day(text: &str) -> Option<i64> {
    let mut parts = text.split('-').map(str::parse);
    days(parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?)
}

fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1970..3000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years that begin in March have their leap day at their end.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    Some(year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_as_the_calendar_does() {
        for (text, expected) in [("1970-01-01", 0), ("1972-03-01", 790), ("2000-02-29", 11_016), ("2023-06-10", 19_518)]
        {
            assert_eq!(day(text), Some(expected), "{text}");
        }
        assert_eq!(day("2023-13-01"), None);
    }

    #[test]
    fn entries_are_those_of_the_source() {
        let text = "zlib (1:1.3-2) unstable; urgency=low\n\n  * x (y)\n\n -- A <a@b>  Sat, 10 Jun 2023 10:00:00 +0200\n\n\
                    zlib (1:1.3-1) unstable; urgency=low\n\n -- A <a@b>  Thu, 01 Jan 1970 00:00:00 +0000\n\
                    other (2) x; y\n\n -- A <a@b>  Fri, 02 Jan 1970 00:00:00 +0000\n";
        assert_eq!(entries(text, "zlib"), [(0, "1:1.3-1".to_owned()), (19_518, "1:1.3-2".to_owned())]);
    }
}
