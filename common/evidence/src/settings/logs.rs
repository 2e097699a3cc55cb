//! Where an engine writes its own log.

use common_model::probe::Product;

use super::{Origin, Settings};
use crate::collectors::engine_config::EngineConfig;

/// The engine's own log file: named after the cluster, in `path.logs`, else in `logs` of its home. None when a variable
/// decides, or the home is not known.
pub fn log_file(
    config: Option<&EngineConfig>,
    arguments: &[String],
    product: Product,
    config_dir: &str,
    home: Option<&str>,
) -> Option<String> {
    let settings = Settings::new(config, arguments);
    let name = settings.first(&["cluster.name"], &[product.slug()]);
    let dir = settings.first(&["path.logs"], &[]);
    if !name.origin.is_known() || !dir.origin.is_known() {
        return None;
    }
    let name = name.values.first().filter(|name| !name.contains('/'))?;
    let dir = match (dir.values.first(), home) {
        (Some(dir), _) if dir.starts_with('/') => dir.trim_end_matches('/').to_owned(),
        (Some(dir), home) => format!("{}/{}", home?, dir.trim_end_matches('/')),
        (None, Some(home)) => format!("{home}/logs"),
        (None, None) if dir.origin == Origin::Default && config_dir == format!("/etc/{}", product.slug()) => {
            format!("/var/log/{}", product.slug())
        }
        (None, None) => return None,
    };
    Some(format!("{dir}/{name}.log"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(yml: &str, home: Option<&str>) -> Option<String> {
        let config = EngineConfig::from_text("/etc/elasticsearch/elasticsearch.yml", yml);
        log_file(Some(&config), &[], Product::Elasticsearch, "/etc/elasticsearch", home)
    }

    #[test]
    fn follows_path_and_cluster() {
        let home = Some("/usr/share/elasticsearch");
        assert_eq!(
            of("path.logs: /var/log/elasticsearch/\ncluster.name: prod", home).unwrap(),
            "/var/log/elasticsearch/prod.log"
        );
        assert_eq!(of("", home).unwrap(), "/usr/share/elasticsearch/logs/elasticsearch.log");
        assert_eq!(of("path.logs: l", home).unwrap(), "/usr/share/elasticsearch/l/elasticsearch.log");
        assert_eq!(of("", None).unwrap(), "/var/log/elasticsearch/elasticsearch.log");
        assert_eq!(of("cluster.name: ${NAME}", home), None);
        assert_eq!(of("cluster.name: ../../etc/x", home), None);
        assert_eq!(log_file(None, &[], Product::Elasticsearch, "/etc/elasticsearch", home), None);
    }
}
