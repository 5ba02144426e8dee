//! The group `real`: the examples that are services and languages, built, run as strictly as `container` does, and
//! asked to do their job.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use crate::class;
use crate::container::{Bundle, Running, said};
use crate::program::Place;
use crate::real::{image, ld_so_cache_is_ldconfig_s, with_ca};
use crate::tls::Authority;

/// Unpacks an image, and checks what holds for every example here: a user that has a name and is not root, the cache
/// that the release's own ldconfig writes, and no shell but where the example says why.
fn unpack(example: &str, image: &Path) -> Bundle {
    let bundle = Bundle::unpack(image);
    let (uid, gid) = bundle.user();
    let passwd = std::fs::read_to_string(bundle.root().join("etc/passwd")).unwrap();
    let user = if ["haproxy", "postgres", "redis"].contains(&example) { example } else { "nonroot" };
    let user = if example == "nginx" { "www-data" } else { user };
    assert!(passwd.lines().any(|line| line.starts_with(&format!("{user}:x:{uid}:{gid}:"))), "{user} {uid}: {passwd}");
    assert!(uid != 0 && gid != 0);
    ld_so_cache_is_ldconfig_s(example, &bundle);
    for shell in ["sh", "dash", "bash", "busybox"] {
        let wanted = example == "postgres" && ["sh", "dash"].contains(&shell);
        let there = bundle.root().join("usr/bin").join(shell).symlink_metadata().is_ok();
        assert_eq!(there, wanted, "{shell} in {example}");
    }
    bundle
}

/// Builds a language's example with an authority of ours, runs a program that fetches a page over TLS, and runs it
/// again with a server that nobody vouches for; returns what the first run wrote, and what the second complained of.
fn fetch_over_tls(example: &str, place: &Place, arguments: &[&str]) -> (String, String) {
    let known = Authority::new(&place.path("."), "ca");
    let unknown = Authority::new(&place.path("."), "unknown");
    let bundle = unpack(example, &with_ca(place, example)).host_network().mount(&place.path("."), "/mnt");
    let (known, unknown) = (known.serve(), unknown.serve());
    let out = bundle.run_ok(Some(&[arguments, &[&known.url()]].concat()));
    assert!(out.contains("Ciphers supported in s_server"), "{out}");
    let refused = bundle.run(Some(&[arguments, &[&unknown.url()]].concat()));
    assert!(!refused.status.success() && !said(&refused).contains("Ciphers"), "{}", said(&refused));
    (out, said(&refused))
}

#[test]
fn java_opens_a_connection_that_its_keystore_vouches_for() {
    let place = Place::new();
    place.write("Get.class", class::get());
    let (_, refused) = fetch_over_tls("java", &place, &["/usr/bin/java", "-cp", "/mnt", "Get"]);
    assert!(refused.contains("PKIX path building failed"), "{refused}");
}

const NODE: &str = r#"
const assert = require('assert'), crypto = require('crypto'), fs = require('fs'), https = require('https');
assert.strictEqual(process.getuid(), 65532);
assert.throws(() => fs.writeFileSync('/x', ''), /EROFS/);
assert.strictEqual(new Intl.DateTimeFormat('it', {month: 'long'}).format(new Date(2024, 6, 1)), 'luglio');
const {publicKey, privateKey} = crypto.generateKeyPairSync('ed25519');
assert(crypto.verify(null, 'text', publicKey, crypto.sign(null, 'text', privateKey)));
https.get(process.argv.at(-1), answer => {
    answer.pipe(process.stdout);
    answer.on('end', () => console.log('node is well'));
});
"#;

#[test]
fn node_runs_https_and_crypto() {
    let (out, refused) = fetch_over_tls("node", &Place::new(), &["/usr/bin/node", "-e", NODE]);
    assert!(out.contains("node is well"), "{out}");
    assert!(refused.contains("UNABLE_TO_VERIFY_LEAF_SIGNATURE"), "{refused}");
}

const PHP: &str = r#"
function sure($what, $message) { if (!$what) { fwrite(STDERR, "not $message\n"); exit(1); } }
sure(posix_getuid() === 65532, 'nonroot');
sure(php_ini_loaded_file() === '/etc/php/8.4/cli/php.ini', 'configured');
sure(mb_strtoupper('perché') === 'PERCHÉ', 'mbstring');
$database = new SQLite3(':memory:');
sure($database->querySingle('select 6*7') === 42, 'sqlite3');
sure((new PDO('sqlite::memory:'))->query('select 1')->fetchColumn() === 1, 'pdo_sqlite');
sure(file_put_contents(tempnam('/tmp', 'it'), 'x') === 1, 'a writable /tmp');
$curl = curl_init($argv[1]);
curl_setopt($curl, CURLOPT_RETURNTRANSFER, true);
$body = curl_exec($curl);
sure($body !== false, 'curl: ' . curl_error($curl));
sure(strlen(file_get_contents($argv[1])) > 100, 'openssl');
echo $body, "php is well\n";
"#;

