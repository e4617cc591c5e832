"""Certificates for the tests to sign with: a root, and a signer whom it vouches for."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

SIGNER = "A test's signer"
CLAIMS = x509.ObjectIdentifier("1.3.6.1.4.1.62558.2.1")  # certificates that C2PA itself has others issue


def write_chain(folder: Path, *, days: tuple[float, float] = (-1, 30), ocsp: str = "") -> dict[str, str]:
    """Write certificate, key and root, and return the environment that names them.

    Args:
        folder: where to.
        days: from when to when the signer's certificate holds, counted from today.
        ocsp: an address at which one could ask whether it was revoked.
    """
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = _describe("A test's root", "A test's root", root_key, (-9, 90)).sign(root_key, hashes.SHA256())
    leaf = _describe(SIGNER, "A test's root", key, days)
    leaf = leaf.add_extension(x509.ExtendedKeyUsage([CLAIMS]), critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
    leaf = leaf.add_extension(issuer, critical=False)
    if ocsp:
        place = x509.AccessDescription(
            AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(ocsp)
        )
        leaf = leaf.add_extension(x509.AuthorityInformationAccess([place]), critical=False)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain = leaf.sign(root_key, hashes.SHA256()).public_bytes(pem) + root.public_bytes(pem)
    files = {"IAD_C2PA_CERT": chain, "IAD_C2PA_KEY": private, "IAD_C2PA_TRUST": root.public_bytes(pem)}
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / f"{name}.pem").write_bytes(data)
    return {name: str(folder / f"{name}.pem") for name in files}


def _describe(name: str, issuer: str, key, days: tuple[float, float]) -> x509.CertificateBuilder:
    def call(common: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])

    root = name == issuer
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"),
        False,
    )
    usage |= {"digital_signature": not root, "key_cert_sign": root, "crl_sign": root, "decipher_only": False}
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(call(name))
        .issuer_name(call(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days[0]))
        .not_valid_after(now + timedelta(days[1]))
        .add_extension(x509.BasicConstraints(root, None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
