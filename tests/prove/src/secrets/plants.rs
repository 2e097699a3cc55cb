//! Every place of a node in which a secret can stand. A word beside it is no secret and shows that the place was read.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use super::Planted;
use crate::programs;

/// The engine's settings; the port is another one than clients were told. None of it is repeated in what lies in the repository.
pub(crate) const YML: &str = r#"# managed by ansible ¤
cluster.name: prod
node.name: ¤
network.host: 0.0.0.0
http.port: 9201
path.logs: /var/log/elasticsearch
discovery.type: single-node
xpack.security.http.ssl.keystore.password: §
xpack.security.transport.ssl.secure_key_passphrase: "§"
'xpack.security.transport.ssl.truststore.password': '§'
bootstrap.password: § # set by §
#bootstrap.password: §
# the ldap password is §
xpack:
  security:
    authc:
      realms:
        ldap.a:
          order: 1
          bind_dn: "cn=§"
          bind_password: "§"
  notification: {email: {account: {work: {smtp: {user: §, password: "§"}}}}}
s3.client.default.secret_key: >-
  §
unknown.block: |
  first
  §

  other.key: §
unknown.quoted: "begins
  §
  ends"
unknown.list: [a,
  §, b]
unknown.items:
  - §
node.attr.note: §
cluster.remote.a.credentials: §
reindex.remote.whitelist: "https://elastic:§@es-2:9200"
xpack.security.http.ssl.key: |
  -----BEGIN PRIVATE KEY-----
  §
  -----END PRIVATE KEY-----
"#;

/// Files, by their paths on the node.
const FILES: &[(&str, &str)] = &[
    ("/etc/elasticsearch/elasticsearch.yml", YML),
    ("/etc/elasticsearch/elasticsearch.keystore", "§"),
    ("/etc/elasticsearch/jvm.options", "-Djavax.net.ssl.keyStorePassword=§\n"),
    ("/etc/elasticsearch/jvm.options.d/own.options", "-Dmy.password=§\n"),
    ("/etc/elasticsearch/users", "admin:§\n"),
    ("/etc/elasticsearch/certs/http.key", "-----BEGIN PRIVATE KEY-----\n§\n-----END PRIVATE KEY-----\n"),
    ("/etc/default/elasticsearch", "ES_JAVA_OPTS=\"-Dmy.password=§\"\nES_PATH_CONF=/etc/elasticsearch\nAPI_KEY=§\n"),
    (
        "/etc/systemd/system/elasticsearch.service",
        "[Service]\nUser=elasticsearch\nEnvironment=ELASTIC_PASSWORD=§\nEnvironment=ES_HOME=/usr/share/elasticsearch\n\
         EnvironmentFile=-/etc/default/elasticsearch\n\
         ExecStart=/usr/share/elasticsearch/bin/elasticsearch -Es3.client.a.secret_key=§ -Enode.attr.zone=§ -Ecluster.name=prod\n",
    ),
    (
        "/etc/systemd/system/elasticsearch.service.d/own.conf",
        "# token: §\n[Service]\nEnvironment=\"AWS_SECRET_ACCESS_KEY=§\" \"PGPASSWORD=§\"\n",
    ),
    (
        "/etc/sysctl.d/98-own.conf",
        "# ¤\n# the root password is: §\nvm.max_map_count = 262144\n; secret=§\nkernel.x.password=§\n",
    ),
    ("/etc/ufw/ufw.conf", "# ¤\n# password: §\nENABLED=no\n"),
    ("/etc/default/ufw", "# ¤\nDEFAULT_INPUT_POLICY=\"DROP\"\nAPI_TOKEN=\"§\"\n"),
    (
        "/etc/firewalld/zones/own.xml",
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<zone>\n  <short>¤</short>\n  <description>password=§</description>\n  \
         <!-- api_key: § -->\n  <source address=\"10.0.0.0/8\"/>\n</zone>\n",
    ),
    (
        "/etc/nftables.conf",
        "#!/usr/sbin/nft -f\n# password: §\ntable inet own {\n chain input {\n  tcp dport 1 drop comment \"¤ secret=§\"\n }\n}\n",
    ),
    (
        "/etc/iptables/rules.v4",
        "# ¤\n# token=§\n*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -m comment --comment \"ldap password=§\" -j DROP\n\
         -A INPUT -m comment --comment token=§ -j DROP\nCOMMIT\n",
    ),
    ("/etc/dialtone/policy.yaml", "# ¤\n# the escrow's password is §\nepoch: 1\n"),
    (
        "/var/log/dpkg.log",
        "2026-11-20 23:50:11 install ¤:all <none> 1.0\n2026-11-20 23:50:12 startup password=§ https://apt:§@repo.example/\n",
    ),
    ("/var/log/apt/history.log", "Commandline: apt-get -o Acquire::http::Proxy=http://apt:§@proxy install x\n"),
    (
        "/var/log/elasticsearch/prod.log",
        "[2026-11-20T23:53:35,521][INFO ][o.e.n.Node               ] [¤] version[7.17.28], pid[1], starting ...\n\
         [2026-11-20T23:53:36,521][INFO ][o.e.n.Node               ] [x] JVM arguments [-Xms1g, -Djavax.net.ssl.keyStorePassword=§]\n\
         [2026-11-20T23:53:37,521][WARN ][o.e.x.x                  ] [x] headers={Authorization=[Basic ‡], Host=[a]} from https://elastic:§@es-2:9200\n\
         [2026-11-20T23:53:38,521][WARN ][o.e.x.x                  ] [x] {\"api_key\": \"§\"} got token=§ and Bearer §\n",
    ),
    ("/root/.bash_history", "curl -u elastic:§ http://localhost:9200\n"),
    ("/root/.netrc", "machine es-1 login elastic password §\n"),
    // What systemctl says; journalctl's lines are below.
    (
        "/usr/bin/systemctl.out",
        "Id=elasticsearch.service\nLoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nResult=success\n\
         ExecMainPID=0\nMainPID=0\nNRestarts=0\nFragmentPath=/etc/systemd/system/elasticsearch.service\n\
         DropInPaths=/etc/systemd/system/elasticsearch.service.d/own.conf\nType=simple\nUser=elasticsearch\nGroup=¤\n",
    ),
    ("/usr/share/elasticsearch/jdk/bin/java.listens", "0.0.0.0:9201\n"),
];

