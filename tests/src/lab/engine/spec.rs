//! What tells the engines apart.

use super::Engine;
use super::compile::Source;

/// The facts one engine's package is made from.
pub(super) struct Spec {
    /// Package, user, unit and directory name.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) version: &'static str,
    pub(super) artifacts: &'static [&'static str],
    /// A plugin it comes with: directory and zip artifact.
    pub(super) plugin: Option<(&'static str, &'static str)>,
    /// Files and classes beyond those that every engine has.
    pub(super) files: &'static [(&'static str, &'static str)],
    pub(super) sources: &'static [Source],
    /// What the `@WORDS@` in files and classes stand for.
    pub(super) words: &'static [(&'static str, &'static str)],
    /// Settings of a healthy single node beyond those all engines share.
    pub(super) healthy: &'static str,
}

impl Engine {
    pub(super) const fn spec(self) -> &'static Spec {
        match self {
            Self::Elasticsearch => &ELASTICSEARCH,
            Self::Elasticsearch8 => &ELASTICSEARCH_8,
            Self::OpenSearch => &OPENSEARCH,
        }
    }
}

const ELASTICSEARCH: Spec = Spec {
    name: "elasticsearch",
    title: "Elasticsearch",
    version: "7.17.28",
    artifacts: &["org.elasticsearch:elasticsearch:7.17.28", "org.elasticsearch.plugin:transport-netty4-client:7.17.28"],
    plugin: None,
    files: SYSTEMD_FILES,
    sources: SYSTEMD_SOURCES,
    words: &[
        ("@EXEC@", EXEC_SERVER),
        ("@VENDOR@", "org.elasticsearch"),
        ("@ENV@", "ES"),
        ("@PROPERTY@", "es"),
        ("@NETTY_PLUGIN@", "org.elasticsearch.transport.Netty4Plugin"),
        ("@DESCRIPTOR@", "java.version=1.8\ntype=isolated\nlicensed=false"),
        ("@START_TIMEOUT@", "900"),
        ("@NOTIFY_ACCESS@", "NotifyAccess=main"),
        ("@KILL_MODE@", KILL_SERVER),
        ("@CHECK_MEMBERS@", ""),
    ],
    healthy: "",
};

const ELASTICSEARCH_8: Spec = Spec {
    name: "elasticsearch",
    title: "Elasticsearch",
    // Later ones start only with a jar that is not published.
    version: "8.17.2",
    artifacts: &["org.elasticsearch:elasticsearch:8.17.2", "org.elasticsearch.plugin:transport-netty4:8.17.2"],
    plugin: None,
    files: &[(
        "usr/share/@NAME@/modules/rest-root/plugin-descriptor.properties",
        include_str!("files/rest-root-descriptor.properties"),
    )],
    sources: &[
        Source {
            name: "CliToolLauncher.java",
            text: include_str!("files/java/CliToolLauncher.java"),
            jar: Some("lib/tools/launcher/launcher.jar"),
        },
        Source {
            name: "AnsiConsoleLoader.java",
            text: include_str!("files/java/AnsiConsoleLoader.java"),
            jar: Some("lib/tools/ansi-console/ansi-console.jar"),
        },
        Source {
            name: "MainRestPlugin.java",
            text: include_str!("files/java/MainRestPlugin.java"),
            jar: Some("modules/rest-root/rest-root.jar"),
        },
    ],
    words: &[
        ("@EXEC@", EXEC_LAUNCHER),
        ("@VENDOR@", "org.elasticsearch"),
        ("@ENV@", "ES"),
        ("@PROPERTY@", "es"),
        ("@NETTY_PLUGIN@", "org.elasticsearch.transport.netty4.Netty4Plugin"),
        ("@DESCRIPTOR@", "java.version=17"),
        ("@START_TIMEOUT@", "900"),
        ("@NOTIFY_ACCESS@", "NotifyAccess=all"),
        ("@KILL_MODE@", KILL_LAUNCHER),
        (
            "@CHECK_MEMBERS@",
            "public org.elasticsearch.common.ReferenceDocs referenceDocs() {\n        \
             return org.elasticsearch.common.ReferenceDocs.BOOTSTRAP_CHECK_FILE_DESCRIPTOR;\n    }",
        ),
    ],
    healthy: "",
};

