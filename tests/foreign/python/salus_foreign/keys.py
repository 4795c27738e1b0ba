"""P-256 keys of a wallet, transactions as JWS in JSON serialisation, and wallet tokens, by a JOSE library."""

import hashlib
import hmac
import json
import secrets
import time

from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jws, jwt
from joserfc.jwk import ECKey

from .encoding import b64u, random_id, sha256, unb64u

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
TRANSACTION_TYPE = "salus-tx+jws"
TOKEN_TYPE = "salus-wallet+jwt"


class Registry(jws.JWSRegistry):
    """Allows the header `chain`, which RFC 7515 does not know."""

    def __init__(self):
        super().__init__(algorithms=["ES256"], strict_check_header=False)


def hkdf(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    pseudo_random = hmac.digest(salt, secret, "sha256")
    out, block, count = b"", b"", 1
    while len(out) < length:
        block = hmac.digest(pseudo_random, block + info + bytes([count]), "sha256")
        out, count = out + block, count + 1
    return out[:length]


def public_jwk(key: ec.EllipticCurvePrivateKey) -> dict:
    point = key.public_key().public_numbers()
    x, y = (b64u(number.to_bytes(32, "big")) for number in (point.x, point.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def jose_key(key: ec.EllipticCurvePrivateKey) -> ECKey:
    private = key.private_numbers().private_value.to_bytes(32, "big")
    return ECKey.import_key({**public_jwk(key), "d": b64u(private)})


def key_from_jwk(jwk: dict) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(unb64u(jwk["d"]), "big"), ec.SECP256R1())


def did_of(jwk: dict) -> str:
    thumbprint_input = json.dumps({name: jwk[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":"))
    return "did:salus:" + b64u(sha256(thumbprint_input.encode())[:20])


def with_s(signature: bytes, high: bool) -> bytes:
    """s and n - s are both valid; the network takes the smaller one."""
    r, s = signature[:32], int.from_bytes(signature[32:], "big")
    if (s > ORDER // 2) != high:
        s = ORDER - s
    return r + s.to_bytes(32, "big")


def envelope(payload: bytes, header: dict, key: ec.EllipticCurvePrivateKey, high: bool = False) -> dict:
    """Flattened JWS of the payload's bytes as they are."""
    made = jws.serialize_json({"protected": header}, payload, jose_key(key), registry=Registry())
    return {
        "payload": made["payload"],
        "protected": made["protected"],
        "signature": b64u(with_s(unb64u(made["signature"]), high)),
    }


class Signer:
    def __init__(self, kid: str, key: ec.EllipticCurvePrivateKey, chain: str):
        self.kid, self.key, self.chain = kid, key, chain

    def header(self, **changes) -> dict:
        header = {"alg": "ES256", "typ": TRANSACTION_TYPE, "kid": self.kid, "chain": self.chain}
        header.update(changes)
        return header

    def payload(self, messages: list, **changes) -> dict:
        valid_until = int(time.time() * 1000) + 300_000
        return {"v": 1, "id": random_id(), "validUntil": valid_until, "messages": messages, **changes}

    def sign(self, messages: list, **changes) -> bytes:
        """White space and member order are those of Python's json: they are free."""
        payload = json.dumps(self.payload(messages, **changes), ensure_ascii=False).encode()
        return json.dumps(envelope(payload, self.header(), self.key)).encode()

    def token(self, method: str, path: str, **changes) -> str:
        now = int(time.time())
        claims = {"aud": self.chain, "iat": now, "exp": now + 120, "jti": random_id(), "htm": method, "htu": path}
        header = {"alg": "ES256", "typ": TOKEN_TYPE, "kid": self.kid}
        return jwt.encode(header, {**claims, **changes}, jose_key(self.key), registry=Registry())


class Wallet:
    """One root secret; other keys in every context (packages/protocol/README.md, "Pseudonyms")."""

    def __init__(self, root: bytes | None = None):
        self.root = root or secrets.token_bytes(32)

    def _scalar(self, purpose: str, context: str) -> ec.EllipticCurvePrivateKey:
        wide = hkdf(self.root, b"salus-pseudonym-v1", purpose.encode() + b"\0" + context.encode(), 48)
        return ec.derive_private_key(int.from_bytes(wide, "big") % (ORDER - 1) + 1, ec.SECP256R1())

    def signing(self, context: str) -> ec.EllipticCurvePrivateKey:
        return self._scalar("signing", context)

    def sealing(self, context: str) -> ec.EllipticCurvePrivateKey:
        return self._scalar("sealing", context)


def verify_transaction(data: bytes, keys: dict) -> dict:
    """Verifies every signature of a JWS with the key that `keys` names for its kid; answers with the payload."""
    value = json.loads(data)
    entries = value.get("signatures") or [value]
    for entry in entries:
        header = json.loads(unb64u(entry["protected"]))
        flat = {"payload": value["payload"], "protected": entry["protected"], "signature": entry["signature"]}
        jws.deserialize_json(flat, ECKey.import_key(keys[header["kid"]]), registry=Registry())
    return json.loads(unb64u(value["payload"]))


def thumbprint(jwk: dict) -> str:
    return b64u(hashlib.sha256(json.dumps(jwk, sort_keys=True, separators=(",", ":")).encode()).digest())
