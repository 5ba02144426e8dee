//! What maintainer scripts would have made: links, users, directories, name service, time zone, alternatives.

use super::apply::is_kept;
use super::error::Error;
use super::merge::{Owner, Refused, Tree, What};
use super::paths;
use super::users::Accounts;
use crate::spec::Platform;
use crate::tree::{ImagePath, Meta};

/// `/etc/nsswitch.conf` where glibc is in without libc-bin's own: what glibc has built in.
const NSSWITCH: &str = "passwd:         files\ngroup:          files\nshadow:         files\n\nhosts:          files dns\n\
                        networks:       files\n\nprotocols:      files\nservices:       files\nethers:         files\n\
                        rpc:            files\n";

/// Directories that every image has: (path, mode).
const DIRECTORIES: &[(&str, u32)] =
    &[("home", 0o755), ("root", 0o700), ("run", 0o755), ("tmp", 0o1777), ("var/tmp", 0o1777)];

/// Adds the merged-/usr links and `/var/run`, before anything is laid over the packages' tree.
pub(super) fn links(tree: &mut Tree<'_>, platform: Platform, source_date: i64) -> Result<(), Error> {
    if tree.packages.is_empty() {
        return Ok(());
    }
    let mut aliases = vec!["bin", "lib", "sbin", "var/lock", "var/run"];
    if platform == Platform::Amd64 {
        aliases.push("lib64");
    }
    aliases
        .extend(["lib32", "libx32"].into_iter().filter(|name| tree.nodes.contains_key(format!("usr/{name}").as_str())));
    for alias in &aliases {
        if tree.nodes.get(*alias).is_some_and(|node| node.owner == Owner::Base && node.what == What::Directory) {
            return Err(Error::Unmerged(format!("/{alias}")));
        }
    }
    tree.derive("directories", "run/lock", Meta::root(0o1777, 0), What::Directory)?;
    for alias in aliases {
        if let Some(target) = paths::alias_target(alias) {
            tree.derive("merged-usr", alias, Meta::root(0o777, source_date), What::Symlink(target.into()))?;
        }
    }
    Ok(())
}

/// Adds everything that stands unless packages or the spec bring it: directories, accounts, name service, time zone.
pub(super) fn defaults(tree: &mut Tree<'_>, accounts: &Accounts, source_date: i64) -> Result<(), Error> {
    for (path, mode) in DIRECTORIES {
        tree.derive("directories", path, Meta::root(*mode, 0), What::Directory)?;
    }
    for (home, uid, gid, mode) in accounts.homes() {
        let path = ImagePath::parse(home).map_err(|error| Error::Local(error.to_string()))?;
        let path = tree.resolve(&path)?;
        let meta = Meta { uid, gid, ..Meta::root(mode, 0) };
        tree.derive("homes", path.as_str(), meta, What::Directory)?;
    }
    let file = |text: String| What::Inline(text.into_bytes());
    let meta = || Meta::root(0o644, source_date);
    // What the base says of its users stays, line by line; ours follow.
    for (path, base, text) in [
        ("etc/passwd", accounts.base_passwd(), accounts.passwd()),
        ("etc/group", accounts.base_group(), accounts.group()),
    ] {
        if !(text.is_empty() && tree.nodes.contains_key(path)) {
            tree.derive_over("users", path, meta(), file(format!("{base}{text}")))?;
        }
    }
    if tree.package("libc6").is_some() {
        let master = tree.text("libc-bin", "usr/share/libc-bin/nsswitch.conf");
        let text = master.map_or_else(|| NSSWITCH.as_bytes().to_vec(), <[u8]>::to_vec);
        tree.derive("nsswitch", "etc/nsswitch.conf", meta(), What::Inline(text))?;
    }
    if is_kept(tree, "usr/share/zoneinfo/Etc/UTC") {
        let target = What::Symlink("/usr/share/zoneinfo/Etc/UTC".into());
        tree.derive("localtime", "etc/localtime", Meta::root(0o777, source_date), target)?;
        tree.derive("localtime", "etc/timezone", meta(), file("Etc/UTC\n".to_owned()))?;
    }
    Ok(())
}

/// Takes out what a derivation made and a `never` of the spec drops.
pub(super) fn drop_derived(tree: &mut Tree<'_>) {
    let derived = tree.nodes.iter().filter(|(_, node)| matches!(node.owner, Owner::Derived(_) | Owner::Status(_)));
    let derived: Vec<ImagePath> = derived.map(|(path, _)| path.clone()).collect();
    // What is below comes first, so that a directory that loses everything can go too.
    for path in derived.into_iter().rev() {
        let Some(never) = tree.choice.never(path.as_str()) else { continue };
        let after = tree.nodes.range(path.clone()..).nth(1);
        if after.is_some_and(|(next, _)| next.is_within(&path)) {
            continue;
        }
        if let Some(node) = tree.nodes.remove(path.as_str()) {
            tree.refused.insert(path, Refused { never, node });
        }
    }
}
