//! What derivations change of what stands in the tree already, and what they report of lines that cannot be done.

use super::merge::{Owner, Tree, What};
use super::systemd;
use crate::tree::{ImagePath, Meta};

impl Tree<'_> {
    /// Gives what stands at a path another mode or owner. A directory goes to the layer of derived state with it; a
    /// package's file keeps its place in the package's layer.
    pub(super) fn adjust(&mut self, path: &ImagePath, rule: &'static str, change: impl FnOnce(&mut Meta)) {
        let Some(node) = self.nodes.get_mut(path.as_str()) else { return };
        let before = node.meta.clone();
        let settled = matches!(node.owner, Owner::File(_) | Owner::Certificate(_));
        if settled || node.owner == Owner::Base && node.what != What::Directory {
            return;
        }
        change(&mut node.meta);
        if node.what == What::Directory && node.meta != before {
            node.owner = Owner::Derived(rule);
        }
    }

    /// Reports lines of packages' configuration that cannot be done: by package and file.
    pub(super) fn report_lines(&mut self, lines: Vec<(systemd::Line, &'static str)>) {
        for (line, problem) in lines {
            if problem == systemd::MACHINE {
                self.report.notes.push(format!("`{}` in {} is left out: {problem}", line.text, line.place()));
                continue;
            }
            let known = self
                .report
                .unhandled
                .iter_mut()
                .find(|(package, file, _)| *package == line.package && *file == line.file);
            match known {
                Some((_, _, lines)) => lines.push(line.text),
                None => self.report.unhandled.push((line.package, line.file, vec![line.text])),
            }
        }
    }
}
