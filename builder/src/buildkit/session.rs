//! The session of a solve: the calls that a daemon makes back to its client.
//!
//! A daemon opens an HTTP/2 connection of its own within one stream of the client's (`Control.Session`) and is the
//! client there. It asks whether this side lives, sends what a solve made, and may ask for logins. All else is
//! answered with "not implemented".

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bollard_buildkit_proto::fsutil::types::Packet;
use bollard_buildkit_proto::health;
use bollard_buildkit_proto::health::health_server::{Health, HealthServer};
use bollard_buildkit_proto::moby::buildkit::v1::{BytesMessage, control_client::ControlClient};
use bollard_buildkit_proto::moby::filesync::packet::file_send_server::{FileSend, FileSendServer};
use bollard_buildkit_proto::moby::filesync::v1 as auth;
use bollard_buildkit_proto::moby::filesync::v1::auth_server::{Auth, AuthServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

use super::receive::{Problem, Receiver};

/// Bytes of the inner connection on their way, and of one message of it.
const PIPE: usize = 256 << 10;
const PIECE: usize = 32 << 10;
/// Messages that wait.
const PIECES: usize = 8;
/// The most bytes of one message of the inner connection.
const MAX_MESSAGE: usize = 4 << 20;

/// A name and a password for a registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user's name.
    pub user: String,
    /// The password or token.
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What is received, and why it was not, shared with the one who waits for it.
pub(super) struct Inbox {
    pub(super) receiver: Receiver,
    pub(super) problem: Option<Problem>,
    /// A daemon sends once.
    taken: bool,
}

impl Inbox {
    pub(super) fn new(receiver: Receiver) -> Self {
        Self { receiver, problem: None, taken: false }
    }
}

/// Locks what nobody leaves half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A session that is there until drop.
pub(super) struct Session {
    tasks: Vec<JoinHandle<()>>,
    /// Why it ended, once it has.
    ended: watch::Receiver<Option<String>>,
}

impl Session {
    /// Opens a session under this name.
    pub(super) async fn open(
        mut control: ControlClient<Channel>,
        id: &str,
        inbox: Option<Arc<Mutex<Inbox>>>,
        logins: Arc<BTreeMap<String, Login>>,
    ) -> Result<Self, Status> {
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let mut server = tonic::transport::Server::builder();
        let mut methods = vec!["/grpc.health.v1.Health/Check"];
        let mut router = server.add_service(HealthServer::new(Alive));
        if let Some(inbox) = inbox {
            methods.push("/moby.filesync.v1.FileSend/DiffCopy");
            router = router.add_service(FileSendServer::new(Files(inbox)).max_decoding_message_size(MAX_MESSAGE));
        }
        if !logins.is_empty() {
            methods.push("/moby.filesync.v1.Auth/Credentials");
            router = router.add_service(AuthServer::new(Logins(logins)));
        }
        let incoming = tokio_stream::once(Ok::<DuplexStream, io::Error>(theirs));
        let served = tokio::spawn(async move { drop(router.serve_with_incoming(incoming).await) });
        let (read, write) = tokio::io::split(ours);
        let (sender, receiver) = mpsc::channel(PIECES);
        let outgoing = tokio::spawn(outgoing(read, sender));
        let mut tasks = vec![served, outgoing];

        let mut request = Request::new(ReceiverStream::new(receiver));
        let metadata = request.metadata_mut();
        let text = |value: &str| MetadataValue::try_from(value).map_err(|error| Status::internal(error.to_string()));
        metadata.insert("x-docker-expose-session-uuid", text(id)?);
        metadata.insert("x-docker-expose-session-name", text("tarsia")?);
        metadata.insert("x-docker-expose-session-sharedkey", text("")?);
        for method in methods {
            metadata.append("x-docker-expose-session-grpc-method", MetadataValue::from_static(method));
        }
        let incoming = match control.session(request).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => {
                tasks.iter().for_each(JoinHandle::abort);
                return Err(status);
            }
        };
        let (end, ended) = watch::channel(None);
        tasks.push(tokio::spawn(self::incoming(incoming, write, end)));
        Ok(Self { tasks, ended })
    }

    /// Waits until the daemon ends the session, and returns why.
    pub(super) async fn ended(&mut self) -> String {
        match self.ended.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            Err(_) => "its session is over".to_owned(),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Carries bytes of the inner connection to the daemon.
async fn outgoing(mut read: ReadHalf<DuplexStream>, sender: mpsc::Sender<BytesMessage>) {
    let mut piece = vec![0; PIECE];
    while let Ok(length @ 1..) = read.read(&mut piece).await {
        if sender.send(BytesMessage { data: piece[..length].to_vec() }).await.is_err() {
            return;
        }
    }
}

/// Carries bytes of the inner connection from the daemon.
async fn incoming(
    mut messages: Streaming<BytesMessage>,
    mut write: WriteHalf<DuplexStream>,
    end: watch::Sender<Option<String>>,
) {
    let why = loop {
        match messages.message().await {
            Ok(Some(message)) => {
                if let Err(error) = write.write_all(&message.data).await {
                    break format!("its session is over: {error}");
                }
            }
            Ok(None) => break "it ended the session".to_owned(),
            Err(status) => break format!("its session broke: {}", status.message()),
        }
    };
    // Whoever waits may be gone.
    let _ = end.send(Some(why));
}

/// Lives.
struct Alive;

#[tonic::async_trait]
impl Health for Alive {
    async fn check(
        &self,
        _: Request<health::HealthCheckRequest>,
    ) -> Result<Response<health::HealthCheckResponse>, Status> {
        let status = health::health_check_response::ServingStatus::Serving as i32;
        Ok(Response::new(health::HealthCheckResponse { status }))
    }

    async fn list(
        &self,
        _: Request<health::HealthListRequest>,
    ) -> Result<Response<health::HealthListResponse>, Status> {
        Err(Status::unimplemented("there is one service"))
    }

    type WatchStream = tokio_stream::Empty<Result<health::HealthCheckResponse, Status>>;

    async fn watch(&self, _: Request<health::HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("it is asked again"))
    }
}

/// Takes files.
struct Files(Arc<Mutex<Inbox>>);

#[tonic::async_trait]
impl FileSend for Files {
    type DiffCopyStream = ReceiverStream<Result<Packet, Status>>;

    async fn diff_copy(&self, request: Request<Streaming<Packet>>) -> Result<Response<Self::DiffCopyStream>, Status> {
        if std::mem::replace(&mut lock(&self.0).taken, true) {
            return Err(Status::already_exists("the files of a solve are taken once"));
        }
        let inbox = self.0.clone();
        let mut packets = request.into_inner();
        let (sender, receiver) = mpsc::channel(PIECES);
        tokio::spawn(async move {
            loop {
                let packet = match packets.message().await {
                    Ok(Some(packet)) => packet,
                    // Who has all may go as it likes; who has not is told of by the one who waits.
                    Ok(None) | Err(_) => return,
                };
                let mut answers = Vec::new();
                // Files are written here: others go on meanwhile.
                let taken = tokio::task::block_in_place(|| lock(&inbox).receiver.packet(packet, &mut answers));
                if let Err(problem) = taken {
                    let status = Status::invalid_argument(problem.text());
                    lock(&inbox).problem.get_or_insert(problem);
                    // Nobody there is as good as told.
                    let _ = sender.send(Err(status)).await;
                    return;
                }
                for answer in answers {
                    if sender.send(Ok(answer)).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// Hands out logins of the hosts that the caller named, and of no other.
struct Logins(Arc<BTreeMap<String, Login>>);

#[tonic::async_trait]
impl Auth for Logins {
    async fn credentials(
        &self,
        request: Request<auth::CredentialsRequest>,
    ) -> Result<Response<auth::CredentialsResponse>, Status> {
        // An answer without a name means that there is none.
        let found = self.0.get(&request.into_inner().host);
        let answer = found
            .map(|login| auth::CredentialsResponse { username: login.user.clone(), secret: login.password.clone() });
        Ok(Response::new(answer.unwrap_or_default()))
    }

    async fn fetch_token(
        &self,
        _: Request<auth::FetchTokenRequest>,
    ) -> Result<Response<auth::FetchTokenResponse>, Status> {
        Err(Status::unimplemented("tokens are the daemon's to fetch"))
    }

    async fn get_token_authority(
        &self,
        _: Request<auth::GetTokenAuthorityRequest>,
    ) -> Result<Response<auth::GetTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("tokens are the daemon's to fetch"))
    }

    async fn verify_token_authority(
        &self,
        _: Request<auth::VerifyTokenAuthorityRequest>,
    ) -> Result<Response<auth::VerifyTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("tokens are the daemon's to fetch"))
    }
}
