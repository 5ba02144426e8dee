//! The frontend's side of BuildKit's gateway (`moby.buildkit.v1.frontend.LLBBridge`).
//!
//! A frontend is a program that a daemon runs in a container; it is a gRPC client over its own standard input and
//! output. It asks for files, solves definitions, and hands references to their results back. Which streams these are
//! is the caller's business; nothing here waits for a stream that never ends.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bollard_buildkit_proto::fsutil::types::Stat;
use bollard_buildkit_proto::google::{protobuf::Any, rpc};
use bollard_buildkit_proto::moby::buildkit::v1::frontend::{self as wire, llb_bridge_client::LlbBridgeClient};
use bollard_buildkit_proto::pb;
use hyper_util::rt::TokioIo;
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Status};

use super::Error;
use crate::diag::causes;

/// The longest wait for a daemon to answer the first question.
const PING: Duration = Duration::from_secs(30);
/// The most bytes of one message.
const MAX_MESSAGE: usize = 16 << 20;
/// Bytes of a file that are asked for at once.
const PIECE: usize = 1 << 20;
/// gRPC's code for an error without one of its own ("unknown").
const UNKNOWN: i32 = 2;

/// A result of a solve, which the daemon keeps while the frontend runs; the default one is an empty file system.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reference {
    id: String,
}

impl Reference {
    /// Returns the reference that a daemon knows by this name.
    pub fn named(id: impl Into<String>) -> Self {
        Self { id: id.into() }
    }

    /// Returns the name by which the daemon knows it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns whether it is of no file system at all: what an empty definition gives.
    pub fn is_empty(&self) -> bool {
        self.id.is_empty()
    }
}

/// What a daemon says that it can do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Abilities {
    /// Of the gateway, such as `proto.refarray`.
    pub gateway: BTreeSet<String>,
    /// Of the graph, such as `source.http.checksum`.
    pub graph: BTreeSet<String>,
    /// Platforms of the daemon's workers, `os/architecture[/variant]`; the first is its own.
    pub platforms: Vec<String>,
}

/// What is to be solved for a frontend.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GatewaySolve {
    /// A definition's bytes (`pb.Definition`).
    pub definition: Vec<u8>,
    /// Caches to look into: type and attributes.
    pub cache_imports: Vec<(String, BTreeMap<String, String>)>,
    /// Whether it is solved now, and not when it is first needed: errors come at once.
    pub evaluate: bool,
}

/// An image that a name leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageConfig {
    /// Digest of its manifest or index, `sha256:…`, as the daemon tells it.
    pub digest: String,
    /// The bytes of its config.
    pub config: Vec<u8>,
}

/// What a frontend hands back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Returned {
    /// One file system.
    One(Reference),
    /// One for each platform, by the key that the metadata's `refs.platforms` names.
    Platforms(BTreeMap<String, Reference>),
}

/// A frontend's connection to the daemon that started it.
#[derive(Debug)]
pub struct Gateway {
    /// Always there until drop.
    runtime: Option<Runtime>,
    bridge: LlbBridgeClient<Channel>,
    abilities: Abilities,
    /// What was said of the last operation that failed.
    failure: Mutex<Vec<Any>>,
}

