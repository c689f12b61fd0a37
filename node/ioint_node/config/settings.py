"""The settings: one frozen value, checked when it is made."""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args
from urllib.parse import urlsplit

from ioint_protocol.limits import LIMITS
from ioint_protocol.members import ADDRESS, GROUP, NAME
from ioint_taxonomy import load_taxonomy

from ioint_node.access.claims import RULES, Rule
from ioint_node.addresses import URL_CHARS, is_loopback
from ioint_node.config.files import make_home, replace_private, write_private
from ioint_node.errors import ConfigError
from ioint_node.flows.subjects import parse_subjects
from ioint_node.privacy.labels import SHAREABLE, why_not_shareable
from ioint_node.reputation.subjects import is_subject
from ioint_node.scoring.staging import (
    EFFECTS,
    FAIL_CLOSED,
    LEAST_TOLERANCE,
    MOST_TOLERANCE,
    TOLERANCE,
    Policy,
    Staging,
    parse_shares,
)
from ioint_node.store.clearance import LABELS

Mode = Literal["observe", "enforce"]
PublishMode = Literal["hold", "catalogue", "off"]
DefaultSubjects = Literal["ALL", "NONE"]
CLIENT_CERT_MODES: Final = ("optional", "required")
MODES: Final[tuple[Mode, ...]] = get_args(Mode)
PUBLISH_MODES: Final[tuple[PublishMode, ...]] = get_args(PublishMode)
DEFAULT_SUBJECTS: Final[tuple[DefaultSubjects, ...]] = get_args(DefaultSubjects)
PUBLIC_URL: Final = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+(?:/[A-Za-z0-9._~-]+)*")
SQLITE: Final = "sqlite+aiosqlite"
STORE_SCHEMES: Final = (SQLITE, "postgresql+asyncpg")
CONFIG_BYTES: Final = 65_536
OWN_DOMAINS: Final = 256
PRIVATE_NAMES: Final = 1_024
PRIVATE_NAME: Final = re.compile(r"@?[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
CANARIES: Final = 256
DOMAIN: Final = re.compile(r"(?=.{4,253}\Z)[a-z0-9](?:[a-z0-9-]{0,62}\.)+[a-z][a-z0-9-]{1,62}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Every setting of a node. Made by `load_config`, or by hand in a test."""

    home: Path
    org: str
    group: str = ""  # affiliation group; "" becomes the organisation's name in lower case
    consortium: str = ""  # what this node calls its consortium; its id is on the roster
    mode: Mode = "observe"
    tolerance: float = TOLERANCE  # false blocks per 1,000 actions
    enforce_share: int = 100  # percent of actors, when enforcing
    enforce_families: tuple[str, ...] = ()  # "FAMILY=PERCENT", before enforce_share
    enforce_agents: tuple[str, ...] = ()  # "AGENT=PERCENT", before both
    fail_closed: tuple[str, ...] = FAIL_CLOSED  # effect classes that wait while the node is away
    canaries: tuple[str, ...] = field(default=(), repr=False)  # patterns and packages known to be good here
    guard_share: float = 0.05  # of the agents of 30 days: what touches more waits for a person
    guard_agents: int = 5  # fewer agents are never too many
    shadow_days: int = 7  # for which a new group's first words have no effect
    publish: PublishMode = "hold"
    second: bool = True  # sightings confirm what other groups report and this node meets too
    benign_voices: bool = False  # disputes speak for what others accuse and own agents do every day
    tlp: str = "green"  # label of TLP 2.0 that reports get
    public_names: str = ""  # file of package URLs whose names are public; "" for none
    private_names: tuple[str, ...] = ()  # scopes and names of packages that never leave
    fingerprints: bool = False  # keyed fingerprints of high-entropy values may go with a confirmed report
    boundary: str = ""  # file of the policy of who may do what at all; "": whoever asks brings its own
    subjects: tuple[str, ...] = ()  # "server:NAME=pkg:…", "tool:NAME=pkg:…", "model:NAME=pkg:…"
    web_host: str = "127.0.0.1"
    web_port: int = 8470  # 0: any free port, told in run.json
    web_tls_proxy: bool = False
    web_tls_cert: str = ""  # PEM file, relative to home; "": plain HTTP
    web_tls_key: str = ""  # PEM file of mode 0600
    web_client_ca: str = ""  # PEM file of the authorities of client certificates; "": none are asked for
    web_client_cert: str = "optional"  # or "required" of every caller that is not on this machine
    requests_per_s: int = 10_000  # of one caller, in the long run
    requests_burst: int = 20_000  # of one caller, at once
    costly_requests_per_s: int = 50  # the same of receipts, exports and replays
    costly_requests_burst: int = 200
    oidc_issuer: str = ""  # "": tokens of this node alone
    oidc_audience: str = ""  # the `aud` of access tokens for this node; "": none are taken
    oidc_client_id: str = ""  # of the console; "": people sign in with tokens
    oidc_client_secret_file: str = ""  # of mode 0600, relative to home; "": a public client
    oidc_login_scope: str = "openid"  # what the console asks the provider for
    oidc_roles: tuple[str, ...] = ()  # "CLAIM=VALUE:ROLE", the first that holds decides
    oidc_tlp: str = "green"  # clearance where oidc_tlp_claim is ""
    oidc_tlp_claim: str = ""
    oidc_actor_claim: str = "sub"  # the actor of who has the role agent
    oidc_scope_prefix: str = ""  # before the names of scopes in access tokens
    otlp_body_bytes: int = 16_777_216  # of one request to /v1/, after decompression
    webhook_private: bool = False
    public_url: str = (
        ""  # by which others reach web_host, without a slash at the end; "": the loopback address
    )
    ssf_default_subjects: DefaultSubjects = "ALL"
    publish_public: bool = False  # what is TLP:CLEAR is signed and served to everybody
    own_domains: tuple[str, ...] = ()  # mail and web domains of this organisation
    exchange_host: str = "127.0.0.1"
    exchange_port: int = 4470  # 0: any free port
    announce: tuple[str, ...] = ()
    store_url: str = field(default="", repr=False)  # "": SQLite at home; another may hold a password
    retention_days: int = 30
    live_sessions: int = 10_000

    def __post_init__(self) -> None:
        """Fill what follows from the rest, and refuse what is unsafe."""
        object.__setattr__(self, "home", self.home.absolute())
        object.__setattr__(self, "group", self.group or _group_of(self.org))
        object.__setattr__(
            self, "store_url", self.store_url or f"sqlite+aiosqlite:///{self.home / 'ioint.db'}"
        )
        for check in _CHECKS:
            check(self)

    @property
    def config_file(self) -> Path:
        """Where the settings are."""
        return self.home / "config.toml"

    @property
    def roster_file(self) -> Path:
        """Where the newest roster's signed bytes are, once there is one."""
        return self.home / "roster.bin"

    @property
    def invitation_file(self) -> Path:
        """Where the invitation is that this node applies with, until it is admitted."""
        return self.home / "invitation"

    @property
    def fingerprint_file(self) -> Path:
        """Where the keys of fingerprints are, by epoch, once a steward gave them."""
        return self.home / "keys" / "fingerprints.json"

    @property
    def signal_key_file(self) -> Path:
        """Where the keys are that sign security events, once one was needed."""
        return self.home / "keys" / "ssf.json"

    @property
    def token_file(self) -> Path:
        """Where the local administrator's token is."""
        return self.home / "local.token"

    @property
    def run_file(self) -> Path:
        """Where the running node says how to reach it."""
        return self.home / "run.json"

    def policy(self, salt: bytes) -> Policy:
        """What these settings say of verdicts, of whom is enforced, and of the time when the node is away.

        `salt` places sessions among all and is this node's own: `scoring.staging.salt_of` a key.
        """
        return Policy(
            staging=Staging(
                enforce=self.mode == "enforce",
                share=self.enforce_share,
                families=parse_shares(self.enforce_families),
                agents=parse_shares(self.enforce_agents),
                salt=salt,
            ),
            tolerance=self.tolerance,
            fail_closed=self.fail_closed,
        )

    @property
    def private_paths(self) -> tuple[Path, ...]:
        """What only the node's owner may reach, there or not: everything but the roster, which is public."""
        keys = self.home / "keys"
        scheme, _, rest = self.store_url.partition(":///")
        database = rest.partition("?")[0] if scheme == SQLITE else ""
        return (
            self.home,
            self.config_file,
            keys,
            *(
                keys / f"{name}.key"
                for name in ("node", "record", "pass", "feed", "steward", "clock", "principal")
            ),
            *sorted(keys.glob("*-*.key")),
            self.fingerprint_file,
            self.signal_key_file,
            self.invitation_file,
            self.token_file,
            self.run_file,
            *(self.home / name for name in (self.web_tls_key, self.oidc_client_secret_file) if name),
            *(Path(f"{database}{end}") for end in ("", "-wal", "-shm") if database),
        )


def _group_of(org: str) -> str:
    """The default affiliation group of an organisation: its name, in the letters that a group may have."""
    return re.sub(r"[^a-z0-9]+", "-", org.lower()).strip("-")[:64].strip("-")


def _default_store(home: Path) -> str:
    return f"sqlite+aiosqlite:///{home / 'ioint.db'}"


def default_home(given: str | Path | None = None) -> Path:
    """The home directory: what was given, else `$IOINT_HOME`, else `~/.ioint`."""
    return Path(given or os.environ.get("IOINT_HOME") or Path.home() / ".ioint").expanduser().absolute()


def load_config(home: Path) -> Config:
    """Read `home/config.toml`.

    Raises:
        ConfigError: there is none, it cannot be read, or a setting is unknown or unsafe.
    """
    path = home.absolute() / "config.toml"
    try:
        with path.open("rb") as file:
            data = file.read(CONFIG_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"no node at {home}: make one with `ioint init --home {home} --org NAME`") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): check its owner and mode") from None
    if len(data) > CONFIG_BYTES:
        raise ConfigError(f"{path} is larger than {CONFIG_BYTES} bytes: keep only settings in it")
    try:
        settings = tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} is not TOML ({error}): correct that line") from None
    return Config(home=home, **_typed(settings, path))


