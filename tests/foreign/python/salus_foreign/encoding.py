"""base64url without padding, canonical JSON (RFC 8785) and deterministic CBOR (RFC 8949, 4.2.1)."""

import base64
import hashlib
import json
import os


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64u(text: str) -> bytes:
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if b64u(data) != text:
        raise ValueError("not canonical base64url")
    return data


def random_id() -> str:
    return b64u(os.urandom(16))


def canonical(value) -> bytes:
    """RFC 8785 for texts, integers, lists and objects whose member names are ASCII."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes([major << 5 | number])
    for extra, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 1 << (8 * size):
            return bytes([major << 5 | extra]) + number.to_bytes(size, "big")
    raise ValueError("number too large")


def cbor(value) -> bytes:
    if value is None:
        return b"\xf6"
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, str):
        return _head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return _head(4, len(value)) + b"".join(cbor(one) for one in value)
    members = sorted((cbor(name), cbor(one)) for name, one in value.items())
    return _head(5, len(members)) + b"".join(name + one for name, one in members)


def _read(data: bytes, at: int):
    major, extra = data[at] >> 5, data[at] & 31
    at += 1
    if major == 7:
        return {20: False, 21: True, 22: None}[extra], at
    number = extra
    if extra >= 24:
        size = {24: 1, 25: 2, 26: 4, 27: 8}[extra]
        number = int.from_bytes(data[at : at + size], "big")
        at += size
    if major == 0:
        return number, at
    if major == 1:
        return -1 - number, at
    if major in (2, 3):
        piece = data[at : at + number]
        return (piece if major == 2 else piece.decode()), at + number
    if major == 4:
        items = []
        for _ in range(number):
            item, at = _read(data, at)
            items.append(item)
        return items, at
    members = {}
    for _ in range(number):
        name, at = _read(data, at)
        members[name], at = _read(data, at)
    return members, at


def uncbor(data: bytes):
    value, end = _read(data, 0)
    if end != len(data) or cbor(value) != data:
        raise ValueError("not deterministic CBOR")
    return value
