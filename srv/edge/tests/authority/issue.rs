//! The key that vouches for everything, and certificates by it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateSigningRequestDer, PrivateKeyDer};

/// How long before now a certificate begins to hold, for clocks that differ.
const EARLY: Duration = Duration::from_secs(1);

/// A root certificate and its key.
pub(super) struct Root(CertifiedIssuer<'static, KeyPair>);

impl Root {
    pub(super) fn new() -> Root {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, "a root for tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        Root(CertifiedIssuer::self_signed(params, key).expect("a root"))
    }

    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    /// What the authority itself serves with.
    pub(super) fn server(&self) -> Arc<ServerConfig> {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().expect("versions");
        let chain = vec![certificate.der().clone()];
        let config = builder.with_no_client_auth().with_single_cert(chain, key);
        Arc::new(config.expect("a certificate that fits"))
    }

    /// A certificate for a name, as a request (RFC 2986) asks for it; none when that asks for
    /// something else, or is not signed by its key.
    pub(super) fn issue(&self, request: &[u8], name: &str, life: Duration) -> Option<String> {
        let request = CertificateSigningRequestDer::from(request);
        let mut request = CertificateSigningRequestParams::from_der(&request).ok()?;
        let params = &mut request.params;
        let wanted = |san: &SanType| matches!(san, SanType::DnsName(it) if it.as_str() == name);
        if params.subject_alt_names.len() != 1 || !params.subject_alt_names.iter().all(wanted) {
            return None;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
        params.not_before = rcgen::date_time_ymd(1970, 1, 1) + (now - EARLY);
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + (now + life);
        params.is_ca = IsCa::ExplicitNoCa;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = request.signed_by(&self.0).ok()?;
        Some(certificate.pem() + &self.pem())
    }
}
