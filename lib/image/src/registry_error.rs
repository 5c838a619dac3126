//! What a registry's refusal means: come back later, or never.

use oci_client::errors::{OciDistributionError as Answer, OciErrorCode as Code};
use oci_client::secrets::RegistryAuth;

use crate::reference::Remote;
use crate::registry::chain;
use crate::{Error, credentials};

/// Bytes of a registry's own words in a message.
const WORDS_MAX: usize = 300;

/// How rustls says that it does not trust the other side.
const BAD_CERTIFICATE: &str = "invalid peer certificate";
/// What the client says of any request that got no answer.
const UNSENT: &str = "error sending request";

/// An error that a later try may not have.
pub(crate) fn passing(remote: &Remote, why: String) -> Error {
    Error::Registry { registry: remote.host.clone(), why }
}

/// The registry does not let us see it.
pub(crate) fn denied(remote: &Remote, auth: &RegistryAuth) -> Error {
    let file = credentials::path().display().to_string();
    let why = match auth {
        RegistryAuth::Anonymous => {
            format!("it is not there, or wants an entry for {} in {file}", remote.host)
        }
        RegistryAuth::Basic(user, _) => format!(
            "it is not there, or user '{}' of {file} is not let in; correct the entry",
            words(user)
        ),
        RegistryAuth::Bearer(_) => {
            format!("it is not there, or the token in {file} is old; correct the entry")
        }
    };
    Error::Denied { registry: remote.host.clone(), what: remote.to_string(), why }
}

/// Our error for the client's.
pub(crate) fn sort(remote: &Remote, auth: &RegistryAuth, what: &str, answer: Answer) -> Error {
    let registry = remote.host.clone();
    let what = what.to_owned();
    let denied = || denied(remote, auth);
    let not_found = || Error::NotFound { what: what.clone(), place: remote.host.clone() };
    let refused =
        |why: String| Error::Refused { registry: registry.clone(), what: what.clone(), why };
    match answer {
        Answer::UnauthorizedError { .. } => denied(),
        // Only when it renews a token; then it keeps this to itself, and we ask again.
        Answer::AuthenticationFailure(why) => passing(remote, format!("no token: {}", words(&why))),
        Answer::ImageManifestNotFoundError(_) => not_found(),
        Answer::ServerError { code, message, .. } => match code {
            404 => not_found(),
            401 | 403 => denied(),
            408 | 425 | 429 | 500.. => passing(remote, format!("{code}: {}", words(&message))),
            _ => refused(format!("{code}: {}", words(&message))),
        },
        Answer::RegistryError { envelope, .. } => match envelope.errors.first() {
            None => refused("without a reason".into()),
            Some(error) => match &error.code {
                Code::BlobUnknown
                | Code::ManifestBlobUnknown
                | Code::ManifestUnknown
                | Code::NameUnknown
                | Code::NotFound => not_found(),
                Code::Unauthorized | Code::Denied => denied(),
                Code::Toomanyrequests => passing(remote, words(&error.message)),
                Code::BlobUploadInvalid
                | Code::BlobUploadUnknown
                | Code::DigestInvalid
                | Code::ManifestInvalid
                | Code::ManifestUnverified
                | Code::NameInvalid
                | Code::SizeInvalid
                | Code::TagInvalid
                | Code::Unsupported
                | Code::Other(_) => refused(words(&error.message)),
            },
        },
        Answer::DigestError(e) => refused(chain(&e)),
        Answer::RequestError(e) => unreached(remote, &what, chain(&e)),
        Answer::IoError(e) => passing(remote, words(&chain(&e))),
        // What it sent, or we cannot make sense of; the client has many words for it.
        other @ (Answer::ConfigConversionError(_)
        | Answer::GenericError(_)
        | Answer::HeaderValueError(_)
        | Answer::ImageIndexParsingNoPlatformResolverError
        | Answer::IncompatibleLayerMediaTypeError(_)
        | Answer::JsonError(_)
        | Answer::ManifestEncodingError(_)
        | Answer::ManifestParsingError(_)
        | Answer::PushNoDataError
        | Answer::PushLayerNoDataError
        | Answer::PullNoLayersError
        | Answer::RegistryNoDigestError
        | Answer::RegistryNoLocationError
        | Answer::RegistryTokenDecodeError(_)
        | Answer::SpecViolationError(_)
        | Answer::UrlParseError(_)
        | Answer::UnsupportedMediaTypeError(_)
        | Answer::UnsupportedSchemaVersionError(_)
        | Answer::VersionedParsingError(_)) => refused(words(&chain(&other))),
    }
}

