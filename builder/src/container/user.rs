//! The user that an image runs as (OCI image-spec 1.1, config, `User`).

/// Returns the numbers of `user`, `uid`, `user:group` or `uid:gid`; names are those of the image's passwd and group.
///
/// # Errors
/// A name that is not there, as the end of a sentence about the image.
pub(super) fn numbers(text: &str, passwd: &str, group: &str) -> Result<(u32, u32), String> {
    if text.is_empty() {
        return Ok((0, 0));
    }
    let (user, own_group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let line = |table: &str, name: &str, number: Option<u32>| {
        let fields = table.lines().map(|line| line.split(':').collect::<Vec<_>>());
        fields
            .into_iter()
            .find(|fields| {
                fields.first() == Some(&name)
                    || number.is_some() && fields.get(2).and_then(|id| id.parse().ok()) == number
            })
            .map(|fields| fields.into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    let number = |fields: &[String], at: usize| fields.get(at).and_then(|id| id.parse::<u32>().ok());
    let known = line(passwd, user, user.parse().ok());
    let uid = user.parse().ok().or_else(|| number(known.as_ref()?, 2));
    let uid = uid.ok_or_else(|| format!("its passwd has no user `{user}`"))?;
    let gid = match own_group {
        None => known.as_ref().and_then(|fields| number(fields, 3)).unwrap_or(0),
        Some(name) => {
            let gid = name.parse().ok().or_else(|| number(&line(group, name, None)?, 2));
            gid.ok_or_else(|| format!("its group file has no group `{name}`"))?
        }
    };
    Ok((uid, gid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_image_s() {
        let passwd = "root:x:0:0:root:/root:/sbin/nologin\nweb:x:10001:10002::/:\n";
        let group = "root:x:0:\nlog:x:7:\n";
        for (text, expected) in [
            ("", Ok((0, 0))),
            ("5:6", Ok((5, 6))),
            ("10001", Ok((10001, 10002))),
            ("5", Ok((5, 0))),
            ("web", Ok((10001, 10002))),
            ("web:log", Ok((10001, 7))),
            ("who", Err("its passwd has no user `who`".to_owned())),
            ("web:who", Err("its group file has no group `who`".to_owned())),
        ] {
            assert_eq!(numbers(text, passwd, group), expected, "{text}");
        }
    }
}
