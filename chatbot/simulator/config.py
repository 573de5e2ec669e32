"""Start-up configuration: command-line flags whose defaults come from the environment."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from chatbot.simulator.settings import Settings, SettingsError, apply_changes

REQUIRED_VARIABLES = {
    "token": "WHATSAPP_TOKEN",
    "phone_number_id": "WHATSAPP_PHONE_NUMBER_ID",
    "business_account_id": "WHATSAPP_BUSINESS_ACCOUNT_ID",
    "app_secret": "WHATSAPP_APP_SECRET",
    "verify_token": "WHATSAPP_VERIFY_TOKEN",
}


class ConfigError(Exception):
    """Raised if the process cannot start; the text is a sentence for the person who started it."""


class Customer(msgspec.Struct, frozen=True):
    """Customer that can be chosen as the owner of the phone on the phone page."""

    name: str
    number: str


DEFAULT_CUSTOMERS = (
    Customer("Maria Souza", "5511987650001"),
    Customer("João Pereira", "5521987650002"),
    Customer("Ana Beatriz Lima", "5541987650003"),
    Customer("Carlos Eduardo Alves", "5581987650004"),
)


class Config(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    port: int
    callback_url: str
    token: str
    phone_number_id: str
    business_account_id: str
    app_secret: str
    verify_token: str
    seed: int
    settings: Settings
    customers: tuple[Customer, ...]


def parse_config(arguments: Sequence[str], environ: Mapping[str, str]) -> Config:
    """Read flags and environment; raise ConfigError with a sentence that names what is missing."""
    flags = _parser(environ).parse_args(arguments)
    if not flags.callback_url:
        raise ConfigError("SIMULATOR_CALLBACK_URL is not set: give it or pass --callback-url.")
    secrets = {
        field: _required(environ, variable) for field, variable in REQUIRED_VARIABLES.items()
    }
    seed = _integer("SIMULATOR_SEED (--seed)", flags.seed)
    return Config(
        host=flags.host,
        port=_integer("SIMULATOR_PORT (--port)", flags.port),
        callback_url=flags.callback_url,
        seed=seed,
        settings=_settings(environ.get("SIMULATOR_SETTINGS") or "{}", seed),
        customers=load_customers(environ.get("SIMULATOR_CUSTOMERS", "")),
        **secrets,
    )


def _settings(text: str, seed: int) -> Settings:
    """Return the initial settings from the JSON that POST /_sim/settings takes too."""
    try:
        return apply_changes(Settings(seed=seed), text.encode())
    except SettingsError as error:
        raise ConfigError(f"SIMULATOR_SETTINGS: {error}") from error


def load_customers(path: str) -> tuple[Customer, ...]:
    """Load the customers of the phone page from a JSON list of {name, number}, or the defaults."""
    if not path:
        return DEFAULT_CUSTOMERS
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=tuple[Customer, ...])
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"SIMULATOR_CUSTOMERS ({path}) cannot be read: {error}.") from error


def _parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chatbot.simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", default=environ.get("SIMULATOR_PORT") or "8010")
    parser.add_argument("--callback-url", default=environ.get("SIMULATOR_CALLBACK_URL", ""))
    parser.add_argument("--seed", default=environ.get("SIMULATOR_SEED") or "1")
    return parser


def _required(environ: Mapping[str, str], variable: str) -> str:
    value = environ.get(variable, "").strip()
    if not value:
        raise ConfigError(f"{variable} is not set: the simulator needs it.")
    return value


def _integer(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ConfigError(f"{name} must be a whole number, not {text!r}.") from None
