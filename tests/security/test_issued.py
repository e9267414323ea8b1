"""Signed tokens: what is taken, and every known way to forge one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from penjing.core.errors import ResourceError, UnauthenticatedError
from penjing.security.issued import IssuedTokens, TokenIssuer
from penjing.security.scopes import Verb

ISSUER, AUDIENCE = "https://issuer.example", "penjing"
PRIVATE = {
    "rsa": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ec": ec.generate_private_key(ec.SECP256R1()),
    "ed": ed25519.Ed25519PrivateKey.generate(),
    "other": rsa.generate_private_key(public_exponent=65537, key_size=2048),
}
ALGORITHMS = {"rsa": "RS256", "ec": "ES256", "ed": "EdDSA"}
_OF = {"rsa": jwt.algorithms.RSAAlgorithm, "ec": jwt.algorithms.ECAlgorithm, "ed": jwt.algorithms.OKPAlgorithm}


def public(name, **told):
    return json.loads(_OF[name].to_jwk(PRIVATE[name].public_key())) | {"kid": name} | told


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [public(name) for name in _OF]}))
    return path


@pytest.fixture
def tokens(file):
    return IssuedTokens(TokenIssuer(issuer=ISSUER, audience=AUDIENCE, jwks=str(file)))


def claims(**told):
    now = int(time.time())
    usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": now + 300, "scope": "openid topics:predict"}
    return {name: value for name, value in (usual | told).items() if value is not None}


def signed(key="rsa", *, kid=None, algorithm=None, headers=None, **told):
    headers = {"kid": kid or key} | (headers or {})
    return jwt.encode(claims(**told), PRIVATE[key], algorithm or ALGORITHMS.get(key, "RS256"), headers=headers)


def encoded(part):
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.mark.parametrize("key", ALGORITHMS)
def test_a_good_token(tokens, key):
    caller = tokens.identify(signed(key))
    assert caller.id == "token:ann"
    assert caller.grants.may(Verb.PREDICT, "topics")
    assert not caller.grants.may(Verb.PREDICT, "other")
    assert tokens.identify(signed(key, scope=["*:observe"], aud=["x", AUDIENCE])).grants.may_everywhere(Verb.OBSERVE)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"exp": int(time.time()) - 60}, "expired"),
        ({"nbf": int(time.time()) + 300}, "not good"),
        ({"aud": "another"}, "not good"),
        ({"iss": "https://issuer.example/"}, "not good"),
        ({"exp": None}, "not good"),
        ({"sub": None}, "not good"),
        ({"aud": None}, "not good"),
        ({"iss": None}, "not good"),
        ({"exp": "soon"}, "not good"),
        ({"key": "other", "kid": "rsa"}, "not good"),
        ({"kid": "absent"}, "names a key"),
        ({"key": "rsa", "kid": "ec", "algorithm": "RS256"}, "names a key"),
        ({"key": "rsa", "kid": "../../etc/passwd"}, "names a key"),
    ],
    ids=str,
)
def test_what_is_no_good_token(tokens, told, why):
    with pytest.raises(UnauthenticatedError, match=why) as caught:
        tokens.identify(signed(**told))
    assert "ann" not in str(caught.value)


def test_a_public_key_is_no_shared_secret(tokens):
    """The classic: HS256 over the public key's own bytes."""
    pem = (
        PRIVATE["rsa"]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    for secret in (pem, pem.strip(), b"", json.dumps(public("rsa")).encode()):
        text = f"{encoded({'alg': 'HS256', 'kid': 'rsa'})}.{encoded(claims())}"
        mac = hmac.new(secret, text.encode(), hashlib.sha256).digest()
        with pytest.raises(UnauthenticatedError, match="public key"):
            tokens.identify(f"{text}.{encoded(mac)}")


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", "HS512", "RS256 ", None, ["RS256"], 7])
def test_a_token_does_not_choose_to_be_unsigned(tokens, algorithm):
    text = f"{encoded({'alg': algorithm, 'kid': 'rsa'})}.{encoded(claims())}."
    for signature in ("", encoded(b"x" * 256)):
        with pytest.raises(UnauthenticatedError):
            tokens.identify(text + signature)


def test_keys_that_a_token_brings_along_are_not_looked_at(tokens):
    mine = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(PRIVATE["other"].public_key())) | {"kid": "rsa"}
    for headers in ({"jwk": mine}, {"jku": "http://127.0.0.1:1/keys"}, {"x5u": "http://127.0.0.1:1/cert"}):
        with pytest.raises(UnauthenticatedError):
            tokens.identify(signed("other", kid="rsa", headers=headers))


