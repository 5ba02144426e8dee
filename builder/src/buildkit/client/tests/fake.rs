//! A daemon in this process, which does with a solve what its definition says.

use std::io;

use bollard_buildkit_proto::fsutil::types::packet::PacketType;
use bollard_buildkit_proto::fsutil::types::{Packet, Stat};
use bollard_buildkit_proto::google::protobuf::Timestamp;
use bollard_buildkit_proto::moby::buildkit::v1::control_server::Control;
use bollard_buildkit_proto::moby::buildkit::v1::types::{BuildkitVersion, WorkerRecord};
use bollard_buildkit_proto::moby::filesync::packet::file_send_client::FileSendClient;
use bollard_buildkit_proto::moby::filesync::v1 as filesync;
use bollard_buildkit_proto::moby::filesync::v1::auth_client::AuthClient;
use bollard_buildkit_proto::pb;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Endpoint, Uri};
use tonic::{Request, Response, Streaming};

use super::super::*;

/// What a daemon of these tests does with a solve; it stands in the definition.
pub(super) type Deed = &'static str;
type Answer<T> = Result<Response<T>, Status>;
type Told = mpsc::Receiver<Result<wire::StatusResponse, Status>>;

/// A daemon: its sessions by name, and the solves that it knows, with what to tell of them.
#[derive(Clone, Default)]
pub(super) struct Fake {
    pub(super) sessions: Arc<Mutex<BTreeMap<String, Channel>>>,
    pub(super) told: Arc<Mutex<BTreeMap<String, Told>>>,
    pub(super) asked: Arc<Mutex<Vec<wire::SolveRequest>>>,
    pub(super) logins: Arc<Mutex<Vec<filesync::CredentialsResponse>>>,
    /// Solves that nobody waits for any more.
    pub(super) dropped: Arc<Mutex<u32>>,
}

struct Dropped(Arc<Mutex<u32>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        *self.0.lock().unwrap() += 1;
    }
}

/// Makes a connection of what is there once.
struct One(Option<TokioIo<tokio::io::DuplexStream>>);

impl tower_service::Service<Uri> for One {
    type Response = TokioIo<tokio::io::DuplexStream>;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        std::future::ready(self.0.take().ok_or_else(|| io::Error::other("once")))
    }
}

fn packet(kind: PacketType) -> Packet {
    Packet { r#type: kind as i32, ..Packet::default() }
}

fn stat(path: &str, size: i64) -> Packet {
    let stat = Stat { path: path.to_owned(), mode: 0o644, size, ..Stat::default() };
    Packet { stat: Some(stat), ..packet(PacketType::PacketStat) }
}

/// Sends what an honest daemon sends: one file named `hello`.
async fn send_hello(channel: Channel) -> Result<(), Status> {
    let (sender, receiver) = mpsc::channel(8);
    let send = async |packet| sender.send(packet).await.map_err(|_| Status::internal("the stream is over"));
    let mut files = FileSendClient::new(channel);
    send(stat("hello", 5)).await?;
    send(packet(PacketType::PacketStat)).await?;
    let mut answers = files.diff_copy(ReceiverStream::new(receiver)).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        match PacketType::try_from(answer.r#type).unwrap() {
            PacketType::PacketReq => {
                for data in [&b"hel"[..], b"lo", b""] {
                    send(Packet { id: answer.id, data: data.to_vec(), ..packet(PacketType::PacketData) }).await?;
                }
            }
            PacketType::PacketFin => {
                send(packet(PacketType::PacketFin)).await?;
                return Ok(());
            }
            other => panic!("{other:?}"),
        }
    }
    Err(Status::internal("no end"))
}

