"""Settings: strict, and all faults at once."""

import os
import tomllib
from pathlib import Path

import pytest

from lti_tool.settings import Settings, SettingsError, load_settings

KEY = "k" * 32


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("LTI_BADGES_")]:
        monkeypatch.delenv(name)


def test_the_defaults_need_only_a_secret_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTI_BADGES_SECRET_KEYS", f"{KEY},{'o' * 40}")
    settings = load_settings()
    assert [key.get_secret_value() for key in settings.secret_keys] == [KEY, "o" * 40]
    assert settings.embedded_worker


def test_every_fault_is_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTI_BADGES_BASE_URL", "badges.example.org")
    monkeypatch.setenv("LTI_BADGES_SECRET_KEYS", "short")
    monkeypatch.setenv("LTI_BADGES_WORKER_THREADS", "many")
    monkeypatch.setenv("LTI_BADGES_BSAE_URL", "typo")
    with pytest.raises(SettingsError) as raised:
        load_settings()
    text = str(raised.value)
    for name in ("BASE_URL", "SECRET_KEYS", "WORKER_THREADS", "BSAE_URL"):
        assert f"LTI_BADGES_{name}" in text
    assert "short" not in text.replace("at least", "")


def test_a_secret_may_be_given_as_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"{KEY}\n")
    monkeypatch.setenv("LTI_BADGES_SECRET_KEYS_FILE", str(tmp_path / "keys"))
    assert load_settings().secret_keys[0].get_secret_value() == KEY


def test_the_environment_is_stronger_than_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'secret_keys = ["{KEY}"]\nworker_threads = 3\nbase_url = "https://file.example"\n')
    monkeypatch.setenv("LTI_BADGES_CONFIG", str(config))
    monkeypatch.setenv("LTI_BADGES_BASE_URL", "https://environment.example/")
    settings = load_settings()
    assert settings.base_url == "https://environment.example"
    assert settings.worker_threads == 3


def test_a_config_file_that_is_not_there_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTI_BADGES_CONFIG", "/nowhere/config.toml")
    with pytest.raises(SettingsError, match="No such file"):
        load_settings(secret_keys=KEY)


def test_secrets_do_not_show() -> None:
    assert KEY not in repr(load_settings(secret_keys=KEY))


def test_the_example_file_is_right_and_shows_every_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    example = Path(__file__).parents[2] / "configs" / "production.example.toml"
    monkeypatch.setenv("LTI_BADGES_CONFIG", str(example))
    monkeypatch.setenv("LTI_BADGES_SECRET_KEYS", "k" * 64)
    settings = load_settings()
    assert settings.base_url == "https://badges.example.org"
    # What an administrator does not need in production is left out on purpose.
    rare = {"secret_keys", "allow_private_addresses", "delivery_lease_seconds"}
    assert set(tomllib.loads(example.read_text())) == set(Settings.model_fields) - rare


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[
            ("BASE_URL", url)
            for url in ("https://", "https://a b", "https://tool.example?x=1", "https://tool.example#f")
        ],
        *[("DATABASE_URL", url) for url in ("nonsense", "mysql://h/x", "postgres://h/x")],
        *[("QUEUE_URL", url) for url in ("amqp://h/x", "postgres://h/x", "x.db")],
    ],
)
def test_an_address_that_nothing_can_be_done_with_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"LTI_BADGES_{name}", value)
    with pytest.raises(SettingsError, match=f"LTI_BADGES_{name}: .*must"):
        load_settings(secret_keys=KEY)


@pytest.mark.parametrize("url", ["postgresql://u:p@h/x", "postgresql+psycopg://h/x", "redis://h", "rediss://h/1"])
def test_the_queue_may_be_elsewhere(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("LTI_BADGES_QUEUE_URL", url)
    assert load_settings(secret_keys=KEY).queue_url == url


@pytest.mark.parametrize("content", [b"base_url = ", b"\xff\xfe"])
def test_files_that_cannot_be_read_hide_no_other_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "bad").write_bytes(content)
    monkeypatch.setenv("LTI_BADGES_CONFIG", str(tmp_path / "bad"))
    monkeypatch.setenv("LTI_BADGES_SECRET_KEYS_FILE", "/nowhere/keys")
    monkeypatch.setenv("LTI_BADGES_BSAE_URL", "typo")
    with pytest.raises(SettingsError) as raised:
        load_settings()
    lines = str(raised.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "LTI_BADGES_BSAE_URL",
        "LTI_BADGES_CONFIG",
        "LTI_BADGES_SECRET_KEYS_FILE",
    ]
    monkeypatch.delenv("LTI_BADGES_CONFIG")
    monkeypatch.setenv("LTI_BADGES_WORKER_THREADS", "many")
    with pytest.raises(SettingsError, match=r"SECRET_KEYS_FILE: /nowhere/keys: No such file(.|\n)*WORKER_THREADS"):
        load_settings()


@pytest.mark.parametrize("name", ["ADMIN_PASSWORD", "BADGR_CLIENT_SECRET"])
def test_what_single_commands_read_is_no_unknown_setting(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"LTI_BADGES_{name}", "x")
    assert load_settings(secret_keys=KEY)
