//! What the measured copy of a2 has in place of Apple's host and of the public roots: see `build.py`.

use std::env::var;
use std::fs::File;
use std::io::BufReader;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// The server's host and port.
pub(crate) fn host() -> &'static str {
    static HOST: OnceLock<String> = OnceLock::new();
    HOST.get_or_init(|| var("A2_PEER_HOST").expect("A2_PEER_HOST"))
}

/// A TLS configuration that trusts the certificates of the CA file.
pub(crate) fn tls() -> ClientConfig {
    let file = File::open(var("A2_PEER_CAFILE").expect("A2_PEER_CAFILE")).expect("CAFILE");
    let read: Result<Vec<_>, _> = rustls_pemfile::certs(&mut BufReader::new(file)).collect();
    let trusted = read.expect("CAFILE");
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted.iter().cloned());
    let chain = WebPkiServerVerifier::builder(Arc::new(roots))
        .build()
        .expect("CAFILE");
    ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Local { trusted, chain }))
        .with_no_client_auth()
}

/// The usual check, and beside it the server's very own certificate: rustls takes no self-signed one, others do.
#[derive(Debug)]
struct Local {
    trusted: Vec<CertificateDer<'static>>,
    chain: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Local {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.trusted.iter().any(|one| one == shown) {
            return Ok(ServerCertVerified::assertion());
        }
        self.chain
            .verify_server_cert(shown, between, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