def write_config(config: Config) -> None:
    """Write the settings of a new node to its home directory, which is made with mode 0700.

    Raises:
        ConfigError: there is a node already.
    """
    make_home(config.home)
    lines = ["# The settings of this IOINT node; docs/configuration.md explains each."]
    for name, value in _settings_of(config).items():
        if name == "store_url" and value == _default_store(config.home):
            continue  # the default follows the directory when it is moved
        lines.append(f"{name} = {_toml(value)}")
    write_private(config.config_file, ("\n".join(lines) + "\n").encode())


def _settings_of(config: Config) -> dict[str, Any]:
    """Every setting by name, without the home directory."""
    return {item.name: getattr(config, item.name) for item in fields(config) if item.name != "home"}


def change_setting(config: Config, name: str, value: str | int | bool) -> Config:
    """Write one setting anew, leave every other line of the file as it is, and return the new settings.

    Raises:
        ConfigError: the value is refused; the file is as it was.
    """
    change: dict[str, Any] = {name: value}
    changed = replace(config, **change)
    line = f"{name} = {_toml(value)}"
    text = config.config_file.read_text()
    text, found = re.subn(rf"(?m)^{re.escape(name)}\s*=.*$", lambda _: line, text, count=1)
    replace_private(config.config_file, (text if found else f"{text.rstrip()}\n{line}\n").encode())
    return changed


