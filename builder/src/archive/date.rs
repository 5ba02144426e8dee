//! Dates of a Release: `Sat, 07 Sep 2024 09:12:34 UTC`, nothing looser.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::Offset;

/// Returns seconds since 1970-01-01 UTC for a date as Release files have it.
pub(super) fn parse(text: &str) -> Option<i64> {
    let (weekday, rest) = text.split_once(", ")?;
    let [day, month, year, time, zone] = rest.split(' ').collect::<Vec<_>>().try_into().ok()?;
    let [hour, minute, second] = time.split(':').collect::<Vec<_>>().try_into().ok()?;
    // Some archives write a day or an hour without its leading zero, as apt allows.
    let short = |text: &str| (text.len() == 1 || text.len() == 2).then(|| number(text)).flatten();
    let two = |text: &str| (text.len() == 2).then(|| number(text)).flatten();
    if !matches!(zone, "UTC" | "GMT" | "+0000" | "Z") || year.len() != 4 {
        return None;
    }
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.iter().position(|name| *name == month)? as i8 + 1;
    let date = Date::new(number(year)?, month, short(day)? as i8).ok()?;
    if weekday != short_name(date.weekday()) {
        return None;
    }
    let time = Time::new(short(hour)? as i8, two(minute)? as i8, two(second)? as i8, 0).ok()?;
    Some(Offset::UTC.to_timestamp(date.to_datetime(time)).ok()?.as_second())
}

/// Returns a time for a message, `2024-09-07 09:12:34 UTC`.
pub(super) fn shown(seconds: i64) -> String {
    match jiff::Timestamp::from_second(seconds) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => format!("second {seconds}"),
    }
}

fn number(text: &str) -> Option<i16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn short_name(weekday: Weekday) -> &'static str {
    match weekday {
        Weekday::Monday => "Mon",
        Weekday::Tuesday => "Tue",
        Weekday::Wednesday => "Wed",
        Weekday::Thursday => "Thu",
        Weekday::Friday => "Fri",
        Weekday::Saturday => "Sat",
        Weekday::Sunday => "Sun",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_archives_write_them() {
        assert_eq!(parse("Sat, 07 Sep 2024 09:12:34 UTC"), Some(1_725_700_354));
        assert_eq!(parse("Thu, 01 Jan 1970 00:00:00 UTC"), Some(0));
        assert_eq!(parse("Thu, 29 Feb 2024  0:00:00 UTC"), None);
        assert_eq!(shown(1_725_700_354), "2024-09-07 09:12:34 UTC");
        assert_eq!(shown(i64::MAX), "second 9223372036854775807");
    }

    #[test]
    fn anything_looser_is_refused() {
        for text in [
            "",
            "07 Sep 2024 09:12:34 UTC",
            "Sun, 07 Sep 2024 09:12:34 UTC",
            "Sat, 07 Sep 2024 09:12:34",
            "Sat, 07 Sep 2024 09:12:34 CET",
            "Sat, 07 Sep 2024 09:12:34 +0100",
            "Sat, 07 Sep 24 09:12:34 UTC",
            "Sat, 07 sep 2024 09:12:34 UTC",
            "Sat, 31 Sep 2024 09:12:34 UTC",
            "Sat, 07 Sep 2024 24:00:00 UTC",
            "Sat, 07 Sep 2024 09:60:00 UTC",
            "Sat, 07 Sep 2024 09:12:60 UTC",
            "Sat, 07 Sep 2024 09:12 UTC",
            "Sat, 007 Sep 2024 09:12:34 UTC",
            "Sat, +7 Sep 2024 09:12:34 UTC",
            "Sat, 07 Sep 2024 09:12:34 UTC ",
            "Sat, 07 Sep 2024 300:12:34 UTC",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
