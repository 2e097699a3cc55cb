//! What tells the engines apart.

use super::Engine;

/// The facts one engine's package is made from.
pub(super) struct Spec {
    /// Package, user, unit and directory name.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) version: &'static str,
    /// What its environment variables begin with.
    pub(super) environment: &'static str,
    /// What its system properties begin with.
    pub(super) property: &'static str,
    pub(super) main: &'static str,
    pub(super) netty_plugin: &'static str,
    /// Lines of a plugin descriptor that only this engine wants.
    pub(super) descriptor: &'static str,
    pub(super) artifacts: &'static [&'static str],
    /// A plugin it comes with: directory and zip artifact.
    pub(super) plugin: Option<(&'static str, &'static str)>,
    /// Settings of a healthy single node beyond those both engines share.
    pub(super) healthy: &'static str,
}

impl Engine {
    pub(super) const fn spec(self) -> &'static Spec {
        match self {
            Self::Elasticsearch => &ELASTICSEARCH,
            Self::OpenSearch => &OPENSEARCH,
        }
    }
}

const ELASTICSEARCH: Spec = Spec {
    name: "elasticsearch",
    title: "Elasticsearch",
    version: "7.17.28",
    environment: "ES",
    property: "es",
    main: "org.elasticsearch.bootstrap.Elasticsearch",
    netty_plugin: "org.elasticsearch.transport.Netty4Plugin",
    descriptor: "java.version=1.8\ntype=isolated\nlicensed=false\n",
    artifacts: &["org.elasticsearch:elasticsearch:7.17.28", "org.elasticsearch.plugin:transport-netty4-client:7.17.28"],
    plugin: None,
    healthy: "",
};

const OPENSEARCH: Spec = Spec {
    name: "opensearch",
    title: "OpenSearch",
    version: "2.19.1",
    environment: "OPENSEARCH",
    property: "opensearch",
    main: "org.opensearch.bootstrap.OpenSearch",
    netty_plugin: "org.opensearch.transport.Netty4Plugin",
    descriptor: "java.version=11\n",
    artifacts: &[
        "org.opensearch:opensearch:2.19.1",
        "org.opensearch.plugin:transport-netty4-client:2.19.1",
        "org.opensearch:opensearch-plugin-classloader:2.19.1",
        "org.apache.logging.log4j:log4j-core:2.21.0",
    ],
    plugin: Some(("opensearch-security", "org.opensearch.plugin:opensearch-security:2.19.1.0")),
    healthy: "plugins.security.disabled: true\n",
};