/// A request that got no answer: the line may be better later, a certificate will not.
pub(crate) fn unreached(remote: &Remote, what: &str, why: String) -> Error {
    // Whoever has to find out more finds all of it in the log.
    tracing::info!("{remote}: {}", words(&why));
    let Some(at) = why.find(BAD_CERTIFICATE) else {
        return passing(remote, words(&short(&why)));
    };
    let why = words(&why[at..]);
    let hint = "; add the authority that signed it to the system's certificates";
    let (registry, what) = (remote.host.clone(), what.to_owned());
    Error::Refused { registry, what, why: format!("{why}{hint}") }
}

/// What a request that got no answer died of, without the layers it came up through and the
/// address it was for, which the message has.
fn short(why: &str) -> String {
    match why.rsplit_once(": ") {
        Some((head, cause)) if head.starts_with(UNSENT) => format!("cannot be reached: {cause}"),
        Some(_) | None => why.to_owned(),
    }
}

/// Foreign words as they may stand in a message.
pub(crate) fn words(text: &str) -> String {
    let cut: String = text.trim().chars().take(WORDS_MAX).collect();
    cut.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use oci_client::errors::OciEnvelope;

    use super::*;
    use crate::reference::Reference;

    #[test]
    fn a_registry_that_cannot_be_reached_is_told_by_the_cause_alone() {
        let chain = "error sending request for url (https://quay.io/v2/a/manifests/1): client \
                     error (Connect): tcp connect error: Connection refused (os error 111)";
        assert_eq!(short(chain), "cannot be reached: Connection refused (os error 111)");
        assert_eq!(short("no answer in 60 s"), "no answer in 60 s");
        assert_eq!(short("a: b"), "a: b");
    }

    #[test]
    fn a_later_try_is_made_after_passing_answers_only() {
        let Reference::Registry(remote) = Reference::parse("quay.io/a:1").unwrap() else {
            panic!("a registry")
        };
        let check = |answer: Answer, permanent: bool, text: &str| {
            let error = sort(&remote, &RegistryAuth::Anonymous, "quay.io/a:1", answer);
            assert_eq!(error.permanent(), permanent, "{error}");
            assert!(error.to_string().contains(text), "{error}");
        };
        let server = |code, message: &str| Answer::ServerError {
            code,
            url: String::new(),
            message: message.into(),
        };
        let envelope = |code: &str| Answer::RegistryError {
            envelope: serde_json::from_str::<OciEnvelope>(&format!(
                r#"{{"errors":[{{"code":"{code}","message":"m"}}]}}"#
            ))
            .unwrap(),
            url: String::new(),
        };
        check(server(503, "down\n"), false, "quay.io: 503: down");
        check(server(429, ""), false, "429");
        check(server(404, ""), true, "quay.io/a:1 not found in quay.io");
        check(server(403, ""), true, "refuses access");
        check(server(400, "no"), true, "cannot be had from quay.io: 400: no");
        check(envelope("TOOMANYREQUESTS"), false, "quay.io: m");
        check(envelope("MANIFEST_UNKNOWN"), true, "not found");
        check(envelope("DENIED"), true, "refuses access");
        check(envelope("ARTIFACT_LOCKED"), true, "cannot be had from quay.io: m");
        check(Answer::UnauthorizedError { url: String::new() }, true, "refuses access");
        check(Answer::AuthenticationFailure("bad gateway".into()), false, "no token: bad gateway");
        assert!(!unreached(&remote, "a", "connection refused".into()).permanent());
        assert!(unreached(&remote, "a", format!("x: {BAD_CERTIFICATE}: y")).permanent());
    }
}
