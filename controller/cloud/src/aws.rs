//! The EC2 Query API: a signed POST, an XML answer.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use common_evidence::cloud::AwsAnswers;
use common_model::Timestamp;
use common_plan::Region;
use reqwest::Client;
use reqwest::header::DATE;
use reqwest::redirect;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::answer::{Answer, Call, accept};
use crate::credentials;
use crate::error::CloudError;

const VERSION: &str = "2016-11-15";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const MAX_ANSWER: usize = 512 * 1024;
/// Temporary credentials are asked for anew this long before they end.
const RENEW_BEFORE: Duration = Duration::from_secs(300);
/// Values of one filter at most; the API allows 200.
const MAX_VALUES: usize = 200;

/// `cloud.aws` of the controller's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsConfig {
    /// Where the nodes are.
    pub region: Region,
    /// Another URL than the region's own: a VPC endpoint, or an emulator.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// A file like `~/.aws/credentials`; none: the environment, else the instance's role.
    #[serde(default)]
    pub credentials_file: Option<PathBuf>,
    /// The section of that file; none: `default`.
    #[serde(default)]
    pub profile: Option<String>,
    /// The VPC the nodes are in, where the same addresses are in use in several.
    #[serde(default)]
    pub vpc: Option<String>,
}

/// The API of one region, with credentials.
pub struct Aws {
    config: AwsConfig,
    endpoint: String,
    http: Client,
    // Those of the instance's role, which end.
    temporary: Mutex<Option<Credentials>>,
}

/// What a call says: names and values, in order.
pub(crate) type Parameters = Vec<(String, String)>;

impl Aws {
    /// Prepares calls; makes none.
    pub fn new(config: AwsConfig) -> Result<Self, CloudError> {
        let regional = || match config.region.as_str().starts_with("cn-") {
            true => format!("https://ec2.{}.amazonaws.com.cn", config.region),
            false => format!("https://ec2.{}.amazonaws.com", config.region),
        };
        let endpoint = config.endpoint.clone().unwrap_or_else(regional).trim_end_matches('/').to_owned();
        let uri: http::Uri = endpoint.parse().map_err(|_| CloudError::Endpoint(format!("{endpoint} is no URL")))?;
        if uri.host().is_none() || !matches!(uri.scheme_str(), Some("http" | "https")) || uri.path() != "/" {
            return Err(CloudError::Endpoint(format!("{endpoint} is not of the form https://HOST")));
        }
        common_tls::use_ring();
        let http = Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(TIMEOUT);
        let http = http.redirect(redirect::Policy::none()).build();
        let http = http.map_err(|error| CloudError::Endpoint(credentials::reason(&error)))?;
        Ok(Self { config, endpoint, http, temporary: Mutex::default() })
    }

    /// Where the nodes are.
    pub fn region(&self) -> &Region {
        &self.config.region
    }

    /// What is in front of the interfaces that have these addresses.
    pub async fn network_of(&self, addresses: &[IpAddr]) -> Result<AwsAnswers, CloudError> {
        let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = addresses.iter().partition(|address| address.is_ipv4());
        let (name, held) =
            if v4.is_empty() { ("ipv6-addresses.ipv6-address", v6) } else { ("addresses.private-ip-address", v4) };
        let mut filters = vec![(name, held.iter().map(ToString::to_string).collect())];
        filters.extend(self.config.vpc.clone().map(|vpc| ("vpc-id", vec![vpc])));
        let interfaces = self.call("DescribeNetworkInterfaces", filtered(&filters)).await?;
        let found = AwsAnswers::interfaces(&interfaces).value;
        let region = self.config.region.clone();
        for address in addresses {
            let mut holders = found.iter().filter(|interface| interface.addresses.contains(address));
            if let (Some(one), Some(other)) = (holders.next(), holders.next()) {
                return Err(CloudError::Ambiguous(format!("{} and {} both have {address}", one.id, other.id)));
            }
        }
        if found.is_empty() {
            return Ok(AwsAnswers { region, interfaces, groups: None, acls: None, members: None });
        }
        let groups = unique(found.iter().flat_map(|interface| &interface.groups).map(ToString::to_string));
        let subnets = unique(found.iter().map(|interface| interface.subnet.clone()));
        let (groups, acls) = tokio::try_join!(
            self.call("DescribeSecurityGroups", filtered(&[("group-id", groups)])),
            self.call("DescribeNetworkAcls", filtered(&[("association.subnet-id", subnets)])),
        )?;
        let sources = AwsAnswers::sources(&groups);
        let members = match sources.is_empty() {
            true => None,
            false => Some(self.call("DescribeNetworkInterfaces", filtered(&[("group-id", sources)])).await?),
        };
        Ok(AwsAnswers { region, interfaces, groups: Some(groups), acls: Some(acls), members })
    }

