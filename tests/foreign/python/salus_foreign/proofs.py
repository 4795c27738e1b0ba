"""Receipts `salus-receipt/1`, verified from docs/receipts.md, ADR 1, CometBFT's data structures and ICS-23."""

import datetime
import json

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .encoding import canonical, cbor, sha256, unb64u, uncbor

EMPTY = bytes(32)


class Refused(Exception):
    pass


def ensure(condition: bool, why: str) -> None:
    if not condition:
        raise Refused(why)


# Protobuf (proto3: what is zero or empty is left out).


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def field_int(field: int, number: int) -> bytes:
    return varint(field << 3) + varint(number) if number else b""


def field_fixed(field: int, number: int) -> bytes:
    return varint(field << 3 | 1) + number.to_bytes(8, "little", signed=True) if number else b""


def field_message(field: int, data: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(data)) + data


def field_bytes(field: int, data: bytes) -> bytes:
    return field_message(field, data) if data else b""


def read_message(data: bytes) -> list[tuple[int, int | bytes]]:
    fields, at = [], 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            ensure(at < len(data), "protobuf cut")
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = number()
        if tag & 7 == 0:
            fields.append((tag >> 3, number()))
            continue
        ensure(tag & 7 == 2, "unexpected wire type")
        length = number()
        ensure(at + length <= len(data), "protobuf cut")
        fields.append((tag >> 3, data[at : at + length]))
        at += length
    return fields


def one(fields: list, number: int) -> bytes:
    found = [value for field, value in fields if field == number]
    return found[0] if found else b""


# RFC 6962 trees as CometBFT uses them.


def leaf_hash(data: bytes) -> bytes:
    return sha256(b"\x00", data)


def split(total: int) -> int:
    half = 1
    while half * 2 < total:
        half *= 2
    return half


def merkle_root(leaves: list[bytes]) -> bytes:
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    middle = split(len(leaves))
    return sha256(b"\x01", merkle_root(leaves[:middle]), merkle_root(leaves[middle:]))


def root_of(index: int, total: int, leaf: bytes, aunts: list[bytes]) -> bytes:
    if total == 1:
        ensure(not aunts, "too many aunts")
        return leaf
    ensure(bool(aunts), "too few aunts")
    middle = split(total)
    if index < middle:
        return sha256(b"\x01", root_of(index, middle, leaf, aunts[:-1]), aunts[-1])
    return sha256(b"\x01", aunts[-1], root_of(index - middle, total - middle, leaf, aunts[:-1]))


def check_inclusion(proof: dict, leaf: bytes, root: bytes, what: str) -> None:
    aunts = [unb64u(aunt) for aunt in proof["aunts"]]
    ensure(0 <= proof["index"] < proof["total"], f"{what}: index")
    ensure(unb64u(proof["leafHash"]) == leaf_hash(leaf), f"{what}: another leaf")
    ensure(root_of(proof["index"], proof["total"], leaf_hash(leaf), aunts) == root, f"{what}: another root")


# CometBFT headers and commits.


def timestamp(text: str) -> bytes:
    whole, _, decimals = text.removesuffix("Z").partition(".")
    moment = datetime.datetime.fromisoformat(whole).replace(tzinfo=datetime.timezone.utc)
    return field_int(1, int(moment.timestamp())) + field_int(2, int(decimals.ljust(9, "0")) if decimals else 0)


def block_id(value: dict) -> bytes:
    parts = field_int(1, value["parts"]["total"]) + field_bytes(2, bytes.fromhex(value["parts"]["hash"]))
    return field_bytes(1, bytes.fromhex(value["hash"])) + field_message(2, parts)