def _typed(settings: Mapping[str, Any], path: Path) -> dict[str, Any]:
    known = {item.name: item.type for item in fields(Config) if item.name != "home"}
    values: dict[str, Any] = {}
    for name, value in settings.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "docs/configuration.md lists them"
            raise ConfigError(f"{path}: no setting is called {name!r}: {hint}")
        if not _fits(value, str(known[name])):
            raise ConfigError(f"{path}: {name} = {value!r}: write {_FORMS[str(known[name])]}")
        values[name] = _as(value, str(known[name]))
    if "org" not in values:
        raise ConfigError(f'{path}: org is missing: add org = "NAME"')
    return values


_FORMS: Final = {
    "str": "a text in double quotes",
    "Mode": "a text in double quotes",
    "PublishMode": "a text in double quotes",
    "DefaultSubjects": "a text in double quotes",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "tuple[str, ...]": "a list of texts",
}


def _fits(value: object, form: str) -> bool:
    if form == "tuple[str, ...]":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if form == "float":
        return type(value) in (int, float)
    kinds: dict[str, type] = {"int": int, "bool": bool}
    return type(value) is kinds.get(form, str)


def _as(value: Any, form: str) -> Any:  # noqa: ANN401 - a value of TOML
    if form == "float":
        return float(value)
    return tuple(value) if isinstance(value, list) else value


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _check_names(config: Config) -> None:
    if not NAME.fullmatch(config.org):
        raise ConfigError(
            f"org = {config.org!r}: write 1 to 64 letters, digits, spaces or .,&()+_- (ASCII), a letter or digit first"
        )
    if config.consortium and not NAME.fullmatch(config.consortium):
        raise ConfigError(f"consortium = {config.consortium!r}: write a short name of letters and digits")
    if not GROUP.fullmatch(config.group):
        raise ConfigError(f"group = {config.group!r}: write 1 to 64 lower-case letters, digits or dashes")