fn vertex(name: &str, completed: bool, error: &str) -> wire::StatusResponse {
    let vertex = wire::Vertex {
        digest: format!("sha256:{name}"),
        name: name.to_owned(),
        started: Some(Timestamp { seconds: 1, nanos: 0 }),
        completed: completed.then_some(Timestamp { seconds: 2, nanos: 0 }),
        error: error.to_owned(),
        ..wire::Vertex::default()
    };
    wire::StatusResponse { vertexes: vec![vertex], ..wire::StatusResponse::default() }
}

impl Fake {
    async fn session(&self, name: &str) -> Channel {
        loop {
            if let Some(found) = self.sessions.lock().unwrap().get(name) {
                return found.clone();
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn deed(&self, request: wire::SolveRequest) -> Result<(), Status> {
        let deed = String::from_utf8(request.definition.unwrap().def.remove(0)).unwrap();
        let (sender, receiver) = mpsc::channel(8);
        self.told.lock().unwrap().insert(request.r#ref.clone(), receiver);
        let tell = async |told| drop(sender.send(Ok(told)).await);
        match deed.as_str() {
            "hello" => {
                tell(vertex("open libc6", false, "")).await;
                tell(vertex("open libc6", true, "")).await;
                send_hello(self.session(&request.session).await).await
            }
            "fail" => {
                let log = wire::VertexLog {
                    vertex: "sha256:open libc6".to_owned(),
                    msg: b"no\n".to_vec(),
                    ..Default::default()
                };
                tell(wire::StatusResponse { logs: vec![log], ..wire::StatusResponse::default() }).await;
                tell(vertex("open libc6", true, "exit code: 2")).await;
                Err(Status::unknown("process \"/tarsia\" did not complete successfully: exit code: 2"))
            }
            "lie" => Ok(()),
            "outside" => {
                let channel = self.session(&request.session).await;
                let (sender, receiver) = mpsc::channel(8);
                sender.send(stat("../x", 1)).await.unwrap();
                let mut answers =
                    FileSendClient::new(channel).diff_copy(ReceiverStream::new(receiver)).await?.into_inner();
                let refused = answers.message().await.unwrap_err();
                Err(Status::unknown(format!("error from receiver: {}", refused.message())))
            }
            "twice" => {
                let channel = self.session(&request.session).await;
                send_hello(channel.clone()).await?;
                assert_eq!(send_hello(channel).await.unwrap_err().code(), Code::AlreadyExists);
                Ok(())
            }
            "login" => {
                let mut auth = AuthClient::new(self.session(&request.session).await);
                for host in ["mine.example", "other.example"] {
                    let answer = auth.credentials(filesync::CredentialsRequest { host: host.to_owned() }).await?;
                    self.logins.lock().unwrap().push(answer.into_inner());
                }
                Ok(())
            }
            "download" => {
                tell(vertex("open libc6", true, "")).await;
                tell(vertex("libc6", false, "")).await;
                tell(vertex("libacl1", false, "")).await;
                std::future::pending().await
            }
            "tell no more" => {
                tell(vertex("libc6", false, "")).await;
                drop(sender);
                std::future::pending().await
            }
            "hang" => {
                let _dropped = Dropped(self.dropped.clone());
                std::future::pending().await
            }
            "chatter" => loop {
                // Bytes come, and nothing goes on.
                sleep(Duration::from_millis(50)).await;
                let channel = self.session(&request.session).await;
                let mut health = bollard_buildkit_proto::health::health_client::HealthClient::new(channel);
                health.check(bollard_buildkit_proto::health::HealthCheckRequest::default()).await?;
            },
            "hang up" => {
                self.sessions.lock().unwrap().remove(&request.session);
                std::future::pending().await
            }
            "give up" => Err(Status::cancelled("context canceled")),
            "crowd" => {
                for from in (0..70_000).step_by(1000) {
                    let mut told = wire::StatusResponse::default();
                    told.vertexes.extend((from..from + 1000).flat_map(|n| vertex(&n.to_string(), false, "").vertexes));
                    tell(told).await;
                }
                std::future::pending().await
            }
            other => panic!("{other}"),
        }
    }
}

#[tonic::async_trait]
impl Control for Fake {
    async fn list_workers(&self, _: Request<wire::ListWorkersRequest>) -> Answer<wire::ListWorkersResponse> {
        let platform = pb::Platform { os: "linux".to_owned(), architecture: "amd64".to_owned(), ..Default::default() };
        let version = BuildkitVersion { version: "v0.0\x1b".to_owned(), ..BuildkitVersion::default() };
        let worker =
            WorkerRecord { platforms: vec![platform], buildkit_version: Some(version), ..WorkerRecord::default() };
        Ok(Response::new(wire::ListWorkersResponse { record: vec![worker] }))
    }

    async fn solve(&self, request: Request<wire::SolveRequest>) -> Answer<wire::SolveResponse> {
        let request = request.into_inner();
        self.asked.lock().unwrap().push(request.clone());
        self.deed(request).await?;
        let exporter_response = [("key".to_owned(), "value".to_owned())].into_iter().collect();
        Ok(Response::new(wire::SolveResponse { exporter_response }))
    }

    type StatusStream = ReceiverStream<Result<wire::StatusResponse, Status>>;

    async fn status(&self, request: Request<wire::StatusRequest>) -> Answer<Self::StatusStream> {
        let found = self.told.lock().unwrap().remove(&request.get_ref().r#ref);
        found.map(|told| Response::new(ReceiverStream::new(told))).ok_or_else(|| Status::not_found("no such job"))
    }

    type SessionStream = ReceiverStream<Result<wire::BytesMessage, Status>>;

    async fn session(&self, request: Request<Streaming<wire::BytesMessage>>) -> Answer<Self::SessionStream> {
        let name = request.metadata().get("x-docker-expose-session-uuid").unwrap().to_str().unwrap().to_owned();
        let mut messages = request.into_inner();
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        let (mut read, mut write) = tokio::io::split(ours);
        let (sender, receiver) = mpsc::channel(8);
        tokio::spawn(async move {
            while let Ok(Some(message)) = messages.message().await {
                if write.write_all(&message.data).await.is_err() {
                    return;
                }
            }
        });
        tokio::spawn(async move {
            let mut piece = vec![0; 4096];
            while let Ok(length @ 1..) = read.read(&mut piece).await {
                if sender.send(Ok(wire::BytesMessage { data: piece[..length].to_vec() })).await.is_err() {
                    return;
                }
            }
        });
        let sessions = self.sessions.clone();
        tokio::spawn(async move {
            let one = One(Some(TokioIo::new(theirs)));
            let channel = Endpoint::from_static("http://client").connect_with_connector(one).await.unwrap();
            sessions.lock().unwrap().insert(name, channel);
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn info(&self, _: Request<wire::InfoRequest>) -> Answer<wire::InfoResponse> {
        Err(Status::unimplemented(""))
    }

    async fn disk_usage(&self, _: Request<wire::DiskUsageRequest>) -> Answer<wire::DiskUsageResponse> {
        Err(Status::unimplemented(""))
    }

    type PruneStream = tokio_stream::Empty<Result<wire::UsageRecord, Status>>;

    async fn prune(&self, _: Request<wire::PruneRequest>) -> Answer<Self::PruneStream> {
        Err(Status::unimplemented(""))
    }

    type ListenBuildHistoryStream = tokio_stream::Empty<Result<wire::BuildHistoryEvent, Status>>;

    async fn listen_build_history(
        &self,
        _: Request<wire::BuildHistoryRequest>,
    ) -> Answer<Self::ListenBuildHistoryStream> {
        Err(Status::unimplemented(""))
    }

    async fn update_build_history(
        &self,
        _: Request<wire::UpdateBuildHistoryRequest>,
    ) -> Answer<wire::UpdateBuildHistoryResponse> {
        Err(Status::unimplemented(""))
    }
}
