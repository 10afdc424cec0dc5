"""The sandbox LMS's signing keys and their public key set."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm


@dataclass(frozen=True)
class SigningKey:
    """An RSA key and the id it is published under."""

    kid: str
    private: RSAPrivateKey = field(repr=False)

    def public_jwk(self) -> dict[str, Any]:
        """The public half as the key set has it."""
        return {"kid": self.kid, "alg": "RS256", "use": "sig", **_public_numbers(self.private)}


def new_key() -> SigningKey:
    """A fresh key of 2048 bits; its id is 20 hexadecimal digits, as Moodle's are."""
    private = generate_private_key(public_exponent=65537, key_size=2048)
    return SigningKey(hashlib.sha256(_public_numbers(private)["n"].encode()).hexdigest()[:20], private)


def _public_numbers(private: RSAPrivateKey) -> dict[str, Any]:
    jwk = json.loads(RSAAlgorithm.to_jwk(private.public_key()))
    return {name: jwk[name] for name in ("kty", "n", "e")}