def _check_choices(config: Config) -> None:
    for name, value, allowed in (
        ("mode", config.mode, MODES),
        ("publish", config.publish, PUBLISH_MODES),
        ("ssf_default_subjects", config.ssf_default_subjects, DEFAULT_SUBJECTS),
    ):
        if value not in allowed:
            raise ConfigError(f"{name} = {value!r}: write one of {', '.join(allowed)}")


def _check_label(config: Config) -> None:
    refusal = why_not_shareable(config.tlp)
    if refusal is not None:
        raise ConfigError(f"tlp = {config.tlp!r}: {refusal}; write one of {', '.join(SHAREABLE)}")


def _check_private_names(config: Config) -> None:
    if len(config.private_names) > PRIVATE_NAMES:
        raise ConfigError(f"private_names: {len(config.private_names)} names: name at most {PRIVATE_NAMES}")
    for name in config.private_names:
        if not PRIVATE_NAME.fullmatch(name):
            raise ConfigError(
                f"private_names: {name[:64]!r}: write scopes or names like @acme or acme-billing"
            )


def _check_canaries(config: Config) -> None:
    if len(config.canaries) > CANARIES:
        raise ConfigError(f"canaries: {len(config.canaries)} names: name at most {CANARIES}")
    for name in config.canaries:
        if not is_subject(name):
            raise ConfigError(
                f"canaries: {name[:64]!r}: write whole ids of patterns, or packages like pkg:npm/left-pad"
            )


def _check_ranges(config: Config) -> None:
    for name, low, high in (
        ("web_port", 0, 65_535),
        ("exchange_port", 0, 65_535),
        ("otlp_body_bytes", 65_536, 67_108_864),
        ("retention_days", 1, 3_650),
        ("enforce_share", 0, 100),
        ("guard_share", 0.0, 1.0),
        ("guard_agents", 1, 1_000_000),
        ("shadow_days", 0, 365),
        ("tolerance", LEAST_TOLERANCE, MOST_TOLERANCE),
        ("live_sessions", 1, 1_000_000),
        ("requests_per_s", 1, 1_000_000),
        ("requests_burst", 1, 10_000_000),
        ("costly_requests_per_s", 1, 100_000),
        ("costly_requests_burst", 1, 1_000_000),
    ):
        value = getattr(config, name)
        if not low <= value <= high:
            raise ConfigError(f"{name} = {value}: write a number from {low} to {high}")


def _check_addresses(config: Config) -> None:
    hosts = tuple(_host(config, name) for name in ("web_host", "exchange_host"))
    # An unspecified address takes the port on every other one too.
    same_place = hosts[0] == hosts[1] or any(host.is_unspecified for host in hosts)
    if same_place and config.web_port == config.exchange_port != 0:
        raise ConfigError(
            f"web_port and exchange_port are both {config.web_port}: give each a port of its own, "
            "or 0 for any that is free"
        )
    # Tokens travel in a header: away from here only TLS keeps them secret.
    if not hosts[0].is_loopback and not config.web_tls_proxy and not config.web_tls_cert:
        raise ConfigError(
            f"web_host = {config.web_host!r} would show tokens to the network: set web_tls_cert and web_tls_key, "
            "or put a proxy with TLS in front and set web_tls_proxy = true, or listen on 127.0.0.1"
        )
    if len(config.announce) > LIMITS.member_addresses:
        raise ConfigError(
            f"announce: {len(config.announce)} addresses: name at most {LIMITS.member_addresses}"
        )
    for address in config.announce:
        if len(address) > LIMITS.address_chars or not ADDRESS.fullmatch(address):
            raise ConfigError(f"announce: {address!r}: write addresses like /dns4/node.example.org/tcp/4470")


def _check_public_url(config: Config) -> None:
    url = config.public_url
    if not url:
        return
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if len(url) > URL_CHARS or not PUBLIC_URL.fullmatch(url) or not host:
        raise ConfigError(
            f"public_url = {url[:64]!r}: write a URL like https://node.example.org, no slash at its end"
        )
    if not url.startswith("https:") and not is_loopback(host):
        raise ConfigError(f"public_url = {url[:64]!r}: begin it with https://, since tokens travel to it")


