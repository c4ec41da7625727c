"""What signs certificates for acme2certifier here: an authority of its own, for as many seconds as it is told."""

import base64
import datetime
import os
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

FOLDER = pathlib.Path(os.environ["AUTHORITY_FOLDER"])
LIFE = datetime.timedelta(seconds=int(os.environ["AUTHORITY_LIFE_S"]))
PEM = serialization.Encoding.PEM


class CAhandler:
    def __init__(self, _debug=None, logger=None):
        self.logger = logger

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def handler_check(self):
        return None

    def enroll(self, csr):
        ca = x509.load_pem_x509_certificate((FOLDER / "ca.pem").read_bytes())
        ca_key = serialization.load_pem_private_key((FOLDER / "ca-key.pem").read_bytes(), None)
        csr += "=" * (-len(csr) % 4)
        request = x509.load_der_x509_csr(base64.urlsafe_b64decode(csr))
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        now = datetime.datetime.now(datetime.timezone.utc)
        leaf = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(ca.subject)
        leaf = leaf.public_key(request.public_key()).serial_number(x509.random_serial_number())
        leaf = leaf.not_valid_before(now).not_valid_after(now + LIFE)
        leaf = leaf.add_extension(names, critical=True)
        leaf = leaf.sign(ca_key, hashes.SHA256())
        chain = leaf.public_bytes(PEM) + ca.public_bytes(PEM)
        raw = base64.b64encode(leaf.public_bytes(serialization.Encoding.DER))
        return None, chain.decode(), raw.decode(), None

    def poll(self, _name, poll_identifier, _csr):
        return None, None, None, poll_identifier, False

    def revoke(self, _certificate, _reason, _date):
        return 500, "urn:ietf:params:acme:error:serverInternal", "no revocation here"

    def trigger(self, _payload):
        return None, None, None
