//! The engine is told to bind to an address that the machine does not have, an interface that is not there, or a name that does not
//! resolve.

use common_model::Stage;
use common_model::change::Topic;
use controller_correlate::engine_view::{HTTP_BIND, TRANSPORT_ADDRESS};

use crate::finding::Cause;
use crate::start::{self, ByWords};

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "bind-address-not-local",
    title: "The machine does not have the address the engine is to bind to",
    stage: Some(Stage::Listen),
    needs: start::NEEDS,
    refuted_by: "the address on an interface of the machine that is up",
    rule: |case| WORDS.judge(case),
};

static WORDS: ByWords = ByWords {
    cause: "bind-address-not-local",
    words: &[
        "Cannot assign requested address",
        "Failed to resolve host [",
        "No interface named '",
        "matched no network interfaces",
        "No up-and-running site-local",
        "is not up and running",
    ],
    because: "it cannot bind to the address it is told to",
    explains: |change, engine, _| {
        let of_file = change.topic == Topic::Config && change.subject == engine.engine.config_file();
        let is_bind = |key: &str| HTTP_BIND.contains(&key) || TRANSPORT_ADDRESS.contains(&key);
        let went = change.topic == Topic::Network && change.items.iter().any(|item| item.new.is_none());
        went || (of_file && change.items.iter().any(|item| item.new.is_some() && is_bind(&item.key)))
    },
};

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    pub(crate) const LINES: &[&str] = &[
        "uncaught exception in thread [main]",
        "BindTransportException[Failed to bind to 10.99.99.99:9300]; nested: BindException[Cannot assign requested address];",
    ];

    pub(crate) fn fires() -> controller_correlate::Picture {
        crate::start::pictures::failed(LINES, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::CAUSE;
    use super::fixture::{self, LINES};
    use crate::start::{checks, pictures};

    #[test]
    fn fires() {
        let diagnosis = checks::fires(&CAUSE, &fixture::fires());
        assert!(diagnosis.verdict.sentence.contains("10.99.99.99:9300"), "{}", diagnosis.verdict.sentence);
    }

    #[test]
    fn names_the_address_where_the_log_has_a_stack_trace() {
        let log = "[2026-01-31T14:01:55,000][INFO ][o.e.n.Node               ] [es-1] version[8.17.2], pid[4242]\n\
            [2026-01-31T14:01:59,000][ERROR][o.e.b.Elasticsearch      ] [es-1] fatal exception while booting Elasticsearch\n\
            org.elasticsearch.transport.BindTransportException: Failed to bind to 10.99.99.99:[9300-9399]\n\
            \tat org.elasticsearch.transport.TcpTransport.bindToPort(TcpTransport.java:485)\n\
            Caused by: java.net.BindException: Cannot assign requested address\n";
        let diagnosis = checks::fires(&CAUSE, &pictures::refused(pictures::failing(&[], 1).log(log)));
        assert!(diagnosis.verdict.sentence.contains("10.99.99.99:[9300-9399]"), "{}", diagnosis.verdict.sentence);
    }

    #[test]
    fn does_not() {
        checks::does_not(&CAUSE, LINES);
        checks::does_not(
            &CAUSE,
            &["BindHttpException[Failed to bind to 127.0.0.1:9200]; nested: BindException[Address already in use];"],
        );
    }

    #[test]
    fn cannot_tell() {
        checks::cannot_tell(&CAUSE);
    }
}