def _check_tls(config: Config) -> None:
    if bool(config.web_tls_cert) != bool(config.web_tls_key):
        raise ConfigError("web_tls_cert and web_tls_key belong together: name both files, or neither")
    if config.web_client_cert not in CLIENT_CERT_MODES:
        raise ConfigError(
            f"web_client_cert = {config.web_client_cert!r}: write one of {', '.join(CLIENT_CERT_MODES)}"
        )
    if config.web_client_ca and not config.web_tls_cert:
        raise ConfigError("web_client_ca needs TLS of this node itself: set web_tls_cert and web_tls_key")
    if config.web_client_cert == "required" and not config.web_client_ca:
        raise ConfigError(
            'web_client_cert = "required" needs web_client_ca: name the PEM file of authorities'
        )


def _check_oidc(config: Config) -> None:
    if (url := config.oidc_issuer) and not is_safe_url(url):
        raise ConfigError(f"oidc_issuer = {url[:128]!r}: write an https address without query and fragment")
    if not config.oidc_issuer:
        return
    if not config.oidc_audience and not config.oidc_client_id:
        raise ConfigError(
            "oidc_issuer: set oidc_audience for programs, or oidc_client_id for people, or both"
        )
    if not config.oidc_roles:
        raise ConfigError(
            'oidc_roles is empty: nobody would have a role; write rules like "groups=analysts:soc"'
        )
    if len(config.oidc_roles) > RULES:
        raise ConfigError(f"oidc_roles: {len(config.oidc_roles)} rules: write at most {RULES}")
    for text in config.oidc_roles:
        try:
            Rule.parse(text)
        except ValueError as error:
            raise ConfigError(f"oidc_roles: {error}") from None
    if config.oidc_tlp not in LABELS:
        raise ConfigError(f"oidc_tlp = {config.oidc_tlp!r}: write one of {', '.join(LABELS)}")
    if config.oidc_client_id and not config.public_url and not _host(config, "web_host").is_loopback:
        raise ConfigError(
            "oidc_client_id needs public_url: the address to which the provider sends people back"
        )


def is_safe_url(url: str) -> bool:
    """Whether an address is one of https, or of http on this machine, without anything behind its path."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    plain = not (parts.query or parts.fragment or parts.username or "@" in parts.netloc)
    return (
        plain and bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))
    )


def _host(config: Config, name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(getattr(config, name))
    except ValueError:
        raise ConfigError(
            f"{name} = {getattr(config, name)!r}: write the IP address to listen on, such as 127.0.0.1"
        ) from None


def _check_policy(config: Config) -> None:
    for name in ("enforce_families", "enforce_agents"):
        try:
            named = parse_shares(getattr(config, name))
        except ValueError as error:
            raise ConfigError(f"{name}: {error}") from None
        # A mistyped family would silently be enforced as all the others are.
        if name == "enforce_families" and named:
            families = load_taxonomy().families
            for family in named:
                if family not in families:
                    near = difflib.get_close_matches(family, families, n=1)
                    hint = f"did you mean {near[0]}?" if near else "docs/taxonomy.md says what a family is"
                    raise ConfigError(f"{name}: no family is called {family[:64]!r}: {hint}")
    for effect in config.fail_closed:
        if effect not in EFFECTS:
            raise ConfigError(f"fail_closed: {effect[:64]!r}: write some of {', '.join(EFFECTS)}")


def _check_subjects(config: Config) -> None:
    try:
        parse_subjects(config.subjects)
    except ValueError as error:
        raise ConfigError(f"subjects: {error}") from None


def _check_domains(config: Config) -> None:
    if len(config.own_domains) > OWN_DOMAINS:
        raise ConfigError(f"own_domains: {len(config.own_domains)} domains: name at most {OWN_DOMAINS}")
    for domain in config.own_domains:
        if not DOMAIN.fullmatch(domain):
            raise ConfigError(f"own_domains: {domain[:64]!r}: write domains like example.org, in lower case")


def _check_store(config: Config) -> None:
    scheme = config.store_url.partition("://")[0]
    if scheme not in STORE_SCHEMES:
        raise ConfigError(f"store_url begins with {scheme!r}: write one of {', '.join(STORE_SCHEMES)}")


_CHECKS: Final[tuple[Callable[[Config], None], ...]] = (
    _check_names,
    _check_choices,
    _check_label,
    _check_private_names,
    _check_canaries,
    _check_ranges,
    _check_addresses,
    _check_public_url,
    _check_tls,
    _check_oidc,
    _check_domains,
    _check_subjects,
    _check_policy,
    _check_store,
)
