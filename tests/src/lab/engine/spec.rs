//! What tells the engines apart.

use super::Engine;
use super::compile::Source;

/// The facts one engine's package is made from.
pub(super) struct Spec {
    /// Package, user, unit and directory name.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) version: &'static str,
    /// What the names of its Java packages begin with.
    pub(super) vendor: &'static str,
    /// What its environment variables begin with.
    pub(super) environment: &'static str,
    /// What its system properties begin with.
    pub(super) property: &'static str,
    /// The vendor's limit for a start, in seconds.
    pub(super) start_timeout: &'static str,
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
    vendor: "org.elasticsearch",
    environment: "ES",
    property: "es",
    start_timeout: "900",
    descriptor: "java.version=1.8\ntype=isolated\nlicensed=false",
    artifacts: &["org.elasticsearch:elasticsearch:7.17.28", "org.elasticsearch.plugin:transport-netty4-client:7.17.28"],
    plugin: None,
    healthy: "",
};

const OPENSEARCH: Spec = Spec {
    name: "opensearch",
    title: "OpenSearch",
    version: "2.19.1",
    vendor: "org.opensearch",
    environment: "OPENSEARCH",
    property: "opensearch",
    start_timeout: "75",
    descriptor: "java.version=11",
    artifacts: &[
        "org.opensearch:opensearch:2.19.1",
        "org.opensearch.plugin:transport-netty4-client:2.19.1",
        "org.opensearch:opensearch-plugin-classloader:2.19.1",
        "org.apache.logging.log4j:log4j-core:2.21.0",
    ],
    plugin: Some(("opensearch-security", "org.opensearch.plugin:opensearch-security:2.19.1.0")),
    healthy: "plugins.security.disabled: true\n",
};

/// Path in the package and text of the files that every engine has. `@WORDS@`
/// are filled in from its [`Spec`].
pub(super) const COMMON_FILES: &[(&str, &str)] = &[
    ("DEBIAN/control", include_str!("files/control")),
    ("DEBIAN/conffiles", include_str!("files/conffiles")),
    ("DEBIAN/postinst", include_str!("files/postinst")),
    ("etc/@NAME@/@NAME@.yml", include_str!("files/engine.yml")),
    ("etc/@NAME@/jvm.options", include_str!("files/jvm.options")),
    ("etc/@NAME@/log4j2.properties", include_str!("files/log4j2.properties")),
    ("etc/default/@NAME@", include_str!("files/default")),
    ("usr/lib/systemd/system/@NAME@.service", include_str!("files/service")),
    ("usr/share/@NAME@/bin/@NAME@", include_str!("files/launcher")),
    (
        "usr/share/@NAME@/modules/transport-netty4/plugin-descriptor.properties",
        include_str!("files/netty-descriptor.properties"),
    ),
    ("usr/share/@NAME@/modules/transport-netty4/plugin-security.policy", include_str!("files/netty-security.policy")),
    (
        "usr/share/@NAME@/modules/systemd/plugin-descriptor.properties",
        include_str!("files/systemd-descriptor.properties"),
    ),
    ("usr/share/@NAME@/modules/systemd/plugin-security.policy", include_str!("files/systemd-security.policy")),
];

/// Classes that every engine needs and no published jar has.
pub(super) const COMMON_SOURCES: &[Source] = &[Source {
    name: "SystemdPlugin.java",
    text: include_str!("files/java/SystemdPlugin.java"),
    jar: Some("modules/systemd/systemd.jar"),
}];

/// Takes the place of the engine's own class where the machine's limit is low.
pub(super) const OPEN_FILES_CHECK: Source =
    Source { name: "FileDescriptorCheck.java", text: include_str!("files/java/FileDescriptorCheck.java"), jar: None };
