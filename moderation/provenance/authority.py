"""Keys to sign released files with: those that the operator gave, or an authority of the house's own making."""

import datetime
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CHAIN, KEY, ANCHORS = "chain.pem", "key.pem", "anchors.pem"
YEARS = 10


class KeysUnusable(Exception):
    """The keys for signing cannot be used. The message names the file, and what to do."""


@dataclass(frozen=True)
class Keys:
    """PEM: the chain of certificates with ours first, its private key, and the roots that we trust as our own."""

    chain: bytes
    key: bytes
    anchors: bytes


def checked(chain: bytes, key: bytes, anchors: bytes) -> Keys:
    """Keys in PEM. Without anchors the last certificate of the chain is the root. Raises KeysUnusable."""
    try:
        certificates = x509.load_pem_x509_certificates(chain)
        private = serialization.load_pem_private_key(key, None)
        roots = anchors or _pem(certificates[-1])
        x509.load_pem_x509_certificates(roots)
    except (ValueError, TypeError) as error:
        raise KeysUnusable(f"The keys for content credentials cannot be read: {error}") from error
    if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
        raise KeysUnusable("The key for content credentials must be one on the curve P-256, as ES256 asks for.")
    if certificates[0].public_key() != private.public_key():
        raise KeysUnusable("The key for content credentials is not that of the chain's first certificate.")
    if certificates[0].not_valid_after_utc < datetime.datetime.now(datetime.UTC):
        ended = f"{certificates[0].not_valid_after_utc:%Y-%m-%d}"
        raise KeysUnusable(f"The certificate for content credentials ended on {ended}. Put a new one in its place.")
    return Keys(chain, key, roots)


def of_the_house(folder: Path, name: str) -> Keys:
    """The house's own keys in a folder, made when there are none. Whoever is first makes them; others read them.

    Nobody but who installed this root will trust them: they say that a file came from this house to the house itself.
    """
    if not (folder / CHAIN).is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            _make(fresh, name)
            os.rename(fresh, folder)
        except OSError:
            # Another process was quicker: a folder with files in it is not replaced.
            if not (folder / CHAIN).is_file():
                raise
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return checked(*((folder / name).read_bytes() for name in (CHAIN, KEY, ANCHORS)))


def _make(folder: Path, name: str) -> None:
    """A root, and a certificate under it for signing. The root's key is thrown away: it signs nothing else."""
    begins = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=5)
    ends = begins + datetime.timedelta(days=365 * YEARS)
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root_name = _name(f"{name} root", name)
    root = (
        _certificate(root_name, root_name, root_key.public_key(), begins, ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    leaf = (
        _certificate(_name(name, name), root_name, key.public_key(), begins, ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    with open(os.open(folder / KEY, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    (folder / ANCHORS).write_bytes(_pem(root))
    (folder / CHAIN).write_bytes(_pem(leaf) + _pem(root))


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, begins: datetime.datetime,
    ends: datetime.datetime,
) -> x509.CertificateBuilder:  # fmt: skip
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(common: str, organisation: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common[:64]),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation[:64]),
        ]
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=signs_certificates, crl_sign=signs_certificates,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
