//! The chains of keys.

use common_model::probe::Product;

use super::{Bind, Origin, Resolved, ResolvedSetting, Switch};
use crate::collectors::engine_config::{EngineConfig, Setting};

/// The places that settings come from.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    config: Option<&'a EngineConfig>,
    arguments: &'a [String],
}

/// A setting as one place has it.
struct Found {
    values: Vec<String>,
    origin: Origin,
}

impl<'a> Settings<'a> {
    /// Of the engine's yml, where it could be read, and of `-E` arguments, each `key=value`.
    pub fn new(config: Option<&'a EngineConfig>, arguments: &'a [String]) -> Self {
        Self { config, arguments }
    }

    /// The setting in force for exactly this key; none when nothing sets it. Arguments beat the file, and `force.` beats both.
    pub fn get(&self, key: &str) -> Option<ResolvedSetting> {
        let forced = format!("force.{key}");
        let found =
            [forced.as_str(), key].iter().find_map(|name| self.argument(name).or_else(|| self.in_file(name)))?;
        Some(ResolvedSetting { values: found.values, setting: key.to_owned(), origin: found.origin })
    }

    /// The first of the keys that has a value. Else the default, of the last key.
    pub fn first(&self, keys: &[&str], default: &[&str]) -> ResolvedSetting {
        if let Some(found) = keys.iter().filter_map(|key| self.get(key)).find(|found| !found.values.is_empty()) {
            return found;
        }
        let setting = keys.last().copied().unwrap_or_default().to_owned();
        let values = default.iter().map(|value| (*value).to_owned()).collect();
        match self.blind() {
            Some(why) => ResolvedSetting { values: Vec::new(), setting, origin: Origin::Unknown(why) },
            None => ResolvedSetting { values, setting, origin: Origin::Default },
        }
    }

    /// The first of the keys that is set, as on or off.
    pub fn switch(&self, keys: &[&str], default: Option<bool>) -> Switch {
        let found = self.first(keys, &[]);
        let on = match (&found.origin, found.values.as_slice()) {
            (Origin::Default, _) => default,
            (origin, [value]) if origin.is_known() => value.parse().ok(),
            _ => None,
        };
        Switch { on, setting: found.setting, origin: found.origin }
    }

    /// True when any key in the yml or the arguments begins so.
    fn any(&self, prefix: &str) -> bool {
        let in_file = self.config.is_some_and(|config| config.settings.iter().any(|s| s.key.starts_with(prefix)));
        in_file || self.arguments.iter().any(|argument| argument.starts_with(prefix))
    }

    /// Why what is in the file cannot be told.
    fn blind(&self) -> Option<String> {
        let Some(config) = self.config else { return Some("the engine's yml was not read".to_owned()) };
        if let Some(error) = &config.unreadable {
            return Some(format!("{} could not be read: {error}", config.path));
        }
        config.cut.then(|| format!("{} was not read to its end", config.path))
    }

    fn argument(&self, key: &str) -> Option<Found> {
        let value = self.arguments.iter().rev().find_map(|argument| {
            let (name, value) = argument.split_once('=')?;
            (name == key).then_some(value)
        })?;
        let values: Vec<String> = if key.ends_with("host") || key.ends_with("path.data") {
            value.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
        } else {
            vec![value.to_owned()]
        };
        let setting = Setting { key: key.to_owned(), values, line: 0, column: 0 };
        let origin = variable(&setting).unwrap_or(Origin::Argument);
        Some(Found { values: setting.values, origin })
    }

    fn in_file(&self, key: &str) -> Option<Found> {
        let config = self.config?;
        let setting = config.get(key)?;
        let origin =
            variable(setting).unwrap_or_else(|| Origin::File { path: config.path.clone(), line: setting.line });
        Some(Found { values: setting.values.clone(), origin })
    }
}

fn variable(setting: &Setting) -> Option<Origin> {
    setting.placeholder().map(|name| Origin::Environment(name.to_owned()))
}

/// Follows the chains for one engine. Without a yml (`config` none) whatever the arguments do not set is unknown, never default.
pub fn resolve(
    config: Option<&EngineConfig>,
    arguments: &[String],
    product: Product,
    version: Option<&str>,
) -> Resolved {
    let settings = Settings::new(config, arguments);
    let version = version.and_then(numbers);
    let elasticsearch = product == Product::Elasticsearch;
    let (http_ssl, security) = if elasticsearch {
        (
            &["xpack.security.http.ssl.enabled"][..],
            settings.switch(&["xpack.security.enabled"], version.map(|v| v.0 >= 8)),
        )
    } else {
        (
            &["plugins.security.ssl.http.enabled", "opendistro_security.ssl.http.enabled"][..],
            opensearch_security(&settings),
        )
    };
    Resolved {
        http: Bind {
            bind: settings.first(&["http.bind_host", "http.host", "network.bind_host", "network.host"], &[]),
            publish: settings.first(&["http.publish_host", "http.host", "network.publish_host", "network.host"], &[]),
            port: settings.first(&["http.port"], &["9200-9300"]),
        },
        transport: transport(&settings, elasticsearch, version),
        http_enabled: settings.switch(&["http.enabled"], Some(true)),
        http_ssl: settings.switch(http_ssl, Some(false)),
        security,
        discovery_type: settings.first(&["discovery.type"], &[]),
        cluster_name: settings.first(&["cluster.name"], &[product.slug()]),
        path_logs: settings.first(&["path.logs"], &[]),
        path_data: settings.first(&["path.data"], &[]),
    }
}

fn transport(settings: &Settings<'_>, elasticsearch: bool, version: Option<(u32, u32)>) -> Bind {
    let profile = "transport.profiles.default";
    let side = |kind: &str| {
        let keys = [
            format!("{profile}.{kind}"),
            format!("transport.{kind}"),
            "transport.host".to_owned(),
            format!("network.{kind}"),
            "network.host".to_owned(),
        ];
        settings.first(&keys.each_ref().map(String::as_str), &[])
    };
    // `transport.tcp.port` is gone, and the default range one shorter, in later Elasticsearch.
    let modern = |from: (u32, u32)| elasticsearch && version.is_some_and(|version| version >= from);
    let keys = [&format!("{profile}.port"), "transport.tcp.port", "transport.port"];
    let mut port = settings.first(&[keys[0], "transport.port"], &[]);
    if !modern((8, 0)) && port.values.is_empty() {
        port = settings.first(&keys[1..], &[]);
    }
    if port.origin == Origin::Default {
        port.values = vec![if modern((8, 2)) { "9300-9399" } else { "9300-9400" }.to_owned()];
    }
    Bind { bind: side("bind_host"), publish: side("publish_host"), port }
}

/// The security plugin is on unless it is told not to be; whether it is installed shows only in settings of its own, which
/// the engine refuses without it.
fn opensearch_security(settings: &Settings<'_>) -> Switch {
    let keys = ["opendistro_security.disabled", "plugins.security.disabled"];
    let installed = settings.any("plugins.security.") || settings.any("opendistro_security.");
    let disabled = settings.switch(&keys, installed.then_some(false));
    Switch { on: disabled.on.map(|disabled| !disabled), ..disabled }
}

/// Major and minor number of a version.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next().and_then(|minor| minor.parse().ok()).unwrap_or(0)))
}