const OPENSEARCH: Spec = Spec {
    name: "opensearch",
    title: "OpenSearch",
    version: "2.19.1",
    artifacts: &[
        "org.opensearch:opensearch:2.19.1",
        "org.opensearch.plugin:transport-netty4-client:2.19.1",
        "org.opensearch:opensearch-plugin-classloader:2.19.1",
        "org.apache.logging.log4j:log4j-core:2.21.0",
    ],
    plugin: Some(("opensearch-security", "org.opensearch.plugin:opensearch-security:2.19.1.0")),
    files: SYSTEMD_FILES,
    sources: SYSTEMD_SOURCES,
    words: &[
        ("@EXEC@", EXEC_SERVER),
        ("@VENDOR@", "org.opensearch"),
        ("@ENV@", "OPENSEARCH"),
        ("@PROPERTY@", "opensearch"),
        ("@NETTY_PLUGIN@", "org.opensearch.transport.Netty4Plugin"),
        ("@DESCRIPTOR@", "java.version=11"),
        ("@START_TIMEOUT@", "75"),
        ("@NOTIFY_ACCESS@", "NotifyAccess=main"),
        ("@KILL_MODE@", KILL_SERVER),
        ("@CHECK_MEMBERS@", ""),
    ],
    healthy: "plugins.security.disabled: true\n",
};

/// The unit's process becomes the server.
const EXEC_SERVER: &str = r#"exec "$java" "${options[@]}" $@ENV@_JAVA_OPTS \
    -D@PROPERTY@.path.home="$@ENV@_HOME" -D@PROPERTY@.path.conf="$@ENV@_PATH_CONF" \
    -D@PROPERTY@.distribution.flavor=oss -D@PROPERTY@.distribution.type=deb -D@PROPERTY@.bundled_jdk=false \
    -cp "$@ENV@_HOME/lib/*" @VENDOR@.bootstrap.@TITLE@ "$@""#;

const KILL_SERVER: &str = "# Send the signal only to the JVM rather than its control group\n\
    KillMode=process";

/// The unit's process is a launcher, whose child is the server.
const EXEC_LAUNCHER: &str = r#"exec "$java" -Xms4m -Xmx64m -XX:+UseSerialGC \
    -cp "$@ENV@_HOME/lib/*:$@ENV@_HOME/lib/tools/launcher/*" org.elasticsearch.launcher.CliToolLauncher "$@" \
    -- "${options[@]}" $@ENV@_JAVA_OPTS -D@PROPERTY@.distribution.type=deb"#;

const KILL_LAUNCHER: &str = "# Send the signal only to the JVM rather than its control group\n\
    KillMode=mixed";

/// Path in the package and text of the files that every engine has.
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
];

/// The module by which a server tells systemd that it has started. Of 8.x, the
/// launcher does.
const SYSTEMD_FILES: &[(&str, &str)] = &[
    (
        "usr/share/@NAME@/modules/systemd/plugin-descriptor.properties",
        include_str!("files/systemd-descriptor.properties"),
    ),
    ("usr/share/@NAME@/modules/systemd/plugin-security.policy", include_str!("files/systemd-security.policy")),
];

const SYSTEMD_SOURCES: &[Source] = &[Source {
    name: "SystemdPlugin.java",
    text: include_str!("files/java/SystemdPlugin.java"),
    jar: Some("modules/systemd/systemd.jar"),
}];

/// Takes the place of the engine's own class where the machine's limit is low.
pub(super) const OPEN_FILES_CHECK: Source =
    Source { name: "FileDescriptorCheck.java", text: include_str!("files/java/FileDescriptorCheck.java"), jar: None };