def header_hash(header: dict) -> bytes:
    names = "lastCommitHash dataHash validatorsHash nextValidatorsHash consensusHash appHash lastResultsHash"
    hashes = [bytes.fromhex(header[name]) for name in [*names.split(), "evidenceHash", "proposerAddress"]]
    version = field_int(1, header["version"]["block"]) + field_int(2, header["version"]["app"])
    first = [
        version,
        field_bytes(1, header["chain"].encode()),
        field_int(1, header["height"]),
        timestamp(header["time"]),
        block_id(header["lastBlockId"]),
    ]
    return merkle_root(first + [field_bytes(1, value) for value in hashes])


def validators_hash(validators: list[dict]) -> bytes:
    leaves = []
    for validator in validators:
        key = field_bytes(1, unb64u(validator["publicKey"]))
        leaves.append(field_message(1, key) + field_int(2, validator["power"]))
    return merkle_root(leaves)


def vote_bytes(chain: str, commit: dict, vote: dict) -> bytes:
    body = field_int(1, 2) + field_fixed(2, commit["height"]) + field_fixed(3, commit["round"])
    if vote["flag"] == 2:
        body += field_message(4, block_id(commit["blockId"]))
    body += field_message(5, timestamp(vote["time"])) + field_bytes(6, chain.encode())
    return varint(len(body)) + body


def check_commit(block: dict) -> None:
    header, commit, validators = block["header"], block["commit"], block["validators"]
    ensure(commit["height"] == header["height"], "votes for another height")
    ensure(bytes.fromhex(commit["blockId"]["hash"]) == header_hash(header), "votes for another header")
    ensure(len(commit["votes"]) == len(validators), "number of votes")
    power = 0
    for vote, validator in zip(commit["votes"], validators):
        if vote["flag"] == 1:
            continue
        key = unb64u(validator["publicKey"])
        ensure(bytes.fromhex(vote["address"]) == sha256(key)[:20], "vote of a stranger")
        message = vote_bytes(header["chain"], commit, vote)
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(unb64u(vote["signature"]), message)
        except InvalidSignature as error:
            raise Refused("a vote's signature") from error
        power += validator["power"] if vote["flag"] == 2 else 0
    ensure(3 * power > 2 * sum(validator["power"] for validator in validators), "too little power")


def check_trust(anchor: dict, blocks: list[dict]) -> None:
    """Validators are those of the anchor until a signed header announces others."""
    expected = validators_hash(anchor["validators"])
    height = anchor["height"]
    for block in blocks:
        header = block["header"]
        ensure(header["chain"] == anchor["chain"], "another chain")
        ensure(header["height"] > height, "heights ascend")
        hashed = validators_hash(block["validators"])
        ensure(hashed == expected == bytes.fromhex(header["validatorsHash"]), "validators are not trusted")
        check_commit(block)
        height, expected = header["height"], bytes.fromhex(header["nextValidatorsHash"])


# ICS-23 proofs of the sparse Merkle tree (SmtSpec).