/// Lines of the journal: who wrote them, and what.
const JOURNAL: &[(&str, &str)] = &[
    ("sudo", "alice : TTY=pts/0 ; PWD=/root ; USER=root ; ENV=PGPASSWORD=§ ; COMMAND=/usr/bin/systemctl restart ¤"),
    ("sudo", "alice : TTY=pts/0 ; PWD=/root ; USER=root ; COMMAND=/usr/bin/curl -u elastic:§ https://localhost:9200"),
    (
        "sudo",
        "alice : TTY=pts/0 ; PWD=/root ; USER=root ; COMMAND=/usr/bin/sed -i s/a/§/ /etc/elasticsearch/elasticsearch.yml",
    ),
    ("sudo", "alice : TTY=pts/0 ; PWD=/root ; USER=root ; COMMAND=/bin/bash -c echo § > /etc/¤x"),
    (
        "sudo",
        "alice : TTY=pts/0 ; PWD=/root ; USER=root ; COMMAND=/usr/bin/apt-get install http://apt:§@repo.example/x.deb",
    ),
    ("java", "¤ keystore password=§ was wrong"),
    ("java", "Authorization: ApiKey §"),
    ("java", "The generated password for the elastic built-in superuser is : §"),
];

/// Arguments of the engine's process.
const ARGUMENTS: &[&str] = &[
    "-Des.path.home=/usr/share/elasticsearch",
    "-Des.path.conf=/etc/elasticsearch",
    "-Des.own=¤",
    "-Djavax.net.ssl.trustStorePassword=§",
    "-Dmy.own=§",
    "-Dhttp.proxy=http://proxy:§@10.0.0.1",
    "org.elasticsearch.bootstrap.Elasticsearch",
    "--password",
    "§",
];

/// A rule of the kernel's own firewall.
pub(crate) const RULESET: &str = "table inet own {\n}\ndelete table inet own\ntable inet own {\nchain input {\ntcp dport 1 accept comment \"¤ ldap password=§\"\n\
     tcp dport 2 log prefix \"token=§ \" accept comment \"secret: §\"\n}\n}\n";

/// Writes it all below a directory.
pub(crate) fn plant(below: &Path, planted: &mut Planted) {
    let write = |path: &str, content: &[u8]| {
        let path = below.join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    for (path, template) in FILES {
        write(path, planted.fill(path, template).as_bytes());
    }
    // ufw keeps comments in hexadecimal digits.
    let comment: String =
        planted.fill("a comment of ufw's", "password=§").bytes().map(|b| format!("{b:02x}")).collect();
    let rules = planted
        .fill("/etc/ufw/user.rules", "# ¤\n# token: §\n-A ufw-user-input -m comment --comment \"secret=§\" -j DROP\n");
    let note = format!("### tuple ### deny tcp 9200 0.0.0.0/0 any 0.0.0.0/0 in comment={comment}\n");
    write("/etc/ufw/user.rules", format!("*filter\n{note}{rules}COMMIT\n").as_bytes());
    for link in ["nftables.service", "netfilter-persistent.service"] {
        let wants = below.join("etc/systemd/system/multi-user.target.wants");
        fs::create_dir_all(&wants).unwrap();
        symlink(format!("/usr/lib/systemd/system/{link}"), wants.join(link)).unwrap();
    }
    let lines: String = JOURNAL.iter().enumerate().map(|(at, line)| journal_line(at, *line, planted)).collect();
    write("/usr/bin/journalctl.out", lines.as_bytes());
    for program in ["usr/bin/journalctl", "usr/bin/systemctl", "usr/share/elasticsearch/jdk/bin/java"] {
        let path = below.join(program);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(programs::double(), path).unwrap();
    }
}

fn journal_line(at: usize, (command, template): (&str, &str), planted: &mut Planted) -> String {
    let message = planted.fill("the journal", template);
    let other = planted.fill("another field of the journal", "password=§ token: §");
    // A message that is not all text comes as its bytes.
    let message = if at.is_multiple_of(2) { Value::from(message) } else { Value::from(message.into_bytes()) };
    let entry = json!({
        "__CURSOR": format!("s=1;i={at}"), "__REALTIME_TIMESTAMP": format!("{}", 1_795_000_000_000_000_u64 + at as u64),
        "_COMM": command, "_PID": "77", "_UID": "0", "_SYSTEMD_UNIT": "elasticsearch.service", "_TRANSPORT": "stdout",
        "_CMDLINE": other, "OWN_FIELD": other, "COMMAND": other, "MESSAGE": message,
    });
    format!("{entry}\n")
}

/// The engine's arguments, with a secret first that is only in its environment.
pub(crate) fn engine(planted: &mut Planted) -> Vec<String> {
    let environment = planted.fill("the engine's environment", "§");
    let arguments = ARGUMENTS.iter().map(|argument| planted.fill("the engine's arguments", argument));
    std::iter::once(environment).chain(arguments).collect()
}
