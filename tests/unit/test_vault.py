"""Stored secrets are sealed, and keys can be rotated."""

import pytest

from lti_tool.vault import Vault, VaultError

OLD, NEW = "o" * 32, "n" * 32


def test_a_secret_survives_sealing_and_does_not_show() -> None:
    sealed = Vault([OLD]).seal("token")
    assert "token" not in sealed
    assert Vault([OLD]).open(sealed) == "token"


def test_a_new_key_in_front_still_reads_what_the_old_one_sealed() -> None:
    assert Vault([NEW, OLD]).open(Vault([OLD]).seal("token")) == "token"


def test_a_lost_key_is_said_in_words() -> None:
    with pytest.raises(VaultError, match="former key"):
        Vault([NEW]).open(Vault([OLD]).seal("token"))


def test_a_changed_secret_is_not_read() -> None:
    sealed = Vault([OLD]).seal("token")
    with pytest.raises(VaultError):
        Vault([OLD]).open(sealed[:-4] + "AAA=")