def test_a_changed_token_is_none(tokens):
    good = signed()
    head, body, signature = good.split(".")
    forged = json.dumps(claims(scope="*:admin")).encode()
    flipped = base64.urlsafe_b64decode(signature + "==")
    flipped = bytes([flipped[0] ^ 1]) + flipped[1:]
    tokens.identify(good)  # and so is known
    deep = f"{encoded(b'[' * 5000)}.{body}.{signature}"
    changed = (f"{head}.{encoded(forged)}.{signature}", f"{head}.{body}.{encoded(flipped)}", f"{head}.{body}.")
    for text in (*changed, "..", "a.b.c", f"{head}..{signature}", "é.é.é", deep):
        with pytest.raises(UnauthenticatedError):
            tokens.identify(text)


def test_a_token_that_was_good_ends_when_it_says(file):
    now = [time.time()]
    tokens = IssuedTokens(TokenIssuer(issuer=ISSUER, audience=AUDIENCE, jwks=str(file)), clock=lambda: now[0])
    text = signed(exp=int(time.time()) - 29)  # within the leeway, and not to be remembered
    tokens.identify(text)
    later = signed(exp=int(time.time()) + 300)
    assert tokens.identify(later) is tokens.identify(later)
    assert tokens.identify(text) is not tokens.identify(text)


def test_a_key_that_is_withdrawn_counts_no_more(tokens, file, caplog):
    text = signed()
    tokens.identify(text)
    file.write_text("{")
    until_looked(lambda: "stay in use" in caplog.text, tokens, text)
    file.write_text(json.dumps({"keys": [public("ec")]}))
    until = time.monotonic() + 10
    while is_taken(tokens, text):
        assert time.monotonic() < until
        time.sleep(0.05)


def is_taken(tokens, text):
    try:
        tokens.identify(text)
    except UnauthenticatedError:
        return False
    return True


def until_looked(is_so, tokens, text):
    until = time.monotonic() + 10
    while not is_so():
        tokens.identify(text)
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[]", '{"keys": []}', '{"keys": [{"kty": "oct", "kid": "a", "k": "AAAA"}]}', '{"keys": [7]}',
     '{"keys": [{"kty": "RSA", "kid": "a", "n": "x"}]}', '{"keys": [{"kty": "EC", "crv": "P-256K", "kid": "a"}]}'],
)  # fmt: skip
def test_what_is_no_set_of_keys(tmp_path, content):
    (tmp_path / "jwks.json").write_text(content)
    with pytest.raises(ResourceError):
        IssuedTokens(TokenIssuer(issuer=ISSUER, audience=AUDIENCE, jwks=str(tmp_path / "jwks.json")))


def test_subjects_cannot_write_into_logs(tokens):
    assert tokens.identify(signed(sub="a\nb\x1b[31m" + "c" * 99)).id == "token:a?b??31m" + "c" * 56


class Issuer(BaseHTTPRequestHandler):
    """An issuer's site."""

    def do_GET(self):
        here = f"http://127.0.0.1:{self.server.server_port}"
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("location", f"{here}/keys")
            self.end_headers()
            return
        told = {"issuer": here, "jwks_uri": f"{here}/keys"} if "well-known" in self.path else {"keys": [public("ed")]}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

    def log_message(self, *_told):
        logging.getLogger(__name__).debug("asked")


@pytest.fixture
def site():
    with HTTPServer(("127.0.0.1", 0), Issuer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_an_issuer_is_asked_where_its_keys_are(site):
    tokens = IssuedTokens(TokenIssuer(issuer=site, audience=AUDIENCE))
    assert tokens.identify(signed("ed", iss=site)).id == "token:ann"


@pytest.mark.parametrize("place", ["{site}/moved", "http://192.0.2.1/keys", "file:///etc/passwd", "ftp://a/b"])
def test_no_redirect_and_no_other_scheme_is_followed(site, place):
    with pytest.raises(ResourceError):
        IssuedTokens(TokenIssuer(issuer=ISSUER, audience=AUDIENCE, jwks=place.format(site=site)))
