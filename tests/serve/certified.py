"""An authority of the tests' own, and a server's certificate on disk."""

from __future__ import annotations

import os
import ssl

import trustme


class Certified:
    """An authority, and a server's certificate on disk that it can renew."""

    def __init__(self, folder):
        self.authority = trustme.CA()
        self.folder = folder
        self.ca = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(self.ca)
        self.told = {"tls_cert": folder / "cert.pem", "tls_key": folder / "key.pem"}
        self.renew()

    def renew(self):
        certificate = self.authority.issue_cert("localhost", "127.0.0.1")
        (self.folder / "cert.new").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        (self.folder / "key.new").write_bytes(certificate.private_key_pem.bytes())
        for name in ("cert", "key"):
            os.replace(self.folder / f"{name}.new", self.folder / f"{name}.pem")  # noqa: PTH105
        return certificate

    def trusting(self, client=None):
        context = ssl.create_default_context(cafile=self.ca)
        if client is not None:
            client.configure_cert(context)
        return context
