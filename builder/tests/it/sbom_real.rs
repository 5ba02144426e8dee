//! The group `real`: SBOMs of examples, judged by other people's validators.

use std::path::Path;

use tarsia::sbom::{Version, cyclonedx, spdx, spdx3};

use crate::sbom::inventory;

#[test]
#[ignore = "by hand"]
fn dump() {
    let out = Path::new("/var/tmp/sbom-out");
    for name in ["python", "java", "nginx", "hello"] {
        let inventory = inventory(&out.join(format!("specs/{name}.yaml")), Path::new("/var/tmp/tarsia-store"), 2);
        std::fs::write(out.join(format!("{name}.spdx.json")), spdx(&inventory)).unwrap();
        std::fs::write(out.join(format!("{name}.spdx3.json")), spdx3(&inventory)).unwrap();
        for version in [Version::V1_5, Version::V1_6, Version::V1_7] {
            let file = format!("{name}.cdx-{}.json", version.as_str());
            std::fs::write(out.join(file), cyclonedx(&inventory, version)).unwrap();
        }
    }
}
