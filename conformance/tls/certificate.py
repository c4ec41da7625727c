"""An authority and a certificate of localhost from it, as an organisation would issue them: elliptic, 90 days.

Writes `ca.pem`, `ca-key.pem`, `chain.pem` and `key.pem` into the folder that is named.
"""

import datetime
import ipaddress
import pathlib
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

NOW = datetime.datetime.now(datetime.timezone.utc)


def name(text):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def begun(subject, issuer, key):
    builder = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer))
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(NOW - datetime.timedelta(days=1))
    return builder.not_valid_after(NOW + datetime.timedelta(days=89))


folder = pathlib.Path(sys.argv[1])
ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
ca = begun("Gatehouse tests", "Gatehouse tests", ca_key)
ca = ca.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
signs = {name: name == "key_cert_sign" for name in (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
    "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)}
ca = ca.add_extension(x509.KeyUsage(**signs), critical=True)
identifier = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
ca = ca.add_extension(identifier, critical=False).sign(ca_key, hashes.SHA256())
names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
leaf = begun("localhost", "Gatehouse tests", key)
leaf = leaf.add_extension(x509.SubjectAlternativeName(names), critical=False)
leaf = leaf.add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
leaf = leaf.add_extension(issuer, critical=False)
leaf = leaf.sign(ca_key, hashes.SHA256())
pem = serialization.Encoding.PEM
(folder / "ca.pem").write_bytes(ca.public_bytes(pem))
(folder / "chain.pem").write_bytes(leaf.public_bytes(pem) + ca.public_bytes(pem))
for name, private in (("key.pem", key), ("ca-key.pem", ca_key)):
    private = private.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / name).write_bytes(private)
