"""TLS, asked by real clients with an authority of their own."""

from __future__ import annotations

import ssl
import time

import grpc
import httpx
import pytest
import trustme
from pydantic import ValidationError

from penjing.core.errors import ResourceError
from penjing.serve import Server, ServeRecipe, StoreCatalogue
from penjing.serve.grpc.messages import message
from penjing.serve.tls import Certificates
from penjing.store.store import Store
from serve.certified import Certified
from serve.doubles import fresh, publish, serving

BODY = {"instances": [{"input_ids": [7, 9]}]}
CHECK = "/grpc.health.v1.Health/Check"


@pytest.fixture
def files(tmp_path):
    return Certified(tmp_path)


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    publish(store)
    return store


def healthy(server, credentials):
    with grpc.secure_channel(server.grpc_address, credentials) as channel:
        check = channel.unary_unary(
            CHECK,
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=message("grpc.health.v1.HealthCheckResponse").FromString,
        )
        return check(message("grpc.health.v1.HealthCheckRequest")(), timeout=5).status == 1


def served_certificate(server):
    return ssl.get_server_certificate(("127.0.0.1", server.port))


def test_both_ports_speak_tls(store, files):
    with serving(store, grpc_port=0, **files.told) as server:
        assert server.url.startswith("https://")
        reply = httpx.post(f"{server.url}/v1/models/m:predict", json=BODY, verify=files.trusting())
        assert reply.json() == {"predictions": [[8.0, 9.0, 10.0]]}
        assert healthy(server, grpc.ssl_channel_credentials(files.ca.read_bytes()))
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"{server.url}/healthz")
        with pytest.raises(httpx.TransportError):
            httpx.get(server.url.replace("https", "http") + "/healthz")
        assert httpx.get(f"{server.url}/healthz", verify=files.trusting()).status_code == 200


def test_mutual_tls_lets_in_whom_the_authority_knows(store, files):
    known, stranger = files.authority.issue_cert("client@example.org"), trustme.CA().issue_cert("x@example.org")
    with serving(store, grpc_port=0, tls_client_ca=files.ca, **files.told) as server:
        url = f"{server.url}/healthz"
        assert httpx.get(url, verify=files.trusting(known)).status_code == 200
        for context in (files.trusting(), files.trusting(stranger)):
            with pytest.raises(httpx.TransportError):
                httpx.get(url, verify=context)
        ca = files.ca.read_bytes()
        chain = b"".join(blob.bytes() for blob in known.cert_chain_pems)
        assert healthy(server, grpc.ssl_channel_credentials(ca, known.private_key_pem.bytes(), chain))
        with pytest.raises(grpc.RpcError) as caught:
            healthy(server, grpc.ssl_channel_credentials(ca))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_renewed_certificate_is_used_and_old_connections_live_on(store, files):
    with (
        serving(store, grpc_port=0, **files.told) as server,
        httpx.Client(base_url=server.url, verify=files.trusting()) as client,
    ):
        assert client.get("/healthz").status_code == 200
        before = served_certificate(server)
        renewed = files.renew().cert_chain_pems[0].bytes().decode()
        until = time.monotonic() + 10
        while served_certificate(server) == before:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert served_certificate(server).split() == renewed.split()
        assert client.get("/healthz").status_code == 200
        host, port = server.grpc_address.rsplit(":", 1)
        assert ssl.get_server_certificate((host, int(port))).split() == renewed.split()
        assert healthy(server, grpc.ssl_channel_credentials(files.ca.read_bytes()))


@pytest.mark.parametrize("spoilt", ["cert.pem", "key.pem"])
def test_a_half_written_renewal_changes_nothing(files, caplog, spoilt):
    certificates = Certificates(files.told["tls_cert"], files.told["tls_key"])
    (files.folder / spoilt).write_bytes(b"-----BEGIN CERT")
    assert not certificates.look_again()
    assert "the old certificate stays in use" in caplog.text
    files.renew()
    assert certificates.look_again()
    assert not certificates.look_again()


def test_files_that_do_not_fit_are_refused_before_the_port_is_taken(store, files, tmp_path):
    other = trustme.CA().issue_cert("localhost")
    other.private_key_pem.write_to_path(tmp_path / "other.pem")
    for told, match in (
        ({"tls_key": tmp_path / "other.pem"}, "no certificate with its key"),
        ({"tls_cert": tmp_path / "none.pem"}, "cannot be read: No such file"),
        ({"tls_client_ca": tmp_path / "other.pem"}, "holds no certificate"),
    ):
        with pytest.raises(ResourceError, match=match):
            Server(StoreCatalogue(store), ServeRecipe.model_validate({"port": 0} | files.told | told), open_with=fresh)


def test_an_encrypted_key_is_refused_without_asking_at_the_terminal(files):
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(files.told["tls_key"].read_bytes(), None)
    files.told["tls_key"].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(ResourceError, match="encrypted"):
        Certificates(files.told["tls_cert"], files.told["tls_key"])


@pytest.mark.parametrize(
    ("told", "match"),
    [
        ({"tls_cert": "a"}, "go together"),
        ({"tls_client_ca": "a"}, "wants tls_cert"),
        ({"grpc_port": 1, "grpc_uds": "a"}, "exclude each other"),
        ({"uds": "a", "grpc_uds": "a"}, "same file"),
    ],
)
def test_settings_that_contradict_each_other(told, match):
    with pytest.raises(ValidationError, match=match):
        ServeRecipe.model_validate(told)
