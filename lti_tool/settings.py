"""Every setting of the tool in one frozen, strict table; all faults are reported at once.

Sources, strongest first: environment `LTI_BADGES_*`, `LTI_BADGES_*_FILE` (a secret in a file), the TOML file named
by `LTI_BADGES_CONFIG`, the defaults below.
"""

import os
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

PREFIX = "LTI_BADGES_"
CONFIG_VARIABLE = "LTI_BADGES_CONFIG"
MINIMUM_SECRET_LENGTH = 32


class SettingsError(Exception):
    """The settings are not usable; the text lists every fault, one a line."""


def _without_trailing_slash(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("must be an address that starts with https:// (or http:// on this machine only)")
    url = url.rstrip("/")
    if urlsplit(url).path:
        raise ValueError("must have nothing behind the host: the tool needs a host, or a port, of its own")
    return url


class Settings(BaseSettings):
    """The settings of one process. Times are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    base_url: Annotated[str, AfterValidator(_without_trailing_slash)] = "http://127.0.0.1:8000"
    bind: str = "127.0.0.1:8000"
    database_url: str = "sqlite:///var/lti-badges.db"
    queue_url: str = "sqlite:///var/queue.db"
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
        path = os.environ.get(f"{PREFIX}{field_name.upper()}_FILE")
        return (Path(path).read_text().strip() if path else None), field_name, False

    def __call__(self) -> dict[str, Any]:
        found = {name: self.get_field_value(None, name)[0] for name in self.settings_cls.model_fields}
        return {name: value for name, value in found.items() if value is not None}


def load_settings(**overrides: Any) -> Settings:
    """Read the settings; raises SettingsError with every fault at once."""
    faults = _unknown_variables() + _missing_files()
    try:
        if not faults:
            return Settings(**overrides)
        Settings(**overrides)
    except ValidationError as error:
        faults += [f"{PREFIX}{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
    except OSError as error:
        faults.append(f"{error.filename}: {error.strerror}")
    raise SettingsError("\n".join(faults))


def _unknown_variables() -> list[str]:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    known |= {f"{name}_FILE" for name in known} | {CONFIG_VARIABLE}
    given = (name for name in os.environ if name.startswith(PREFIX) and not name.startswith(f"{PREFIX}TEST_"))
    return [f"{name}: no such setting" for name in sorted(given) if name not in known]


def _missing_files() -> list[str]:
    config = os.environ.get(CONFIG_VARIABLE)
    return [f"{CONFIG_VARIABLE}: no such file: {config}"] if config and not Path(config).is_file() else []
