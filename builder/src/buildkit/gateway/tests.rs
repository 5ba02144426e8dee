use std::sync::Arc;

use bollard_buildkit_proto::moby::buildkit::v1::apicaps::ApiCap;
use bollard_buildkit_proto::moby::buildkit::v1::frontend::llb_bridge_server::{LlbBridge, LlbBridgeServer};
use bollard_buildkit_proto::moby::buildkit::v1::types::WorkerRecord;
use tokio::io::DuplexStream;
use tonic::{Request, Response};

use super::*;

/// A daemon's side, with one file system named `files`.
struct Bridge {
    abilities: Vec<&'static str>,
    solved: Mutex<Vec<wire::SolveRequest>>,
    stats: Mutex<Vec<String>>,
    returned: Mutex<Vec<wire::ReturnRequest>>,
}

type Answer<T> = Result<Response<T>, Status>;

const SPEC: &[u8] = b"name: web\n";

#[tonic::async_trait]
impl LlbBridge for Bridge {
    async fn ping(&self, _: Request<wire::PingRequest>) -> Answer<wire::PongResponse> {
        let ability = |id: &&str| ApiCap { id: (*id).to_owned(), enabled: true, ..ApiCap::default() };
        let off = ApiCap { id: "off".to_owned(), ..ApiCap::default() };
        let own = pb::Platform { os: "linux".to_owned(), architecture: "amd64".to_owned(), ..pb::Platform::default() };
        let other = pb::Platform {
            os: "linux".to_owned(),
            architecture: "arm".to_owned(),
            variant: "v7".to_owned(),
            ..pb::Platform::default()
        };
        Ok(Response::new(wire::PongResponse {
            frontend_api_caps: self.abilities.iter().map(ability).chain([off]).collect(),
            llb_caps: vec![ability(&"source.http")],
            workers: vec![WorkerRecord { platforms: vec![own, other], ..WorkerRecord::default() }],
        }))
    }

    async fn solve(&self, request: Request<wire::SolveRequest>) -> Answer<wire::SolveResponse> {
        let request = request.into_inner();
        let empty = request.definition.as_ref().is_none_or(|definition| definition.def.is_empty());
        let failing = request.definition.as_ref().is_some_and(|definition| definition.def == [b"fail".to_vec()]);
        self.solved.lock().unwrap().push(request);
        if failing {
            let vertex = Any {
                type_url: "github.com/moby/buildkit/errdefs.Vertex+json".to_owned(),
                value: br#"{"digest":"sha256:abc"}"#.to_vec(),
            };
            let message = "process \"/tarsia\" did not complete successfully: exit code: 2";
            let details = rpc::Status { details: vec![vertex], ..rpc::Status::default() }.encode_to_vec();
            return Err(Status::with_details(Code::Unknown, message, details.into()));
        }
        let id = if empty { String::new() } else { "files".to_owned() };
        let result = if self.abilities.contains(&"proto.refarray") {
            wire::result::Result::Ref(wire::Ref { id, def: None })
        } else {
            wire::result::Result::RefDeprecated(id)
        };
        let result = wire::Result { result: Some(result), ..wire::Result::default() };
        Ok(Response::new(wire::SolveResponse { result: Some(result), ..wire::SolveResponse::default() }))
    }

    async fn read_file(&self, request: Request<wire::ReadFileRequest>) -> Answer<wire::ReadFileResponse> {
        let request = request.into_inner();
        let range = request.range.unwrap();
        let bytes = match request.file_path.as_str() {
            "spec.yaml" => SPEC.to_vec(),
            "large" => (0..PIECE * 2 + 7).map(|n| (n % 251) as u8).collect(),
            "endless" => vec![0; range.offset as usize + range.length as usize],
            "liar" => return Ok(Response::new(wire::ReadFileResponse { data: vec![0; PIECE + 1] })),
            path => return Err(Status::unknown(format!("open /{path}: no such file or directory"))),
        };
        let from = (range.offset as usize).min(bytes.len());
        let to = (from + range.length as usize).min(bytes.len());
        Ok(Response::new(wire::ReadFileResponse { data: bytes[from..to].to_vec() }))
    }

