"""The encodings, against the project's vectors: what this client computes before it speaks to a node."""

import json
import os
import pathlib

import pyhpke
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec

from salus_foreign import proofs, sealed
from salus_foreign.encoding import b64u, canonical, unb64u
from salus_foreign.keys import Wallet, did_of, key_from_jwk, public_jwk

VECTORS = pathlib.Path(os.environ["SALUS_ROOT"]) / "vectors"
RECEIPTS = sorted((VECTORS / "receipts").glob("*.receipt"))


def load(name: str) -> dict:
    return json.loads((VECTORS / name).read_text())


def test_keys_of_each_context_derive_from_one_root():
    for case in load("encoding.json")["contexts"]:
        wallet = Wallet(bytes.fromhex(case["root"]))
        signing, sealing = wallet.signing(case["contextId"]), wallet.sealing(case["contextId"])
        assert public_jwk(signing)["x"] == case["signing"]["x"]
        assert public_jwk(sealing)["x"] == case["sealing"]["x"]
        assert did_of(public_jwk(signing)) == case["did"]


@pytest.mark.parametrize("case", load("sealed.json")["accept"], ids=lambda case: case["name"])
def test_sealed_payloads_of_the_vectors_open(case):
    parties = load("sealed.json")["parties"]
    for index in case["openedBy"]:
        private = key_from_jwk(parties[index]["privateJwk"])
        content = sealed.open_sealed(case["envelope"], private, case["context"], case["commitment"])
        assert content == case["content"].encode()


def test_sealed_payloads_go_to_their_parties_and_nobody_else():
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    content = canonical({"note": "für Ada"})
    data, commitment = sealed.seal(content, [key.public_key() for key in keys[:2]], "chain type id")
    for key in keys[:2]:
        assert sealed.open_sealed(json.loads(data), key, "chain type id", commitment) == content
    for key, context in ((keys[2], "chain type id"), (keys[0], "chain type other")):
        with pytest.raises((ValueError, InvalidTag)):
            sealed.open_sealed(json.loads(data), key, context, commitment)


def test_hpke_by_hand_agrees_with_another_implementation():
    suite = pyhpke.CipherSuite.new(
        pyhpke.KEMId.DHKEM_P256_HKDF_SHA256, pyhpke.KDFId.HKDF_SHA256, pyhpke.AEADId.AES256_GCM
    )
    private = ec.generate_private_key(ec.SECP256R1())
    enc, text = sealed.hpke_seal(private.public_key(), b"info", b"aad", b"hello")
    theirs = suite.create_recipient_context(enc, pyhpke.KEMKey.from_pyca_cryptography_key(private), info=b"info")
    assert theirs.open(text, b"aad") == b"hello"
    public = pyhpke.KEMKey.from_pyca_cryptography_key(private.public_key())
    their_enc, sender = suite.create_sender_context(public, info=b"info")
    assert sealed.hpke_open(private, their_enc, b"info", b"aad", sender.seal(b"back", b"aad")) == b"back"


@pytest.mark.parametrize("path", RECEIPTS, ids=lambda path: path.stem)
def test_receipts_of_the_vectors(path):
    anchor = json.loads((VECTORS / "receipts" / "anchor.json").read_text())
    if path.name.startswith("accept"):
        proofs.verify_receipt(path.read_bytes(), anchor)
    else:
        with pytest.raises(proofs.Refused):
            proofs.verify_receipt(path.read_bytes(), anchor)


def test_base64url_is_refused_when_not_canonical():
    assert unb64u(b64u(b"\xff\xfe")) == b"\xff\xfe"
    with pytest.raises(ValueError):
        unb64u("_-9")