#[test]
fn php_runs_its_compiled_extensions() {
    let (out, refused) = fetch_over_tls("php", &Place::new(), &["/usr/bin/php", "-r", PHP, "--"]);
    assert!(out.contains("php is well"), "{out}");
    assert!(refused.contains("SSL certificate problem"), "{refused}");
}

const PERL: &str = r#"
use strict; use warnings; use utf8;
use DBI; use Encode (); use IO::Socket::SSL; use POSIX (); use Digest::SHA; use Time::HiRes;
die 'not nonroot' unless POSIX::getuid() == 65532;
die 'Encode' unless Encode::encode('UTF-16BE', 'è') eq "\x00\xe8";
my $database = DBI->connect('dbi:SQLite:dbname=:memory:', '', '', {RaiseError => 1});
die 'SQLite' unless $database->selectrow_array('select 6*7') == 42;
my ($host, $port) = $ARGV[0] =~ m{^https://([\d.]+):(\d+)/$} or die;
my $server = IO::Socket::SSL->new(PeerHost => $host, PeerPort => $port) or die $SSL_ERROR;
print $server "GET / HTTP/1.0\r\n\r\n";
print while <$server>;
print "perl is well\n";
"#;

#[test]
fn perl_runs_its_compiled_modules() {
    let (out, refused) = fetch_over_tls("perl", &Place::new(), &["/usr/bin/perl", "-e", PERL]);
    assert!(out.contains("perl is well"), "{out}");
    assert!(refused.contains("certificate verify failed"), "{refused}");
}

const RUBY: &str = r#"
require 'digest'; require 'json'; require 'net/http'; require 'openssl'; require 'psych'; require 'socket'; require 'zlib'
raise unless Process.uid == 65532
raise unless JSON::Parser.name == 'JSON::Ext::Parser' && JSON.parse('[1]') == [1]
raise unless Psych.load('a: 1') == {'a' => 1}
raise unless Zlib::Inflate.inflate(Zlib::Deflate.deflate('text')) == 'text'
key = OpenSSL::PKey::EC.generate('prime256v1')
raise unless key.verify('SHA256', key.sign('SHA256', 'text'), 'text')
puts Net::HTTP.get(URI(ARGV[0])), 'ruby is well'
"#;

#[test]
fn ruby_runs_its_compiled_extensions() {
    let (out, refused) = fetch_over_tls("ruby", &Place::new(), &["/usr/bin/ruby", "-e", RUBY]);
    assert!(out.contains("ruby is well"), "{out}");
    assert!(refused.contains("certificate verify failed"), "{refused}");
}

/// Asks for a page and returns the whole answer.
fn get(server: &Running<'_>, path: &str) -> String {
    let mut stream = server.connect();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn nginx_serves_a_page_and_logs_to_standard_output() {
    let bundle = unpack("nginx", &image("nginx"));
    let server = bundle.serve(8080);
    let page = get(&server, "/");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("<title>Welcome to nginx!</title>"), "{page}");
    assert!(page.contains("Server: nginx\r\n") && page.contains("Content-Type: text/html"), "{page}");
    let mut large = server.connect();
    write!(large, "POST / HTTP/1.0\r\nHost: localhost\r\nContent-Length: 400000\r\n\r\n{}", "x".repeat(400_000))
        .unwrap();
    let mut answer = String::new();
    large.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    assert!(get(&server, "/absent").starts_with("HTTP/1.1 404"));
    let output = server.stop();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}", said(&output));
    assert!(out.contains("\"GET / HTTP/1.0\" 200") && err.contains("/absent\" failed (2"), "{}", said(&output));
    assert!(!err.contains("[emerg]") && !err.contains("[alert]") && !err.contains("[warn]"), "{err}");
}

