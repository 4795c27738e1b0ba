"""HPKE base mode (RFC 9180) with DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, and salus-sealed/1 upon it."""

import hmac
import json
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .encoding import b64u, canonical, sha256, unb64u

FORMAT, SUITE = "salus-sealed/1", "P256-SHA256-A256GCM"
KEM_ID, KDF_ID, AEAD_ID = 0x0010, 0x0001, 0x0002
KEM_SUITE = b"KEM" + KEM_ID.to_bytes(2, "big")
HPKE_SUITE = b"HPKE" + b"".join(one.to_bytes(2, "big") for one in (KEM_ID, KDF_ID, AEAD_ID))


def _extract(suite: bytes, salt: bytes, label: bytes, secret: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + secret, "sha256")


def _expand(suite: bytes, key: bytes, label: bytes, info: bytes, length: int) -> bytes:
    labeled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(key, labeled + b"\x01", "sha256")[:length]


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _public(data: bytes) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), data)


def public_of_jwk(jwk: dict) -> ec.EllipticCurvePublicKey:
    return _public(b"\x04" + unb64u(jwk["x"]) + unb64u(jwk["y"]))


def _schedule(dh: bytes, enc: bytes, recipient: bytes, info: bytes) -> tuple[AESGCM, bytes]:
    secret = _expand(KEM_SUITE, _extract(KEM_SUITE, b"", b"eae_prk", dh), b"shared_secret", enc + recipient, 32)
    psk_hash = _extract(HPKE_SUITE, b"", b"psk_id_hash", b"")
    context = b"\x00" + psk_hash + _extract(HPKE_SUITE, b"", b"info_hash", info)
    prk = _extract(HPKE_SUITE, secret, b"secret", b"")
    key = _expand(HPKE_SUITE, prk, b"key", context, 32)
    return AESGCM(key), _expand(HPKE_SUITE, prk, b"base_nonce", context, 12)


def hpke_seal(recipient: ec.EllipticCurvePublicKey, info: bytes, aad: bytes, plain: bytes) -> tuple[bytes, bytes]:
    ephemeral = ec.generate_private_key(ec.SECP256R1())
    enc = _point(ephemeral.public_key())
    aead, nonce = _schedule(ephemeral.exchange(ec.ECDH(), recipient), enc, _point(recipient), info)
    return enc, aead.encrypt(nonce, plain, aad)


def hpke_open(private: ec.EllipticCurvePrivateKey, enc: bytes, info: bytes, aad: bytes, sealed: bytes) -> bytes:
    dh = private.exchange(ec.ECDH(), _public(enc))
    aead, nonce = _schedule(dh, enc, _point(private.public_key()), info)
    return aead.decrypt(nonce, sealed, aad)


def context_of(chain: str, message_type: str, object_id: str) -> str:
    return f"{chain} {message_type} {object_id}"


def _json_list(*texts: str) -> bytes:
    return json.dumps(list(texts), ensure_ascii=False, separators=(",", ":")).encode()


def seal(content: bytes, recipients: list, context: str) -> tuple[bytes, str]:
    """The envelope's bytes, and the commitment that goes onto the ledger."""
    salt, key, nonce = secrets.token_bytes(32), secrets.token_bytes(32), secrets.token_bytes(12)
    commitment = b64u(sha256(salt, content))
    padded = salt + len(content).to_bytes(4, "big") + content
    size = 512
    while size < len(padded):
        size *= 2
    padded += bytes(size - len(padded))
    places = 2
    while places < len(recipients):
        places *= 2
    entries = []
    for place in range(places):
        real = place < len(recipients)
        public = recipients[place] if real else ec.generate_private_key(ec.SECP256R1()).public_key()
        tag = b64u(secrets.token_bytes(16))
        aad = _json_list(FORMAT, SUITE, commitment, context, tag)
        enc, wrapped = hpke_seal(public, FORMAT.encode(), aad, key if real else secrets.token_bytes(32))
        entries.append({"tag": tag, "enc": b64u(enc), "key": b64u(wrapped)})
    secrets.SystemRandom().shuffle(entries)
    sealed = AESGCM(key).encrypt(nonce, padded, _json_list(FORMAT, SUITE, commitment, context))
    envelope = {
        "format": FORMAT,
        "suite": SUITE,
        "commitment": commitment,
        "recipients": entries,
        "ciphertext": b64u(nonce + sealed),
    }
    return canonical(envelope), commitment


def open_sealed(envelope: dict, private: ec.EllipticCurvePrivateKey, context: str, commitment: str) -> bytes:
    """The content, once its commitment was recomputed. Raises InvalidTag or ValueError."""
    if envelope["format"] != FORMAT or envelope["suite"] != SUITE or envelope["commitment"] != commitment:
        raise ValueError("another payload")
    key = None
    for entry in envelope["recipients"]:
        aad = _json_list(FORMAT, SUITE, commitment, context, entry["tag"])
        try:
            key = hpke_open(private, unb64u(entry["enc"]), FORMAT.encode(), aad, unb64u(entry["key"]))
        except InvalidTag:
            continue
        break
    if key is None:
        raise ValueError("sealed to others")
    sealed = unb64u(envelope["ciphertext"])
    padded = AESGCM(key).decrypt(sealed[:12], sealed[12:], _json_list(FORMAT, SUITE, commitment, context))
    length = int.from_bytes(padded[32:36], "big")
    salt, content = padded[:32], padded[36 : 36 + length]
    if any(padded[36 + length :]) or b64u(sha256(salt, content)) != commitment:
        raise ValueError("the content is not what was committed to")
    return content
