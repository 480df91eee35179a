//! A certificate authority for tests, and certificates of it.

use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "tests' authority");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// For a server at `localhost` and 127.0.0.1: `ca.pem`, `server-cert.pem` and `server-key.pem`,
    /// the names MySQL uses.
    pub fn write_server(&self, folder: &Path) {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "localhost");
        self.write(folder, "server", &params);
    }

    /// For a client whose subject is `/O=Shop/CN={name}`, and whose name `{name}.shop.internal`:
    /// `{name}-cert.pem` and `{name}-key.pem`.
    pub fn write_client(&self, folder: &Path, name: &str) {
        let mut params = CertificateParams::new(vec![format!("{name}.shop.internal")]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Shop");
        params.distinguished_name.push(DnType::CommonName, name);
        self.write(folder, name, &params);
    }

    fn write(&self, folder: &Path, name: &str, params: &CertificateParams) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        fs::write(folder.join("ca.pem"), self.pem()).unwrap();
        fs::write(folder.join(format!("{name}-cert.pem")), certificate.pem()).unwrap();
        fs::write(folder.join(format!("{name}-key.pem")), key.serialize_pem()).unwrap();
    }
}

/// Those of a server, of an authority that issues no other.
pub fn write(folder: &Path) {
    Authority::new().write_server(folder);
}
