//! moto, a real server of the EC2 API, which `tests/prepare` installs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const MOTO: &str = "moto-5.2.5";
/// Where calls are signed for.
pub const REGION: &str = "eu-central-1";
/// An image that it knows from the start.
const IMAGE: &str = "ami-03cf127a";

/// A running server. It ends with this value, or with the thread that started it.
#[derive(Debug)]
pub struct Moto {
    process: Child,
    address: SocketAddr,
}

/// An instance whose security group lets nothing in, in a VPC of its own.
#[derive(Debug)]
pub struct Instance {
    /// Its VPC.
    pub vpc: String,
    /// Its subnet.
    pub subnet: String,
    /// Its group.
    pub group: String,
    /// Its interface.
    pub interface: String,
}

impl Moto {
    /// On a free port of this machine's loopback.
    pub fn start() -> Self {
        let cache = std::env::var_os("DIALTONE_LAB_CACHE").filter(|path| !path.is_empty());
        let cache = cache.map_or_else(|| "/var/cache/dialtone-lab".into(), PathBuf::from);
        let python = cache.join(MOTO).join("bin/python");
        assert!(python.exists(), "there is no {}: run tests/prepare", python.display());
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut moto = Command::new("setpriv");
        moto.args(["--pdeathsig", "KILL", "--"]).arg(python);
        moto.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &address.port().to_string()]);
        let process = moto.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let moto = Self { process, address };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "the emulator does not come up");
            std::thread::sleep(Duration::from_millis(20));
        }
        moto
    }

    /// Where it answers.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Starts an instance with this address, which is in 10.0.0.0/24.
    pub fn instance(&self, address: &str) -> Instance {
        let vpc = value(&self.call("CreateVpc", &[("CidrBlock", "10.0.0.0/16")]), "vpcId");
        let subnet = [("VpcId", vpc.as_str()), ("CidrBlock", "10.0.0.0/24")];
        let subnet = value(&self.call("CreateSubnet", &subnet), "subnetId");
        let group = [("VpcId", vpc.as_str()), ("GroupName", "search"), ("GroupDescription", "engines")];
        let group = value(&self.call("CreateSecurityGroup", &group), "groupId");
        let instance = [
            ("ImageId", IMAGE),
            ("MinCount", "1"),
            ("MaxCount", "1"),
            ("SubnetId", subnet.as_str()),
            ("SecurityGroupId.1", &group),
            ("PrivateIpAddress", address),
        ];
        let interface = value(&self.call("RunInstances", &instance), "networkInterfaceId");
        Instance { vpc, subnet, group, interface }
    }

    /// Network and description of each rule by which a group lets somebody in.
    pub fn rules(&self, group: &str) -> Vec<(String, String)> {
        let of_group = [("Filter.1.Name", "group-id"), ("Filter.1.Value.1", group)];
        let answer = self.call("DescribeSecurityGroupRules", &of_group);
        let lets_in = answer.split("<item>").filter(|item| item.contains("<isEgress>false</isEgress>"));
        let described = |item: &str| item.contains("<description>").then(|| value(item, "description"));
        lets_in.map(|item| (value(item, "cidrIpv4"), described(item).unwrap_or_default())).collect()
    }

    /// A call as somebody else would make it; it takes any signature that names a region and a service.
    pub fn call(&self, action: &str, parameters: &[(&str, &str)]) -> String {
        let fixed = [("Action", action), ("Version", "2016-11-15")];
        let encoded = |value: &str| value.replace('/', "%2F").replace(' ', "%20");
        let pairs = fixed.iter().chain(parameters).map(|(name, value)| format!("{name}={}", encoded(value)));
        let body = pairs.collect::<Vec<_>>().join("&");
        let credential = format!(
            "AWS4-HMAC-SHA256 Credential=OTHER/20260101/{REGION}/ec2/aws4_request, SignedHeaders=host, Signature=0"
        );
        let request = format!(
            "POST / HTTP/1.1\r\nHost: ec2.{REGION}.amazonaws.com\r\nAuthorization: {credential}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(&format!("<{action}Response")), "{action}: {answer}");
        answer
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// What the first element of this name holds.
pub fn value(xml: &str, name: &str) -> String {
    let rest = xml.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("no {name}: {xml}")).1;
    rest.split('<').next().unwrap().to_owned()
}
