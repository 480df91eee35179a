//! What a client's certificate says of it, and whether that is what its account asks for.
//!
//! That the certificate is of an authority we believe, TLS has seen to before. What MySQL asks for
//! with REQUIRE X509 and REQUIRE SUBJECT:
//! <https://dev.mysql.com/doc/refman/8.4/en/create-user.html#create-user-tls>

use std::fmt::Write as _;
use std::time::Duration;

use x509_parser::asn1_rs::FromDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::oid_registry::OID_PKCS9_EMAIL_ADDRESS;
use x509_parser::x509::X509Name;

use crate::secrets::CertificateRule;

/// For the log: the client is told nothing but that it is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error("it showed no certificate")]
    Absent,
    #[error("its certificate cannot be read")]
    Unreadable,
    #[error("its certificate has expired, or is not good yet")]
    Expired,
    #[error("its certificate has another subject")]
    Subject,
    #[error("its certificate is not for the name the user's must be for")]
    Name,
}

/// `now` is since 1970. A session of TLS that is resumed is not verified again, hence the time.
pub(super) fn judge(
    certificate: Option<&[u8]>,
    rule: &CertificateRule,
    now: Duration,
) -> Result<(), CertificateError> {
    let der = certificate.ok_or(CertificateError::Absent)?;
    let (_, certificate) =
        X509Certificate::from_der(der).map_err(|_| CertificateError::Unreadable)?;
    let (validity, now) = (certificate.validity(), now.as_secs().cast_signed());
    if now < validity.not_before.timestamp() || now > validity.not_after.timestamp() {
        return Err(CertificateError::Expired);
    }
    if let Some(asked) = &rule.subject
        && oneline(certificate.subject()).as_ref() != Some(asked)
    {
        return Err(CertificateError::Subject);
    }
    match &rule.name {
        Some(asked) if !is_for(&certificate, asked) => Err(CertificateError::Name),
        _ => Ok(()),
    }
}

/// As OpenSSL's `X509_NAME_oneline` writes it, and MySQL with it: `/C=DE/O=Shop/CN=app`. What would
/// pass for a part of its own has a backslash before it. `None`: it holds what cannot be written.
fn oneline(subject: &X509Name<'_>) -> Option<String> {
    let mut line = String::new();
    for attribute in subject.iter_attributes() {
        let kind = match attribute.attr_type() {
            oid if *oid == OID_PKCS9_EMAIL_ADDRESS => "emailAddress",
            oid => oid2abbrev(oid, oid_registry()).ok()?,
        };
        let value = attribute.as_str().ok()?.replace('\\', "\\\\").replace('/', "\\/");
        let _ = write!(line, "/{kind}={value}");
    }
    Some(line)
}

/// One of the names beside the subject: a host, a URI such as SPIFFE's, or an address of mail.
fn is_for(certificate: &X509Certificate<'_>, asked: &str) -> bool {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return false };
    names.value.general_names.iter().any(|name| match name {
        GeneralName::DNSName(host) => host.eq_ignore_ascii_case(asked),
        GeneralName::URI(text) | GeneralName::RFC822Name(text) => *text == asked,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use rcgen::string::Ia5String;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    const NOW: Duration = Duration::from_secs(1_900_000_000);

    fn certificate(subject: &[(DnType, &str)]) -> Vec<u8> {
        let mut params = CertificateParams::new(["app.shop.internal".to_owned()]).unwrap();
        let uri = Ia5String::try_from("spiffe://shop/app").unwrap();
        params.subject_alt_names.push(SanType::URI(uri));
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in subject {
            params.distinguished_name.push(kind.clone(), *value);
        }
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    fn rule(subject: Option<&str>, name: Option<&str>) -> CertificateRule {
        CertificateRule { subject: subject.map(str::to_owned), name: name.map(str::to_owned) }
    }

    #[test]
    fn what_an_account_may_ask_for() {
        let subject = [
            (DnType::CountryName, "DE"),
            (DnType::OrganizationName, "Shop"),
            (DnType::CommonName, "app"),
        ];
        let der = certificate(&subject);
        let judge = |subject, name| judge(Some(&der), &rule(subject, name), NOW);
        assert_eq!(judge(None, None), Ok(()));
        assert_eq!(judge(Some("/C=DE/O=Shop/CN=app"), None), Ok(()));
        assert_eq!(judge(Some("/C=DE/O=Shop/CN=app"), Some("APP.shop.internal")), Ok(()));
        assert_eq!(judge(None, Some("spiffe://shop/app")), Ok(()));
        for wrong in ["", "/CN=app", "/CN=app/O=Shop/C=DE", "/C=DE/O=Shop/CN=app/"] {
            assert_eq!(judge(Some(wrong), None), Err(CertificateError::Subject), "{wrong}");
        }
        for wrong in ["", "app", "shop.internal", "spiffe://SHOP/app"] {
            assert_eq!(judge(None, Some(wrong)), Err(CertificateError::Name), "{wrong}");
        }
    }

    #[test]
    fn a_value_is_no_part_of_its_own() {
        let der = certificate(&[(DnType::OrganizationName, "Shop/CN=app")]);
        let asks = |subject| judge(Some(&der), &rule(Some(subject), None), NOW);
        assert_eq!(asks("/O=Shop/CN=app"), Err(CertificateError::Subject));
        assert_eq!(asks("/O=Shop\\/CN=app"), Ok(()));
    }

    #[test]
    fn none_or_one_that_is_not_good() {
        let any = rule(None, None);
        assert_eq!(judge(None, &any, NOW), Err(CertificateError::Absent));
        assert_eq!(judge(Some(b"0"), &any, NOW), Err(CertificateError::Unreadable));
        let mut params = CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(2029, 1, 1);
        params.not_after = rcgen::date_time_ymd(2031, 1, 1);
        let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
        let at = |years: u64| judge(Some(&der), &any, Duration::from_secs(years * 365 * 86_400));
        assert_eq!(at(60), Ok(()));
        assert_eq!(at(58), Err(CertificateError::Expired));
        assert_eq!(at(62), Err(CertificateError::Expired));
    }
}
