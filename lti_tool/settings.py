"""Every setting of the tool in one frozen, strict table; all faults are reported at once.

Sources, strongest first: environment `LTI_BADGES_*`, `LTI_BADGES_*_FILE` (a secret in a file), the TOML file named
by `LTI_BADGES_CONFIG`, the defaults below.
"""

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

PREFIX = "LTI_BADGES_"
CONFIG_VARIABLE = "LTI_BADGES_CONFIG"
MINIMUM_SECRET_LENGTH = 32
# Read by single commands, not by the tool.
FOR_COMMANDS = ("ADMIN_PASSWORD", "BADGR_CLIENT_SECRET")
PLAIN_HOST = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", re.IGNORECASE)


class SettingsError(Exception):
    """The settings are not usable; the text lists every fault, one a line."""


def _without_trailing_slash(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("must be an address that starts with https:// (or http:// on this machine only)")
    url = url.rstrip("/")
    if urlsplit(url).path or set("?#") & set(url):
        raise ValueError("must have nothing behind the host: the tool needs a host, or a port, of its own")
    if not PLAIN_HOST.fullmatch(urlsplit(url).netloc):
        raise ValueError("must name a host, for example https://badges.school.example")
    return url


def _database_address(url: str, *more: str) -> str:
    kinds = ("sqlite:///", "postgresql://", "postgresql+psycopg://", *more)
    try:
        make_url(url)
    except ArgumentError:
        kinds = ()
    if not url.startswith(kinds):
        shapes = " or ".join(("sqlite:///folder/file.db", "postgresql://user:password@host/name", *more))
        raise ValueError(f"must look like {shapes}")
    return url


def _queue_address(url: str) -> str:
    return _database_address(url, "redis://", "rediss://")


class Settings(BaseSettings):
    """The settings of one process. Times are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    base_url: Annotated[str, AfterValidator(_without_trailing_slash)] = "http://127.0.0.1:8000"
    bind: str = "127.0.0.1:8000"
    database_url: Annotated[str, AfterValidator(_database_address)] = "sqlite:///var/lti-badges.db"
    queue_url: Annotated[str, AfterValidator(_queue_address)] = "sqlite:///var/queue.db"
    secret_keys: Annotated[tuple[SecretStr, ...], NoDecode]
    embedded_worker: bool = True
    worker_threads: int = Field(default=4, ge=1, le=64)
    web_threads: int = Field(default=8, ge=1, le=128)
    trusted_proxies: int = Field(default=0, ge=0, le=5)
    allow_private_addresses: bool = False
    session_seconds: int = Field(default=12 * 3600, ge=300)
    delivery_lease_seconds: int = Field(default=300, ge=1)
    badgr_timeout_seconds: int = Field(default=30, ge=1, le=120)
    webhook_max_bytes: int = Field(default=1024 * 1024, ge=1024)
    brake_awards: int = Field(default=100, ge=1)
    brake_percent: int = Field(default=50, ge=1, le=100)
    event_retention_days: int = Field(default=365, ge=0)
    pull_minutes: int = Field(default=60, ge=0)
    delay_objective_seconds: int = Field(default=60, ge=1)
    key_rotation_days: int = Field(default=90, ge=0)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"

    @field_validator("secret_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("secret_keys")
    @classmethod
    def _long_enough(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not keys or any(len(key.get_secret_value()) < MINIMUM_SECRET_LENGTH for key in keys):
            raise ValueError(
                f"needs one or more keys of at least {MINIMUM_SECRET_LENGTH} characters, separated by commas, "
                "newest first (make one with: openssl rand -hex 32)"
            )
        return keys

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Say where values come from, strongest first (pydantic-settings, "Customise settings sources")."""
        config = os.environ.get(CONFIG_VARIABLE)
        toml = [TomlConfigSettingsSource(settings_cls, Path(config))] if config else []
        return (init_settings, env_settings, _SecretFiles(settings_cls), *toml)


class _SecretFiles(PydanticBaseSettingsSource):
    """Reads a setting from the file that `LTI_BADGES_<NAME>_FILE` names (Docker and Kubernetes secrets)."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        path = os.environ.get(_file_variable(field_name))
        return (Path(path).read_text().strip() if path else None), field_name, False

    def __call__(self) -> dict[str, Any]:
        readable = [name for name in self.settings_cls.model_fields if name not in _unreadable_files()]
        found = {name: self.get_field_value(None, name)[0] for name in readable}
        return {name: value for name, value in found.items() if value is not None}


def load_settings(**overrides: Any) -> Settings:
    """Read the settings; raises SettingsError with every fault at once."""
    unreadable = _unreadable_files()
    faults = _unknown_variables() + _config_faults() + [f"{_file_variable(n)}: {why}" for n, why in unreadable.items()]
    try:
        if not faults:
            return Settings(**overrides)
        Settings(**overrides)
    except ValidationError as error:
        told = [e for e in error.errors() if e["loc"] not in {(name,) for name in unreadable}]
        faults += [f"{PREFIX}{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in told]
    except (OSError, ValueError):
        # The file of settings, whose fault is told already.
        pass
    raise SettingsError("\n".join(faults))


def _unknown_variables() -> list[str]:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    known |= {f"{name}_FILE" for name in known} | {CONFIG_VARIABLE} | {PREFIX + name for name in FOR_COMMANDS}
    given = (name for name in os.environ if name.startswith(PREFIX) and not name.startswith(f"{PREFIX}TEST_"))
    return [f"{name}: no such setting" for name in sorted(given) if name not in known]


def _config_faults() -> list[str]:
    config = os.environ.get(CONFIG_VARIABLE)
    try:
        if config:
            tomllib.loads(Path(config).read_text())
    except OSError as error:
        return [f"{CONFIG_VARIABLE}: {config}: {error.strerror}"]
    except ValueError as error:
        return [f"{CONFIG_VARIABLE}: {config} is no TOML: {error}"]
    return []


def _unreadable_files() -> dict[str, str]:
    """What is wrong with the files that settings are to be read from, by setting."""
    faults = {}
    for name in Settings.model_fields:
        if path := os.environ.get(_file_variable(name)):
            try:
                Path(path).read_text()
            except OSError as error:
                faults[name] = f"{path}: {error.strerror}"
            except ValueError:
                faults[name] = f"{path} is no text"
    return faults


def _file_variable(name: str) -> str:
    return f"{PREFIX}{name.upper()}_FILE"
