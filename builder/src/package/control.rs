//! What the control archive of a package says (deb-control(5), deb-md5sums(5), deb-conffiles(5)).

use std::io::Read;

use super::Error;
use crate::tar::read as tar;

/// The largest maintainer script.
const MAX_SCRIPT: u64 = 4 << 20;

/// The largest of the other control files.
const MAX_FILE: u64 = 32 << 20;

/// Maintainer scripts that dpkg or debconf run.
const SCRIPTS: [&str; 5] = ["config", "postinst", "postrm", "preinst", "prerm"];

/// The control files that are read.
#[derive(Debug, Default)]
pub(super) struct Control {
    pub(super) fields: Vec<(String, String)>,
    pub(super) md5sums: Vec<(String, String)>,
    pub(super) conffiles: Vec<String>,
    pub(super) triggers: String,
    /// Sorted by name.
    pub(super) scripts: Vec<(String, String)>,
    /// debconf's questions and their default answers.
    pub(super) questions: Vec<(String, String)>,
}

impl Control {
    /// Reads the control archive `member` from its decompressed bytes.
    pub(super) fn read(source: impl Read, member: &str, options: tar::Options) -> Result<Self, Error> {
        let mut control = Self::default();
        let mut stanza = None;
        let mut reader = tar::Reader::new(source, options);
        while let Some(entry) = reader.next().map_err(|error| Error::of_tar(member, error))? {
            let name = entry.path.as_str().to_owned();
            let script = SCRIPTS.contains(&name.as_str());
            if !script && !matches!(name.as_str(), "control" | "md5sums" | "conffiles" | "triggers" | "templates") {
                continue;
            }
            if entry.kind != tar::Kind::File {
                return Err(wrong(&name, "it is no regular file"));
            }
            let limit = if script { MAX_SCRIPT } else { MAX_FILE };
            if entry.size > limit {
                return Err(wrong(&name, &format!("it is larger than {limit} bytes")));
            }
            let mut bytes = vec![0; entry.size as usize];
            let mut filled = 0;
            while filled < bytes.len() {
                filled += reader.read_data(&mut bytes[filled..]).map_err(|error| Error::of_tar(member, error))?;
            }
            if script {
                // Scripts are classified, never run; a stray byte of another charset must not stop a build.
                control.scripts.push((name, String::from_utf8_lossy(&bytes).into_owned()));
                continue;
            }
            if name == "templates" {
                control.questions = questions(&String::from_utf8_lossy(&bytes));
                continue;
            }
            let text = String::from_utf8(bytes).map_err(|_| wrong(&name, "it is not UTF-8"))?;
            match name.as_str() {
                "control" => stanza = Some(text),
                "md5sums" => control.md5sums = md5sums(&text)?,
                "conffiles" => control.conffiles = conffiles(&text),
                _ => control.triggers = text,
            }
        }
        control.fields = fields(&stanza.ok_or_else(|| wrong("control", "it is missing"))?)?;
        for field in ["Package", "Version", "Architecture"] {
            if !control.fields.iter().any(|(name, value)| name.eq_ignore_ascii_case(field) && !value.is_empty()) {
                return Err(wrong("control", &format!("it has no field `{field}`")));
            }
        }
        control.scripts.sort();
        Ok(control)
    }
}

fn wrong(file: &str, problem: &str) -> Error {
    Error::Control { file: file.to_owned(), problem: problem.to_owned() }
}

/// Parses the one stanza: the first line of a value is trimmed, further lines keep their leading blank.
fn fields(text: &str) -> Result<Vec<(String, String)>, Error> {
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut ended = false;
    for (number, line) in text.lines().enumerate() {
        let wrong = |problem: &str| Err(wrong("control", &format!("line {}: {problem}", number + 1)));
        let blank = line.trim_matches([' ', '\t', '\r']).is_empty();
        if blank {
            ended |= !fields.is_empty();
            continue;
        }
        if ended {
            return wrong("a second stanza");
        }
        if line.starts_with([' ', '\t']) {
            let Some((_, value)) = fields.last_mut() else {
                return wrong("a continuation of nothing");
            };
            value.push('\n');
            value.push_str(line.trim_end());
            continue;
        }
        let Some((name, value)) = line.split_once(':') else {
            return wrong("no field");
        };
        if name.is_empty() || name.starts_with(['-', '#']) || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return wrong("not a field name");
        }
        if fields.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            return wrong(&format!("the field `{name}` comes twice"));
        }
        fields.push((name.to_owned(), value.trim().to_owned()));
    }
    Ok(fields)
}

fn md5sums(text: &str) -> Result<Vec<(String, String)>, Error> {
    text.lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            let parts = line.split_once(' ').filter(|(sum, _)| {
                sum.len() == 32 && sum.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            });
            let path = |rest: &str| {
                let path = rest.strip_prefix([' ', '*'])?;
                let path = path.strip_prefix('.').filter(|path| path.starts_with('/')).unwrap_or(path);
                Some(path.strip_prefix('/').unwrap_or(path).to_owned()).filter(|path| !path.is_empty())
            };
            parts
                .and_then(|(sum, rest)| Some((sum.to_owned(), path(rest)?)))
                .ok_or_else(|| wrong("md5sums", &format!("`{}` is no line of it", line.escape_default())))
        })
        .collect()
}

/// Returns each question of a `templates` file (debconf-devel(7)) and what is answered when nobody is asked.
fn questions(text: &str) -> Vec<(String, String)> {
    let mut questions: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        let Some((field, value)) = line.split_once(':') else { continue };
        if field.eq_ignore_ascii_case("Template") {
            questions.push((value.trim().to_owned(), String::new()));
        } else if field.eq_ignore_ascii_case("Default")
            && let Some((_, default)) = questions.last_mut()
        {
            value.trim().clone_into(default);
        }
    }
    questions
}

/// Returns the conffiles, without those that are only named to be removed.
fn conffiles(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| line.trim_end())
        .filter_map(|line| line.strip_prefix('/'))
        .filter(|path| !path.is_empty())
        .map(str::to_owned)
        .collect()
}