    /// One call; gives the body of its answer.
    pub(crate) async fn call(&self, action: &'static str, parameters: Parameters) -> Result<String, CloudError> {
        let call = Call { action, region: self.config.region.as_str(), endpoint: &self.endpoint };
        let request = self.signed(action, parameters, &self.credentials().await?)?;
        let no_answer = |error: reqwest::Error| CloudError::NoAnswer {
            endpoint: self.endpoint.clone(),
            action,
            because: credentials::reason(&error),
        };
        let mut response = self.http.execute(request).await.map_err(no_answer)?;
        let status = response.status().as_u16();
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER {
                let because = format!("it is longer than {MAX_ANSWER} bytes");
                return Err(CloudError::Garbled { endpoint: self.endpoint.clone(), action, status, because });
            }
        }
        let text = String::from_utf8_lossy(&body).into_owned();
        accept(Answer { status, date, text, at: now() }, &call)
    }

    fn signed(
        &self,
        action: &'static str,
        parameters: Parameters,
        credentials: &Credentials,
    ) -> Result<reqwest::Request, CloudError> {
        const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
        let failed = |error: &dyn std::error::Error| CloudError::Signing(error.to_string());
        let all = [("Action".to_owned(), action.to_owned()), ("Version".to_owned(), VERSION.to_owned())];
        let pairs = all.into_iter().chain(parameters);
        let body = pairs.map(|(name, value)| format!("{}={}", encoded(&name), encoded(&value)));
        let body = body.collect::<Vec<_>>().join("&");
        let url = format!("{}/", self.endpoint);
        let identity = credentials.clone().into();
        let settings = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.config.region.as_str())
            .name("ec2")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| failed(&error))?
            .into();
        let headers = [("content-type", FORM)];
        let signable = SignableRequest::new("POST", &url, headers.into_iter(), SignableBody::Bytes(body.as_bytes()));
        let (instructions, _) =
            sign(signable.map_err(|error| failed(&error))?, &settings).map_err(|error| failed(&error))?.into_parts();
        let request = http::Request::post(&url).header("content-type", FORM).body(body);
        let mut request = request.map_err(|error| failed(&error))?;
        instructions.apply_to_request_http1x(&mut request);
        reqwest::Request::try_from(request).map_err(|error| failed(&error))
    }

    async fn credentials(&self) -> Result<Credentials, CloudError> {
        if let Some(path) = self.config.credentials_file.clone() {
            let profile = self.config.profile.clone().unwrap_or_else(|| "default".to_owned());
            return credentials::from_file(&path, &profile);
        }
        if let Some(found) = credentials::from_environment(|name| std::env::var(name).ok()) {
            return Ok(found);
        }
        let mut temporary = self.temporary.lock().await;
        let lasts = |held: &Credentials| held.expiry().is_none_or(|end| end > SystemTime::now() + RENEW_BEFORE);
        match temporary.as_ref().filter(|held| lasts(held)) {
            Some(held) => Ok(held.clone()),
            None => {
                let found = credentials::from_instance(&self.http, credentials::METADATA).await;
                Ok(temporary.insert(found.map_err(CloudError::NoCredentials)?).clone())
            }
        }
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn unique(values: impl Iterator<Item = String>) -> Vec<String> {
    let mut values: Vec<String> = values.collect();
    values.sort();
    values.dedup();
    values.truncate(MAX_VALUES);
    values
}

/// `Filter.N.Name` and `Filter.N.Value.M`.
pub(crate) fn filtered(filters: &[(&str, Vec<String>)]) -> Parameters {
    let mut parameters = Parameters::new();
    for (n, (name, values)) in filters.iter().enumerate() {
        parameters.push((format!("Filter.{}.Name", n + 1), (*name).to_owned()));
        let values = values.iter().enumerate();
        parameters.extend(values.map(|(m, value)| (format!("Filter.{}.Value.{}", n + 1, m + 1), value.clone())));
    }
    parameters
}

/// For a form: everything but RFC 3986's unreserved characters.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(endpoint: &str) -> AwsConfig {
        AwsConfig {
            region: "eu-central-1".parse().unwrap(),
            endpoint: Some(endpoint.to_owned()),
            credentials_file: None,
            profile: None,
            vpc: None,
        }
    }

    #[test]
    fn an_endpoint_is_a_host_and_nothing_more() {
        assert!(Aws::new(config("https://ec2.eu-central-1.amazonaws.com/")).is_ok());
        assert!(Aws::new(config("http://127.0.0.1:5000")).is_ok());
        for bad in ["ec2", "ftp://x", "https://x/path", ""] {
            assert!(matches!(Aws::new(config(bad)), Err(CloudError::Endpoint(_))), "{bad}");
        }
    }

    #[test]
    fn a_value_cannot_become_another_parameter() {
        assert_eq!(encoded("a&Action=X 1/ü"), "a%26Action%3DX%201%2F%C3%BC");
        let filters = filtered(&[("group-id", vec!["a".to_owned(), "b".to_owned()])]);
        assert_eq!(filters[2], ("Filter.1.Value.2".to_owned(), "b".to_owned()));
    }

    #[test]
    fn a_call_is_signed_for_its_region_and_carries_no_secret() {
        let aws = Aws::new(config("http://127.0.0.1:5000")).unwrap();
        let credentials = Credentials::new("AKIA1", "verysecret", Some("token".to_owned()), None, "test");
        let request = aws.signed("DescribeNetworkAcls", Vec::new(), &credentials).unwrap();
        let authorization = request.headers()["authorization"].to_str().unwrap();
        assert!(
            authorization.contains("Credential=AKIA1/") && authorization.contains("/eu-central-1/ec2/aws4_request")
        );
        assert!(!format!("{request:?}").contains("verysecret"));
    }
}
