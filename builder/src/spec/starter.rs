//! The spec that `tarsia init` writes.

use super::Distro;
use super::scalar::{Plain, resolve};

/// Returns the text of a starter spec that builds as it stands; `name` must be one that specs allow.
pub fn starter(name: &str, distro: Distro) -> String {
    let quoted = if resolve(name) == Plain::Text { name.to_owned() } else { format!("\"{name}\"") };
    STARTER.replace("`{name}`", &format!("`{name}`")).replace("{name}", &quoted).replace("{distro}", distro.as_str())
}

const STARTER: &str = r#"# What goes into the image `{name}`. `tarsia build` locks every input by digest and builds it;
# commit the lock beside this file, and the same bytes come out everywhere.
version: 1                  # of the spec language
name: {name}

# Archives, keys and layout in one word; `tarsia schema` lists what else may stand here.
distro: {distro}
platforms: [linux/amd64]

packages:
  - ca-certificates         # so that programs can check TLS certificates
  - tzdata                  # so that programs know time zones
  # - nginx-light >= 1.22   # a version may be asked for
  # - "!libelogind0"        # quoted, with `!`: never installed

# Whole packages, less documentation and what only an administrator reads.
keep: runtime

files:
  - {text: "made with tarsia\n", to: /etc/motd}
  # - copy: target/app      # beneath this file's directory
  #   to: /usr/bin/app
  #   mode: "0755"          # quoted: YAML reads an unquoted 0755 in two ways

# users:
#   app: {uid: 10001, home: /home/app}

run:
  user: nonroot             # 65532:65532; it is there in every image
  # entrypoint: [/usr/bin/app]
  # env: {TZ: UTC}
  # ports: [8080]

labels:
  org.opencontainers.image.title: {name}
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Source;
    use crate::spec::Spec;

    #[test]
    fn the_starter_is_a_spec() {
        for distro in [Distro::Debian12, Distro::Debian13] {
            let text = starter("web", distro);
            let spec = Spec::parse(&Source::new("web.yaml", text), "web").unwrap();
            assert_eq!(spec.name, "web");
            assert_eq!(spec.distro.unwrap().value, distro);
            assert_eq!(spec.packages.len(), 2);
            let text = starter("1.5", distro);
            assert_eq!(Spec::parse(&Source::new("web.yaml", text), "web").unwrap().name, "1.5");
        }
    }
}
