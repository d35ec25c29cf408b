//! The object that makes an API server ask the webhook.

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, RuleWithOperations, ValidatingWebhook, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use kube::core::ObjectMeta;
use leafwall_topology::yaml::{YamlError, to_string};
use thiserror::Error;

use super::serve::PATH;
use crate::crds::{GROUP, METAL_STACK};

/// The same as YAML, for `kubectl apply -f`.
///
/// # Errors
/// As [`configuration`], or where it can't be written.
pub fn yaml(addresses: &[String], authority: &str) -> Result<String, ConfigurationError> {
    Ok(to_string(&serde_json::to_value(configuration(addresses, authority)?)?)?)
}

/// What the object is called.
const NAME: &str = "leafwall-firewall";
/// How long the API server waits, in seconds. A machine that is down costs whoever writes an object this much, and no more.
const SECONDS: i32 = 2;

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigurationError {
    /// Nobody to ask.
    #[error("no address of a webhook is given")]
    Nobody,
    /// An address that the API server would not take.
    #[error("`{text}` is no address of a webhook: `HOST:PORT`, such as `192.0.2.1:9443` or `fw-01.example.com:9443`")]
    Address {
        /// What was given.
        text: String,
    },
    /// Can't happen, but is no reason to panic.
    #[error("can't make an object of it")]
    Object(#[from] serde_json::Error),
    /// Nor this.
    #[error("can't write it as YAML")]
    Yaml(#[from] YamlError),
}

/// The configuration that asks the webhooks at these addresses (`HOST:PORT`), one for each firewall machine, whose certificates this authority (PEM) signed;
/// without one, an authority that the API server's machine trusts.
///
/// Each machine is an entry of its own: the API server asks all of them at once, and one that is down is ignored. They judge alike, so that it does not matter
/// which one answers. Services are asked about in entries of their own, and only those of type LoadBalancer.
///
/// # Errors
/// Where there is no address, or one that is none.
pub fn configuration(addresses: &[String], authority: &str) -> Result<ValidatingWebhookConfiguration, ConfigurationError> {
    if addresses.is_empty() {
        return Err(ConfigurationError::Nobody);
    }
    let mut webhooks = Vec::with_capacity(addresses.len() * 2);
    for (at, address) in addresses.iter().enumerate() {
        if !is_address(address) {
            return Err(ConfigurationError::Address { text: address.clone() });
        }
        let asked = |what: &str, rules, match_conditions| ValidatingWebhook {
            name: format!("{what}-{}.firewall.{GROUP}", at + 1),
            client_config: WebhookClientConfig {
                url: Some(format!("https://{address}{PATH}")),
                ca_bundle: (!authority.is_empty()).then(|| ByteString(authority.as_bytes().to_vec())),
                service: None,
            },
            admission_review_versions: vec!["v1".into()],
            failure_policy: Some("Ignore".into()),
            side_effects: "None".into(),
            timeout_seconds: Some(SECONDS),
            rules: Some(rules),
            match_conditions,
            ..ValidatingWebhook::default()
        };
        let policies = vec![rule(METAL_STACK, "clusterwidenetworkpolicies"), rule(GROUP, "firewallpolicies")];
        webhooks.push(asked("policies", policies, None));
        let balanced =
            MatchCondition { name: "type-load-balancer".into(), expression: "object.spec.?type.orValue('') == 'LoadBalancer'".into() };
        webhooks.push(asked("services", vec![rule("", "services")], Some(vec![balanced])));
    }
    let metadata = ObjectMeta { name: Some(NAME.into()), ..ObjectMeta::default() };
    Ok(ValidatingWebhookConfiguration { metadata, webhooks: Some(webhooks) })
}

fn rule(group: &str, resource: &str) -> RuleWithOperations {
    RuleWithOperations {
        api_groups: Some(vec![group.into()]),
        api_versions: Some(vec!["v1".into()]),
        operations: Some(vec!["CREATE".into(), "UPDATE".into()]),
        // without `/status`: what is written there is the firewall's own
        resources: Some(vec![resource.into()]),
        scope: None,
    }
}

/// Letters, digits, dots and dashes, or an IPv6 address in brackets; then a port.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match inner {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-'),
    };
    is_host && port.parse::<u16>().is_ok_and(|port| port > 0) && port.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_is_down_locks_nobody_out() {
        let made = configuration(&["192.0.2.1:9443".into(), "[2001:db8::1]:9443".into()], "PEM").unwrap();
        let webhooks = made.webhooks.unwrap();
        let mut names: Vec<&str> = webhooks.iter().map(|webhook| webhook.name.as_str()).collect();
        names.dedup();
        assert_eq!(names.len(), 4, "two for each machine, and no name twice");
        for webhook in &webhooks {
            assert_eq!((webhook.failure_policy.as_deref(), webhook.timeout_seconds), (Some("Ignore"), Some(2)));
            let resources: Vec<&String> = webhook.rules.iter().flatten().flat_map(|rule| rule.resources.iter().flatten()).collect();
            assert!(resources.iter().all(|resource| !resource.contains(['*', '/'])), "{resources:?}");
            let of_services = resources.iter().any(|resource| *resource == "services");
            assert_eq!(webhook.match_conditions.is_some(), of_services, "a Service that is no load balancer is nobody's business");
        }
    }

    #[test]
    fn addresses_are_addresses() {
        for bad in ["", "192.0.2.1", "host:0", "host:x", "host:+1", "https://host:1", "host/x:1", "[::x]:1", "[]:1", ":1", "a b:1"] {
            assert!(!is_address(bad), "{bad}");
            assert!(configuration(&[bad.to_owned()], "").is_err());
        }
        for good in ["192.0.2.1:1", "fw-01.example.com:9443", "[::1]:65535"] {
            assert!(is_address(good), "{good}");
        }
        assert!(configuration(&[], "").is_err());
    }
}
