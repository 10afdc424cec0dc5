"""Authenticated encryption of the secrets we store (tokens, client secrets, private keys), with key rotation."""

import base64
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class VaultError(Exception):
    """A stored secret cannot be read with any of the configured keys."""


class Vault:
    """Encrypts with the first key and reads with any (cryptography.io, `MultiFernet`)."""

    def __init__(self, secret_keys: Sequence[str]) -> None:
        self._fernet = MultiFernet([Fernet(_derive(key)) for key in secret_keys])

    def seal(self, secret: str) -> str:
        """Encrypt a text for storage."""
        return self._fernet.encrypt(secret.encode()).decode()

    def open(self, sealed: str) -> str:
        """Read a stored secret; raises VaultError when no configured key fits."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise VaultError(
                "A stored secret cannot be read: LTI_BADGES_SECRET_KEYS no longer holds the key it was sealed with. "
                "Put the former key back at the end of the list."
            ) from None


def _derive(key: str) -> bytes:
    derived = HKDF(SHA256(), length=32, salt=None, info=b"lti-badges vault").derive(key.encode())
    return base64.urlsafe_b64encode(derived)
