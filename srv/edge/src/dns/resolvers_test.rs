//! Which resolvers a file names, and what of them is asked.

use hickory_proto::rr::RData;
use hickory_proto::rr::rdata::A;

use super::super::asking::{names, question};
use super::super::forward::tests::other;
use super::super::server::with_resolvers_at;
use super::*;

fn servers(text: &str, own: &[&str]) -> Vec<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    let own: Vec<SocketAddr> = own.iter().map(|at| at.parse().unwrap()).collect();
    let resolvers = Resolvers::named_in(file.path().to_owned(), 53).without(&own);
    let found = resolvers.servers(&BTreeSet::new()).unwrap_or_default();
    found.iter().map(|server| server.ip.to_string()).collect()
}

#[test]
fn we_are_none_of_our_resolvers() {
    let text = "search lan\nnameserver 127.0.0.1\nnameserver 10.89.0.1\nnameserver 192.0.2.53\n\
                nameserver fd00::53\noptions ndots:2 rotate nonsense\n";
    for (own, expected) in [
        (&[][..], &["127.0.0.1", "10.89.0.1", "192.0.2.53"][..]),
        (&["127.0.0.1:53", "10.89.0.1:53"], &["192.0.2.53"]),
        (&["127.0.0.1:5353"], &["127.0.0.1", "10.89.0.1", "192.0.2.53"]),
        (&["0.0.0.0:53"], &["10.89.0.1", "192.0.2.53"]),
    ] {
        assert_eq!(servers(text, own)[..expected.len()], *expected, "{own:?}");
    }
    for none in ["", "# nothing\n", "nameserver nonsense\n", "\0\u{1}"] {
        assert_eq!(servers(none, &[]), [""; 0]);
    }
}

#[tokio::test]
async fn a_file_that_changes_counts_soon_and_what_others_said_is_forgotten() {
    let says = |last: u8| {
        move |mut message: hickory_proto::op::Message| {
            let name = message.queries[0].name().clone();
            message.metadata.message_type = hickory_proto::op::MessageType::Response;
            let record = RData::A(A::new(192, 0, 2, last));
            message.answers.push(hickory_proto::rr::Record::from_rdata(name, 300, record));
            Some(message)
        }
    };
    let first = other("127.0.0.1", says(1)).await;
    let port = first.at.port();
    let (alone, _) = with_resolvers_at(names(), "nameserver 127.0.0.1\n", port).await;
    let told = async |name: &str| {
        let told = alone.ask(&question(name, "A")).await;
        told.answers.first().map(|record| record.data.to_string())
    };
    assert_eq!(told("a.example.").await.as_deref(), Some("192.0.2.1"));
    assert_eq!(told("a.example.").await.as_deref(), Some("192.0.2.1"));
    alone.rename_resolvers("# none any more\n");
    let forgotten = async { while told("a.example.").await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(5), forgotten).await.expect("a look at the file");
    alone.rename_resolvers("nameserver 127.0.0.1\n");
    // What is not kept leads to a look at once.
    assert_eq!(told("a.example.").await.as_deref(), Some("192.0.2.1"));
}