def existence(data: bytes, root: bytes) -> tuple[bytes, bytes, list[tuple[int, bytes]]]:
    """Proof key, proof value, and from the leaf upwards: bit of the path and sibling."""
    fields = read_message(data)
    key, value = one(fields, 1), one(fields, 2)
    leaf_op = field_int(1, 1) + field_int(2, 1) + field_int(3, 1) + field_bytes(5, b"\x00")
    ensure(one(fields, 3) == leaf_op, "another leaf operation")
    path = sha256(key)
    steps = [value for field, value in fields if field == 4]
    current, walked = sha256(b"\x00", path, sha256(value)), []
    for depth, step in zip(range(len(steps) - 1, -1, -1), steps):
        parts = read_message(step)
        prefix, suffix = one(parts, 2), one(parts, 3)
        bit = path[depth // 8] >> (7 - depth % 8) & 1
        sibling = prefix[1:] if bit else suffix
        form = (len(prefix), len(suffix)) == ((33, 0) if bit else (1, 32))
        ensure(one(parts, 1) == 1 and prefix[:1] == b"\x01" and form, "another inner operation")
        current = sha256(prefix, current, suffix)
        walked.append((bit, sibling))
    ensure(current == root, "state proof leads to another root")
    return key, value, walked


def check_present(proof: bytes, key: str, stored: bytes, root: bytes) -> None:
    inner = one(read_message(proof), 1)
    ensure(bool(inner), "no proof of presence")
    proof_key, proof_value, _ = existence(inner, root)
    ensure(proof_key == sha256(key.encode()) and proof_value == sha256(stored), "another key or value")


def check_absent(proof: bytes, key: str, root: bytes) -> None:
    fields = read_message(one(read_message(proof), 2))
    ensure(one(fields, 1) == sha256(key.encode()), "another key")
    path = sha256(sha256(key.encode()))
    left, right = one(fields, 2), one(fields, 3)
    ensure(bool(left or right), "no neighbours")
    ways = []
    for side, data in ((1, left), (0, right)):
        if not data:
            ways.append(None)
            continue
        neighbour, _, walked = existence(data, root)
        smaller = sha256(neighbour) < path
        ensure(smaller == bool(side) and sha256(neighbour) != path, "neighbour on the wrong side")
        ways.append([*reversed(walked)])
    before, after = ways
    common = 0
    if before and after:
        while before[common][0] == after[common][0]:
            common += 1
        ensure((before[common][0], after[common][0]) == (0, 1), "neighbours are swapped")
        common += 1
    # Nothing lies between: right of the left neighbour and left of the right one, below their fork, all is empty.
    ensure(all(bit == 1 or sibling == EMPTY for bit, sibling in (before or [])[common:]), "left is no neighbour")
    ensure(all(bit == 0 or sibling == EMPTY for bit, sibling in (after or [])[common:]), "right is no neighbour")


def verify_receipt(data: bytes, anchor: dict) -> dict:
    """What the receipt proves to somebody who trusts the anchor. Raises Refused."""
    receipt = json.loads(data)
    ensure(canonical(receipt) == data, "not canonical JSON")
    ensure(receipt["format"] == "salus-receipt/1", "format")
    signed = receipt["signed"]
    header = signed["header"]
    check_trust(anchor, [*receipt["trust"], signed])
    report = {"height": header["height"] - 1}
    if "transaction" in receipt:
        part, result = receipt["transaction"], receipt["transaction"]["result"]
        ensure(bytes.fromhex(header["lastBlockId"]["hash"]) == header_hash(part["header"]), "headers are not linked")
        ensure(part["header"]["height"] == header["height"] - 1, "headers are not consecutive")
        ensure(part["header"]["chain"] == header["chain"], "another chain")
        transaction = unb64u(part["bytes"])
        check_inclusion(part["proof"], sha256(transaction), bytes.fromhex(part["header"]["dataHash"]), "transaction")
        outcome = sha256(cbor([result["events"], result["outputs"]]))
        ensure(outcome.hex() == result["data"], "events and outputs")
        leaf = field_int(1, result["code"]) + field_bytes(2, outcome)
        leaf += field_int(5, result["gasWanted"]) + field_int(6, result["gasUsed"])
        check_inclusion(part["resultProof"], leaf, bytes.fromhex(header["lastResultsHash"]), "result")
        places = [(proof["index"], proof["total"]) for proof in (part["proof"], part["resultProof"])]
        ensure(places[0] == places[1], "transaction and result stand apart")
        report |= {"hash": sha256(transaction).hex(), "transaction": transaction, "result": result}
    if "state" in receipt:
        state, root = receipt["state"], bytes.fromhex(header["appHash"])
        proof = unb64u(state["proof"])
        report |= {"key": state["key"], "present": state["stored"] is not None}
        if state["stored"] is None:
            check_absent(proof, state["key"], root)
        else:
            stored = unb64u(state["stored"])
            check_present(proof, state["key"], stored, root)
            ensure(stored[16] == 1, "version of the value")
            report["value"] = uncbor(stored[17:])
    return report
