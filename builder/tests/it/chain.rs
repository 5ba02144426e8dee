//! Runs a build as the row of operations that a graph has, each a run of the program over directories.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tarsia::digest::Digest;
use tarsia::ops::Project;
use tarsia::ops::worker::{Asked, Contract, Job, Said, platform_directory};
use tarsia::spec::{FileSource, Platform};

use crate::program::{Place, Ran};

/// A build in a place, by operations.
pub(crate) struct Chain<'a> {
    place: &'a Place,
    project: Project,
    /// Everything that is mounted, and everything that is written.
    room: PathBuf,
    /// What a shell does before it becomes the program.
    before: &'static str,
}

impl<'a> Chain<'a> {
    /// Returns the chain for a spec of a place that has been built there, which will work in `room` below it.
    pub(crate) fn new(place: &'a Place, spec: &str, variant: Option<&str>, room: &str) -> Self {
        let project = Project::read(&place.path(spec), variant).unwrap();
        let room = place.path(room);
        std::fs::create_dir_all(&room).unwrap();
        Self { place, project, room, before: "exec \"$0\" \"$@\"" }
    }

    /// Returns the same chain with another `source_date` in its lock, in another room.
    pub(crate) fn at(&self, source_date: i64, room: &str) -> Self {
        let mut other = Self::new(self.place, self.file(), self.project.spec.variant.as_deref(), room);
        other.project.lock.as_mut().unwrap().source_date = source_date;
        other
    }

    /// Returns the chain with another way to start the program.
    pub(crate) fn outside(self, before: &'static str) -> Self {
        Self { before, ..self }
    }

    fn file(&self) -> &str {
        Path::new(&self.project.spec.source.name).file_name().unwrap().to_str().unwrap()
    }