    async fn read_dir(&self, request: Request<wire::ReadDirRequest>) -> Answer<wire::ReadDirResponse> {
        assert_eq!(request.get_ref().include_pattern, "*.yaml");
        let entries = vec![Stat { path: "spec.yaml".to_owned(), size: 10, ..Stat::default() }];
        Ok(Response::new(wire::ReadDirResponse { entries }))
    }

    async fn stat_file(&self, request: Request<wire::StatFileRequest>) -> Answer<wire::StatFileResponse> {
        let path = request.into_inner().path;
        self.stats.lock().unwrap().push(path.clone());
        let stat = (path != "nothing").then(|| Stat { path, size: 10, ..Stat::default() });
        Ok(Response::new(wire::StatFileResponse { stat }))
    }

    async fn resolve_image_config(
        &self,
        request: Request<wire::ResolveImageConfigRequest>,
    ) -> Answer<wire::ResolveImageConfigResponse> {
        let platform = request.into_inner().platform.map(|platform| platform_text(&platform)).unwrap_or_default();
        Ok(Response::new(wire::ResolveImageConfigResponse {
            digest: "sha256:00".to_owned(),
            config: platform.into_bytes(),
            ..wire::ResolveImageConfigResponse::default()
        }))
    }

    async fn inputs(&self, _: Request<wire::InputsRequest>) -> Answer<wire::InputsResponse> {
        let definition = pb::Definition { def: vec![b"op".to_vec()], ..pb::Definition::default() };
        let definitions = [("context".to_owned(), definition)].into_iter().collect();
        Ok(Response::new(wire::InputsResponse { definitions }))
    }

    async fn warn(&self, _: Request<wire::WarnRequest>) -> Answer<wire::WarnResponse> {
        Ok(Response::new(wire::WarnResponse {}))
    }

    async fn r#return(&self, request: Request<wire::ReturnRequest>) -> Answer<wire::ReturnResponse> {
        self.returned.lock().unwrap().push(request.into_inner());
        Ok(Response::new(wire::ReturnResponse {}))
    }

    async fn resolve_source_meta(
        &self,
        _: Request<wire::ResolveSourceMetaRequest>,
    ) -> Answer<wire::ResolveSourceMetaResponse> {
        Err(Status::unimplemented(""))
    }

    async fn evaluate(&self, _: Request<wire::EvaluateRequest>) -> Answer<wire::EvaluateResponse> {
        Err(Status::unimplemented(""))
    }

    async fn new_container(&self, _: Request<wire::NewContainerRequest>) -> Answer<wire::NewContainerResponse> {
        Err(Status::unimplemented(""))
    }

    async fn release_container(
        &self,
        _: Request<wire::ReleaseContainerRequest>,
    ) -> Answer<wire::ReleaseContainerResponse> {
        Err(Status::unimplemented(""))
    }

    type ExecProcessStream = tokio_stream::Empty<Result<wire::ExecMessage, Status>>;

    async fn exec_process(&self, _: Request<tonic::Streaming<wire::ExecMessage>>) -> Answer<Self::ExecProcessStream> {
        Err(Status::unimplemented(""))
    }

    async fn read_file_container(&self, _: Request<wire::ReadFileRequest>) -> Answer<wire::ReadFileResponse> {
        Err(Status::unimplemented(""))
    }

    async fn read_dir_container(&self, _: Request<wire::ReadDirRequest>) -> Answer<wire::ReadDirResponse> {
        Err(Status::unimplemented(""))
    }

    async fn stat_file_container(&self, _: Request<wire::StatFileRequest>) -> Answer<wire::StatFileResponse> {
        Err(Status::unimplemented(""))
    }
}