impl Gateway {
    /// Connects over two streams, usually standard input and output, and asks what the daemon can do.
    ///
    /// # Errors
    /// [`Error::Gateway`] where nobody answers in time, or who answers is no BuildKit.
    pub fn connect<R, W>(read: R, write: W) -> Result<Self, Error>
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("gateway")
            .enable_all()
            .build()
            .map_err(Error::Runtime)?;
        let mut gateway = runtime.block_on(async {
            let once = Once(Arc::new(Mutex::new(Some(TokioIo::new(tokio::io::join(read, write))))));
            let channel = Endpoint::from_static("http://gateway")
                .connect_with_connector(once)
                .await
                .map_err(|error| refused("speak to BuildKit", causes(&error)))?;
            let bridge = LlbBridgeClient::new(channel)
                .max_decoding_message_size(MAX_MESSAGE)
                .max_encoding_message_size(MAX_MESSAGE);
            Ok::<_, Error>(Self { runtime: None, bridge, abilities: Abilities::default(), failure: Mutex::default() })
        })?;
        gateway.runtime = Some(runtime);
        let mut bridge = gateway.bridge.clone();
        let pong = gateway.answered("speak to BuildKit", async move {
            match tokio::time::timeout(PING, bridge.ping(wire::PingRequest {})).await {
                Ok(answer) => answer,
                Err(_) => Err(Status::deadline_exceeded(format!("no answer within {} s", PING.as_secs()))),
            }
        })?;
        gateway.abilities = Abilities::of(pong);
        Ok(gateway)
    }

    /// Returns what the daemon can do.
    pub fn abilities(&self) -> &Abilities {
        &self.abilities
    }

    /// Solves a definition that has one result.
    ///
    /// # Errors
    /// Bytes that are no definition, or what the daemon says.
    pub fn solve(&self, request: &GatewaySolve) -> Result<Reference, Error> {
        let asked = wire::SolveRequest {
            definition: Some(definition(&request.definition)?),
            allow_result_return: true,
            allow_result_array_ref: true,
            cache_imports: request.cache_imports.iter().map(cache).collect(),
            evaluate: request.evaluate && self.can("gateway.solve.evaluate"),
            ..wire::SolveRequest::default()
        };
        let mut bridge = self.bridge.clone();
        let answer = self.answered("solve a graph", async move { bridge.solve(asked).await })?;
        let reference = match answer.result.and_then(|result| result.result) {
            None => Reference { id: answer.r#ref },
            Some(wire::result::Result::Ref(found)) => Reference { id: found.id },
            Some(wire::result::Result::RefDeprecated(id)) => Reference { id },
            Some(wire::result::Result::Refs(_) | wire::result::Result::RefsDeprecated(_)) => {
                return Err(refused("solve a graph", "BuildKit answers with several results".to_owned()));
            }
        };
        if request.evaluate && !self.can("gateway.solve.evaluate") && !reference.is_empty() {
            // Looking at it is what makes older daemons solve it.
            self.stat(&reference, ".")?;
        }
        Ok(reference)
    }

    /// Returns the bytes of a file, at most `limit` of them.
    ///
    /// # Errors
    /// A file that is not there (see [`Gateway::is_absent`]), is larger, or what the daemon says.
    pub fn read_file(&self, reference: &Reference, path: &str, limit: usize) -> Result<Vec<u8>, Error> {
        let doing = || format!("read `{path}`");
        let mut bytes = Vec::new();
        loop {
            let length = PIECE.min(limit + 1 - bytes.len());
            let range = wire::FileRange { offset: bytes.len() as i64, length: length as i64 };
            let asked = wire::ReadFileRequest {
                r#ref: reference.id.clone(),
                file_path: path.to_owned(),
                range: Some(range),
                mount_index: 0,
            };
            let mut bridge = self.bridge.clone();
            let piece = self.answered(doing(), async move { bridge.read_file(asked).await })?.data;
            if piece.len() > length {
                return Err(refused(doing(), "BuildKit sends more than was asked for".to_owned()));
            }
            bytes.extend_from_slice(&piece);
            if bytes.len() > limit {
                return Err(refused(doing(), format!("it has more than {limit} bytes")));
            }
            if piece.len() < length {
                return Ok(bytes);
            }
        }
    }

    /// Returns the entries of a directory, of those whose name matches the pattern where one is given.
    ///
    /// # Errors
    /// A directory that is not there, or what the daemon says.
    pub fn read_dir(&self, reference: &Reference, path: &str, pattern: &str) -> Result<Vec<Stat>, Error> {
        let asked = wire::ReadDirRequest {
            r#ref: reference.id.clone(),
            dir_path: path.to_owned(),
            include_pattern: pattern.to_owned(),
            mount_index: 0,
        };
        let mut bridge = self.bridge.clone();
        Ok(self.answered(format!("list `{path}`"), async move { bridge.read_dir(asked).await })?.entries)
    }

    /// Returns what is known of a file.
    ///
    /// # Errors
    /// A file that is not there, or what the daemon says.
    pub fn stat(&self, reference: &Reference, path: &str) -> Result<Stat, Error> {
        let asked = wire::StatFileRequest { r#ref: reference.id.clone(), path: path.to_owned(), mount_index: 0 };
        let mut bridge = self.bridge.clone();
        let answer = self.answered(format!("look at `{path}`"), async move { bridge.stat_file(asked).await })?;
        answer.stat.ok_or_else(|| refused(format!("look at `{path}`"), "BuildKit says nothing of it".to_owned()))
    }

    /// Returns which image a name leads to, `platform` being `os/architecture[/variant]`.
    ///
    /// # Errors
    /// An image that is not found, or what the daemon says.
    pub fn image_config(&self, name: &str, platform: Option<&str>) -> Result<ImageConfig, Error> {
        let asked = wire::ResolveImageConfigRequest {
            r#ref: name.to_owned(),
            platform: platform.map(|text| {
                let mut parts = text.splitn(3, '/').map(str::to_owned);
                let mut next = || parts.next().unwrap_or_default();
                pb::Platform { os: next(), architecture: next(), variant: next(), ..pb::Platform::default() }
            }),
            resolve_mode: "default".to_owned(),
            log_name: format!("resolve {name}"),
            ..wire::ResolveImageConfigRequest::default()
        };
        let mut bridge = self.bridge.clone();
        let answer =
            self.answered(format!("find `{name}`"), async move { bridge.resolve_image_config(asked).await })?;
        Ok(ImageConfig { digest: answer.digest, config: answer.config })
    }

    /// Returns the definitions that the caller of the frontend handed over, by name, as bytes (`pb.Definition`).
    ///
    /// # Errors
    /// What the daemon says.
    pub fn inputs(&self) -> Result<BTreeMap<String, Vec<u8>>, Error> {
        if !self.can("frontend.inputs") {
            return Ok(BTreeMap::new());
        }
        let mut bridge = self.bridge.clone();
        let answer = self.answered("ask for the inputs", async move { bridge.inputs(wire::InputsRequest {}).await })?;
        Ok(answer.definitions.into_iter().map(|(name, definition)| (name, definition.encode_to_vec())).collect())
    }

    /// Shows a warning beside an operation; older daemons show none.
    ///
    /// # Errors
    /// What the daemon says.
    pub fn warn(&self, vertex: &str, message: &str) -> Result<(), Error> {
        if !self.can("gateway.warnings") {
            return Ok(());
        }
        let asked = wire::WarnRequest {
            digest: vertex.to_owned(),
            level: 1,
            short: message.as_bytes().to_vec(),
            ..wire::WarnRequest::default()
        };
        let mut bridge = self.bridge.clone();
        self.answered("show a warning", async move { bridge.warn(asked).await }).map(|_| ())
    }

    /// Ends the frontend with what it made: references, and metadata such as `containerimage.config`.
    ///
    /// # Errors
    /// What the daemon says.
    pub fn return_ok(&self, returned: &Returned, metadata: &BTreeMap<String, Vec<u8>>) -> Result<(), Error> {
        let array = self.can("proto.refarray");
        let wrapped = |reference: &Reference| wire::Ref { id: reference.id.clone(), def: None };
        let result = match returned {
            Returned::One(reference) if array => wire::result::Result::Ref(wrapped(reference)),
            Returned::One(reference) => wire::result::Result::RefDeprecated(reference.id.clone()),
            Returned::Platforms(all) if array => wire::result::Result::Refs(wire::RefMap {
                refs: all.iter().map(|(key, reference)| (key.clone(), wrapped(reference))).collect(),
            }),
            Returned::Platforms(all) => wire::result::Result::RefsDeprecated(wire::RefMapDeprecated {
                refs: all.iter().map(|(key, reference)| (key.clone(), reference.id.clone())).collect(),
            }),
        };
        let result = wire::Result {
            metadata: metadata.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            result: Some(result),
            ..wire::Result::default()
        };
        self.end(wire::ReturnRequest { result: Some(result), error: None })
    }

    /// Ends the frontend with an error, which is what a person sees of it. Where an operation failed before, clients
    /// show what it has written as well.
    ///
    /// # Errors
    /// What the daemon says.
    pub fn return_error(&self, message: &str) -> Result<(), Error> {
        let details = std::mem::take(&mut *self.failure.lock().unwrap_or_else(PoisonError::into_inner));
        let error = rpc::Status { code: UNKNOWN, message: message.to_owned(), details };
        self.end(wire::ReturnRequest { result: None, error: Some(error) })
    }

    /// Returns whether an error says that a file is not there.
    pub fn is_absent(error: &Error) -> bool {
        // Daemons answer with "unknown", and with what their file system said.
        matches!(error, Error::Gateway { code, message, .. }
            if *code == Code::NotFound as i32 || message.contains("no such file or directory"))
    }

    fn end(&self, request: wire::ReturnRequest) -> Result<(), Error> {
        let mut bridge = self.bridge.clone();
        self.answered("hand the result to BuildKit", async move { bridge.r#return(request).await }).map(|_| ())
    }

    /// Keeps what BuildKit says of an operation that failed, and returns the operation's digest in the definition: it
    /// tells it in JSON among the details of the error (`solver/errdefs`).
    fn failed(&self, details: &[u8]) -> Option<String> {
        let status = rpc::Status::decode(details).ok()?;
        let told = status.details.iter().find(|one| one.type_url.contains("errdefs.Vertex"))?;
        let told: serde_json::Value = serde_json::from_slice(&told.value).ok()?;
        let vertex = told["digest"].as_str()?.to_owned();
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = status.details;
        Some(vertex)
    }

    fn can(&self, ability: &str) -> bool {
        self.abilities.gateway.contains(ability)
    }

    fn answered<T>(
        &self,
        doing: impl Into<String>,
        answer: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, Error> {
        let runtime = self.runtime.as_ref().expect("the runtime is there until drop");
        match runtime.block_on(answer) {
            Ok(answer) => Ok(answer.into_inner()),
            Err(status) => Err(Error::Gateway {
                doing: doing.into(),
                message: status.message().to_owned(),
                code: status.code() as i32,
                vertex: self.failed(status.details()),
            }),
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A read of standard input ends only with the daemon: nobody waits for it.
            runtime.shutdown_background();
        }
    }
}

impl Abilities {
    fn of(pong: wire::PongResponse) -> Self {
        let named = |all: Vec<bollard_buildkit_proto::moby::buildkit::v1::apicaps::ApiCap>| {
            all.into_iter().filter(|ability| ability.enabled).map(|ability| ability.id).collect()
        };
        let platforms = pong.workers.iter().flat_map(|worker| &worker.platforms).map(platform_text).collect();
        Self { gateway: named(pong.frontend_api_caps), graph: named(pong.llb_caps), platforms }
    }
}

/// Returns a platform as people write it.
pub(super) fn platform_text(platform: &pb::Platform) -> String {
    let mut text = format!("{}/{}", platform.os, platform.architecture);
    if !platform.variant.is_empty() {
        text.push('/');
        text.push_str(&platform.variant);
    }
    text
}

fn cache((kind, attributes): &(String, BTreeMap<String, String>)) -> wire::CacheOptionsEntry {
    wire::CacheOptionsEntry {
        r#type: kind.clone(),
        attrs: attributes.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
    }
}

/// Reads a definition's bytes.
pub(super) fn definition(bytes: &[u8]) -> Result<pb::Definition, Error> {
    pb::Definition::decode(bytes).map_err(|error| Error::Definition { problem: error.to_string() })
}

fn refused(doing: impl Into<String>, message: String) -> Error {
    Error::Gateway { doing: doing.into(), message, code: UNKNOWN, vertex: None }
}

/// Hands out the one stream that there is.
struct Once<T>(Arc<Mutex<Option<T>>>);

impl<T: Send + 'static> tower_service::Service<Uri> for Once<T> {
    type Response = T;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<T, io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let answer = taken.ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "the connection is over"));
        Box::pin(std::future::ready(answer))
    }
}

#[cfg(test)]
mod tests;