    /// Returns a path of the chain's room.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.room.join(name)
    }

    fn directory(&self) -> PathBuf {
        self.project.directory.canonicalize().unwrap()
    }

    /// Runs an operation, with other places for what it reads and writes.
    pub(crate) fn run(&self, operation: &str, arguments: &[String], places: &[(&str, PathBuf)]) -> Ran {
        let contract = Contract::OWN.to_string();
        let mut command = std::process::Command::new("sh");
        command.args(["-c", self.before, env!("CARGO_BIN_EXE_tarsia"), "worker", operation, "--contract", &contract]);
        // Nothing of the outside may matter.
        command.current_dir("/").env_clear().env("TARSIA_STORE", "/nonexistent").env("TZ", "Pacific/Chatham");
        for (flag, path) in places {
            command.arg(format!("--{flag}")).arg(path);
        }
        Ran::from(command.args(arguments).output().unwrap())
    }

    fn ok(&self, operation: &str, arguments: &[String], places: &[(&str, PathBuf)]) -> String {
        let ran = self.run(operation, arguments, places);
        assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{operation} {arguments:?}");
        ran.out
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.place.path(&format!("store/blobs/sha256/{}/{hex}", &hex[..2]))
    }

    /// Returns the platforms of the lock.
    pub(crate) fn platforms(&self) -> Vec<Platform> {
        self.project.locked().unwrap().platform.keys().map(|name| Platform::from_oci(name).unwrap()).collect()
    }

    /// Writes the job.
    pub(crate) fn job(&self) -> PathBuf {
        let job = self.path("job");
        std::fs::create_dir_all(&job).unwrap();
        for (name, bytes) in Job::files(&self.project.spec, self.project.locked().unwrap(), &self.platforms()) {
            std::fs::write(job.join(name), bytes).unwrap();
        }
        job
    }

    /// Writes the job of what opens the spec's own files.
    fn own_job(&self) -> PathBuf {
        let job = self.path("own-job");
        std::fs::create_dir_all(&job).unwrap();
        for (name, bytes) in Job::own_files(&self.project.spec, self.project.locked().unwrap(), &self.platforms()) {
            std::fs::write(job.join(name), bytes).unwrap();
        }
        job
    }

    /// Opens the packages of each layer; `data/P/LAYER` and `indexes/P/N` hold what comes out.
    pub(crate) fn open(&self, platform: Platform) {
        let below = platform_directory(platform);
        let share = &self.project.locked().unwrap().platform[platform.oci()];
        let mut layers: BTreeMap<&str, Vec<Asked>> = BTreeMap::new();
        let input = self.path(&format!("in/{below}"));
        for package in &share.packages {
            let (name, digest) = (package.name.clone(), package.digest);
            let mount = input.join(&name);
            let path = package.local_path().map(str::to_owned);
            std::fs::create_dir_all(&input).unwrap();
            if path.is_some() {
                symlink(self.directory(), &mount).unwrap();
            } else {
                std::fs::create_dir(&mount).unwrap();
                std::fs::copy(self.blob(&digest), mount.join("deb")).unwrap();
            }
            layers.entry(&package.layer).or_default().push(Asked { layer: package.layer.clone(), name, digest, path });
        }
        for directory in ["indexes", "data"] {
            std::fs::create_dir_all(self.path(&format!("{directory}/{below}"))).unwrap();
        }
        for (number, packages) in layers.values().enumerate() {
            let places = [
                ("in", input.clone()),
                ("index", self.path(&format!("indexes/{below}/{number}"))),
                ("data", self.path(&format!("opened/{number}-{below}"))),
            ];
            std::fs::create_dir_all(self.path("opened")).unwrap();
            self.ok("open", &packages.iter().map(ToString::to_string).collect::<Vec<_>>(), &places);
            for package in packages {
                let to = self.path(&format!("data/{below}/{}", package.layer));
                if !to.exists() {
                    symlink(places[2].1.join(&package.layer), to).unwrap();
                }
            }
        }
    }

    /// Opens the spec's own files, and its base for each platform.
    pub(crate) fn open_own(&self) {
        let job = self.own_job();
        let spec = &self.project.spec;
        for file in &spec.files {
            if let FileSource::Fetch { digest, .. } = &file.value.what {
                let mount = self.path(&format!("fetched/{}", digest.hex()));
                std::fs::create_dir_all(&mount).unwrap();
                std::fs::copy(self.blob(digest), mount.join("file")).unwrap();
            }
        }
        let context = ("context", self.directory());
        let places = [
            ("job", job.clone()),
            context.clone(),
            ("fetched", self.path("fetched")),
            ("index", self.path("local")),
            ("data", self.path("local-data")),
        ];
        self.ok("open-local", &[], &places);
        for directory in ["base", "base-data"] {
            std::fs::create_dir_all(self.path(directory)).unwrap();
        }
        for platform in self.platforms().into_iter().filter(|_| spec.base.is_some()) {
            let below = platform_directory(platform);
            let places = [
                ("job", job.clone()),
                context.clone(),
                ("index", self.path(&format!("base/{below}"))),
                ("data", self.path(&format!("base-data/{below}"))),
            ];
            self.ok("open-base", &["--platform".to_owned(), platform.oci().to_owned()], &places);
            std::fs::create_dir_all(self.path("blobs")).unwrap();
            symlink(self.path(&format!("base-data/{below}/base")), self.path(&format!("blobs/{below}"))).unwrap();
        }
    }

    /// Returns the places of what `select` reads.
    pub(crate) fn selecting(&self, job: &Path, platform: Platform) -> Vec<(&'static str, PathBuf)> {
        let below = platform_directory(platform);
        vec![
            ("job", job.to_owned()),
            ("indexes", self.path(&format!("indexes/{below}"))),
            ("local", self.path("local")),
            ("base", self.path(&format!("base/{below}"))),
        ]
    }

    /// Selects into a directory of the room.
    pub(crate) fn select(&self, job: &Path, platform: Platform, plans: &str) {
        let mut places = self.selecting(job, platform);
        places.push(("plans", self.path(plans)));
        self.ok("select", &["--platform".to_owned(), platform.oci().to_owned()], &places);
    }

    /// Returns the layers of a platform, lowest first.
    pub(crate) fn layers(&self, platform: Platform) -> Vec<String> {
        let mut layers = self.project.locked().unwrap().platform[platform.oci()].layers.clone();
        layers.extend(["state".to_owned(), "files".to_owned()]);
        layers
    }

    /// Returns the arguments and the places of a layer's operation.
    pub(crate) fn writing(&self, platform: Platform, layer: &str) -> (Vec<String>, Vec<(&'static str, PathBuf)>) {
        let below = platform_directory(platform);
        let data =
            if layer == "files" { self.path("local-data/files") } else { self.path(&format!("data/{below}/{layer}")) };
        let compression = self.project.spec.layers.compression.to_string();
        let places = vec![
            ("plan", self.path(&format!("plans-{below}/{layer}"))),
            ("data", data),
            ("layer", self.path(&format!("layers/{below}/{layer}"))),
        ];
        (vec!["--compression".to_owned(), compression], places)
    }

    /// Returns the places of what `assemble` reads and writes.
    pub(crate) fn assembling(&self, job: &Path) -> Vec<(&'static str, PathBuf)> {
        let told = self.path("told");
        std::fs::create_dir_all(&told).unwrap();
        std::fs::write(told.join("told"), Said { proved: true, source: None }.to_bytes()).unwrap();
        let mut places = vec![("job", job.to_owned()), ("context", self.directory()), ("told", told)];
        for name in ["indexes", "local", "base", "blobs", "layers", "oci", "evidence"] {
            places.push((name, self.path(name)));
        }
        places
    }

    /// Does everything up to the image, and returns its digest.
    pub(crate) fn build(&self) -> String {
        let ran = self.try_build();
        assert_eq!(ran.status, 0, "{}", ran.err);
        ran.out
    }

    /// As [`Chain::build`], and returns how `assemble` ended.
    pub(crate) fn try_build(&self) -> Ran {
        let job = self.job();
        self.open_own();
        for platform in self.platforms() {
            self.open(platform);
            let below = platform_directory(platform);
            self.select(&job, platform, &format!("plans-{below}"));
            std::fs::create_dir_all(self.path(&format!("layers/{below}"))).unwrap();
            for layer in self.layers(platform) {
                let (arguments, places) = self.writing(platform, &layer);
                self.ok("layer", &arguments, &places);
            }
        }
        self.run("assemble", &[], &self.assembling(&job))
    }
}