/// A bridge that answers on its own runtime, and a gateway that speaks to it.
struct Pair {
    bridge: Arc<Bridge>,
    gateway: Gateway,
    /// Whoever drops it is a daemon that goes away.
    runtime: Option<Runtime>,
}

fn pair(abilities: &[&'static str]) -> Pair {
    let bridge = Arc::new(Bridge {
        abilities: abilities.to_vec(),
        solved: Mutex::default(),
        stats: Mutex::default(),
        returned: Mutex::default(),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let service = LlbBridgeServer::from_arc(bridge.clone()).max_decoding_message_size(MAX_MESSAGE);
    let incoming = tokio_stream::once(Ok::<DuplexStream, io::Error>(theirs));
    runtime.spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
    let (read, write) = tokio::io::split(ours);
    let gateway = Gateway::connect(read, write).unwrap();
    Pair { bridge, gateway, runtime: Some(runtime) }
}

fn graph(operation: &str) -> GatewaySolve {
    let definition = pb::Definition { def: vec![operation.as_bytes().to_vec()], ..pb::Definition::default() };
    GatewaySolve { definition: definition.encode_to_vec(), ..GatewaySolve::default() }
}

#[test]
fn a_frontend_reads_solves_and_returns() {
    let Pair { bridge, gateway, runtime: _runtime } =
        pair(&["proto.refarray", "frontend.inputs", "gateway.solve.evaluate"]);
    let abilities = gateway.abilities();
    assert!(abilities.gateway.contains("proto.refarray") && !abilities.gateway.contains("off"));
    assert_eq!(abilities.platforms, ["linux/amd64", "linux/arm/v7"]);
    assert!(abilities.graph.contains("source.http"));

    let attributes = [("ref".to_owned(), "127.0.0.1/cache".to_owned())].into_iter().collect();
    let cache_imports = vec![("registry".to_owned(), attributes)];
    let found = gateway.solve(&GatewaySolve { cache_imports, evaluate: true, ..graph("op") }).unwrap();
    assert!(!found.is_empty());
    let asked = bridge.solved.lock().unwrap().remove(0);
    assert!(asked.evaluate && asked.allow_result_return && asked.allow_result_array_ref);
    assert_eq!(asked.cache_imports[0].attrs["ref"], "127.0.0.1/cache");
    assert!(bridge.stats.lock().unwrap().is_empty(), "who evaluates need not be looked at");

    assert_eq!(gateway.read_file(&found, "spec.yaml", SPEC.len()).unwrap(), SPEC);
    let large = gateway.read_file(&found, "large", 4 * PIECE).unwrap();
    assert!(large.iter().enumerate().all(|(n, byte)| *byte == (n % 251) as u8) && large.len() == 2 * PIECE + 7);
    assert_eq!(gateway.read_dir(&found, "", "*.yaml").unwrap()[0].path, "spec.yaml");
    assert_eq!(gateway.stat(&found, "spec.yaml").unwrap().size, 10);
    let image = gateway.image_config("127.0.0.1/image", Some("linux/arm/v7")).unwrap();
    assert_eq!((image.digest.as_str(), image.config.as_slice()), ("sha256:00", &b"linux/arm/v7"[..]));
    let inputs = gateway.inputs().unwrap();
    assert_eq!(definition(&inputs["context"]).unwrap().def, [b"op".to_vec()]);
    gateway.warn("sha256:00", "old").unwrap();

    let metadata = [("containerimage.config".to_owned(), b"{}".to_vec())].into_iter().collect();
    gateway.return_ok(&Returned::One(found.clone()), &metadata).unwrap();
    let all = [("linux/amd64".to_owned(), found)].into_iter().collect();
    gateway.return_ok(&Returned::Platforms(all), &BTreeMap::new()).unwrap();
    gateway.return_error("cannot build `web`: there is no lock").unwrap();
    let returned = bridge.returned.lock().unwrap();
    let first = returned[0].result.clone().unwrap();
    assert_eq!(first.metadata["containerimage.config"], b"{}");
    assert!(matches!(first.result, Some(wire::result::Result::Ref(wire::Ref { id, .. })) if id == "files"));
    let second = returned[1].result.clone().unwrap().result;
    assert!(matches!(second, Some(wire::result::Result::Refs(all)) if all.refs["linux/amd64"].id == "files"));
    assert_eq!(returned[2].error.clone().unwrap().message, "cannot build `web`: there is no lock");
}

#[test]
fn an_older_daemon_gets_the_older_words() {
    let Pair { bridge, gateway, runtime: _runtime } = pair(&["return"]);
    let found = gateway.solve(&GatewaySolve { evaluate: true, ..graph("op") }).unwrap();
    assert!(!bridge.solved.lock().unwrap()[0].evaluate);
    assert_eq!(*bridge.stats.lock().unwrap(), ["."]);
    assert!(gateway.inputs().unwrap().is_empty());
    gateway.return_ok(&Returned::One(found), &BTreeMap::new()).unwrap();
    let returned = bridge.returned.lock().unwrap()[0].result.clone().unwrap().result;
    assert!(matches!(returned, Some(wire::result::Result::RefDeprecated(id)) if id == "files"));
}

#[test]
fn what_is_wrong_is_said() {
    let Pair { bridge, gateway, runtime: _runtime } = pair(&[]);
    let empty = gateway.solve(&GatewaySolve::default()).unwrap();
    assert!(empty.is_empty());
    let said = |result: Result<Vec<u8>, Error>| result.unwrap_err().to_string();
    let files = gateway.solve(&graph("op")).unwrap();
    let absent = gateway.read_file(&files, "lock", 10).unwrap_err();
    assert!(Gateway::is_absent(&absent));
    assert_eq!(absent.to_string(), "cannot read `lock`: open /lock: no such file or directory");
    assert_eq!(said(gateway.read_file(&files, "spec.yaml", 9)), "cannot read `spec.yaml`: it has more than 9 bytes");
    let limit = 3 * PIECE;
    assert_eq!(
        said(gateway.read_file(&files, "endless", limit)),
        format!("cannot read `endless`: it has more than {limit} bytes")
    );
    assert_eq!(
        said(gateway.read_file(&files, "liar", limit)),
        "cannot read `liar`: BuildKit sends more than was asked for"
    );
    let nothing = gateway.stat(&files, "nothing").unwrap_err().to_string();
    assert_eq!(nothing, "cannot look at `nothing`: BuildKit says nothing of it");
    let failed = gateway.solve(&graph("fail")).unwrap_err();
    assert!(failed.to_string().ends_with("did not complete successfully: exit code: 2"), "{failed}");
    assert!(matches!(failed, Error::Gateway { vertex: Some(vertex), .. } if vertex == "sha256:abc"));
    // The client is told which operation it was, too.
    gateway.return_error("cannot build").unwrap();
    let returned = bridge.returned.lock().unwrap().pop().unwrap().error.unwrap();
    assert_eq!(returned.details.len(), 1);
    let rubbish = GatewaySolve { definition: b"\xff\xff".to_vec(), ..GatewaySolve::default() };
    assert!(matches!(gateway.solve(&rubbish), Err(Error::Definition { .. })));
}

#[test]
fn a_daemon_that_goes_away_is_an_error() {
    let mut pair = pair(&[]);
    pair.runtime.take().unwrap().shutdown_background();
    assert!(pair.gateway.solve(&graph("op")).is_err());
    assert!(pair.gateway.return_error("late").is_err());
}

#[test]
fn who_is_no_buildkit_is_an_error() {
    let (read, write) = (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], tokio::io::sink());
    let error = Gateway::connect(read, write).unwrap_err().to_string();
    assert!(error.starts_with("cannot speak to BuildKit: "), "{error}");
}