#[test]
fn haproxy_proxies_to_a_local_server() {
    let bundle = unpack("haproxy", &image("haproxy")).env("BACKEND", "127.0.0.1:8001");
    let server = bundle.serve(8080);
    assert!(get(&server, "/").starts_with("HTTP/1.1 503") || get(&server, "/").starts_with("HTTP/1.0 503"));
    let backend = server.within(|| TcpListener::bind("127.0.0.1:8001")).unwrap();
    std::thread::spawn(move || {
        for stream in backend.incoming().flatten() {
            answer(stream);
        }
    });
    let mut page = String::new();
    for _ in 0..100 {
        page = get(&server, "/path");
        if page.contains("200") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(page.contains("200 OK") && page.ends_with("asked: GET /path HTTP/1.0"), "{page}");
    let output = server.stop();
    assert!(output.status.success(), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("web app/app"), "{}", said(&output));
}

/// Answers one request with its first line; a probe that asks nothing gets nothing.
fn answer(mut stream: TcpStream) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let body = format!("asked: {first}");
    _ = write!(stream, "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
}

/// Sends commands one by one, and returns each one's first line of an answer.
fn redis(server: &Running<'_>, commands: &[&str]) -> Vec<String> {
    let mut stream = server.connect();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    commands
        .iter()
        .map(|command| {
            write!(stream, "{command}\r\n").unwrap();
            let first = lines.next().unwrap().unwrap();
            if first.starts_with('$') && first != "$-1" { lines.next().unwrap().unwrap() } else { first }
        })
        .collect()
}

#[test]
fn redis_sets_and_gets_and_finds_it_again_on_its_volume() {
    let bundle = unpack("redis", &image("redis"));
    let server = bundle.serve(6379);
    assert_eq!(redis(&server, &["GET key", "SET key value", "GET key"]), ["$-1", "+OK", "value"]);
    let cli = server.beside(&["/usr/bin/redis-cli", "GET", "key"]);
    assert!(cli.status.success() && cli.stdout == b"value\n", "{}", said(&cli));
    let output = server.stop();
    assert!(output.status.success() && said(&output).contains("DB saved on disk"), "{}", said(&output));
    let server = bundle.serve(6379);
    assert_eq!(redis(&server, &["GET key"]), ["value"], "the snapshot stands on the volume");
    server.stop();
}

#[test]
fn postgres_makes_a_cluster_and_answers_over_tcp() {
    let bundle = unpack("postgres", &image("postgres"));
    let data = bundle.volume("/var/lib/postgresql");
    std::fs::write(data.join("password"), "secret\n").unwrap();
    let bin = |name: &str| format!("/usr/lib/postgresql/17/bin/{name}");
    let out = bundle.run_ok(Some(&[
        &bin("initdb"),
        "--auth=scram-sha-256",
        "--pwfile=/var/lib/postgresql/password",
        "--data-checksums",
    ]));
    assert!(out.contains("The files belonging to this database system will be owned by user \"postgres\""), "{out}");

    let server = bundle.serve(5432);
    // It listens before it lets anybody in.
    let ready = || server.beside(&[&bin("pg_isready"), "--quiet", "--host=127.0.0.1"]).status.success();
    assert!((0..100).any(|_| ready() || {
        std::thread::sleep(std::time::Duration::from_millis(100));
        false
    }));
    let psql = |password: &str, query: &str| {
        let place = format!("host=127.0.0.1 user=postgres dbname=postgres password={password}");
        server.beside(&[&bin("psql"), "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-qAtc", query, &place])
    };
    let ok = |query: &str| {
        let output = psql("secret", query);
        assert!(output.status.success(), "{query}: {}", said(&output));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    };
    ok("create table t as select n, md5(n::text) as h from generate_series(1, 10000) n");
    assert_eq!(ok("select count(distinct h), sum(n) from t"), "10000|50005000");
    assert_eq!(ok("select timestamptz '2024-07-01 12:00Z' at time zone 'Europe/Rome'"), "2024-07-01 14:00:00");
    // A module of its own, libxml2, ICU, each loaded when it is asked for; without LLVM nothing is compiled.
    assert_eq!(ok("create extension pg_trgm; select similarity('word', 'word')"), "1");
    assert_eq!(ok("select xmlelement(name a, 'b')"), "<a>b</a>");
    assert_eq!(ok("select 'a' < 'B' collate \"en-x-icu\""), "t");
    let plan = ok("set jit_above_cost = 0; explain analyze select sum(n) from t");
    assert!(plan.contains("Aggregate") && !plan.contains("JIT:"), "{plan}");
    assert!(said(&psql("wrong", "select 1")).contains("password authentication failed"));

    let output = server.stop();
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("database system is shut down"), "{}", said(&output));
}
