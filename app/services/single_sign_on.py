"""Sign-in by OpenID Connect: authorization code flow with PKCE at the provider in the settings.

An attempt is kept in the browser between the redirect to the provider and back, as a signed value with state, nonce
and code verifier. The answer is checked against the attempt, the ID token against the provider's keys, issuer, audience
expiry and nonce. Then the person gets an ordinary session (`app.services.people`). Tokens are not kept, and
neither they nor the client's secret are ever logged.

Sources: OpenID Connect Core 1.0, section 3.1; RFC 7636 (PKCE); RFC 9207 (issuer of an answer); OpenID Connect
RP-Initiated Logout 1.0.
"""

import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from itsdangerous import BadSignature, URLSafeTimedSerializer
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from app.services import people
from app.services.addresses import is_loopback
from app.services.app_context import AppContext
from app.services.people import Identity, PersonError, SignedIn
from app.settings import Settings
from core.types import Role

ATTEMPT_SECONDS = 600
ANSWER_SECONDS = 10  # of the provider
KNOWN_SECONDS = 3600  # seconds for which a provider's metadata are cached
LEEWAY_SECONDS = 60  # tolerated difference between its clock and ours
SIGNATURES = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")  # no shared secrets
_SCOPE = "openid email profile"
_SALT = b"outfold single sign-on"
_BYTES = 32
_BEGIN_AGAIN = "begin the sign-in again"
_ASK = "ask whoever runs this server"
Value = TypeVar("Value")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A sign-in in progress in one browser; `wanted` is the requested page."""

    state: str
    nonce: str
    verifier: str
    wanted: str


@dataclass(frozen=True, slots=True)
class Provider:
    """Metadata of a provider, with the keys that sign its tokens."""

    metadata: Mapping[str, Any]
    keys: KeySet


class ProviderError(PersonError):
    """The provider does not answer, or not as OpenID Connect specifies."""


def is_offered(app_context: AppContext) -> bool:
    """Return whether people can sign in by OpenID Connect."""
    return bool(app_context.settings.oidc_issuer)


def provider_name(app_context: AppContext) -> str:
    """Return the name of the provider's host, for the button."""
    return urlsplit(app_context.settings.oidc_issuer).hostname or ""


def check_provider(chosen: Settings) -> None:
    """Read the metadata of the provider in the settings.

    Raises:
        ProviderError: it does not answer, or not as OpenID Connect specifies.
    """
    _provider(chosen)


def sign_out_address(app_context: AppContext, login: str) -> str | None:
    """Return the provider's address that ends its session and redirects to `login`, None if it has none.

    Raises:
        ProviderError: the provider cannot be reached.
    """
    address = _provider(app_context.settings).metadata.get("end_session_endpoint")
    if not isinstance(address, str) or not _is_safe(address):
        return None
    query = urlencode({"client_id": app_context.settings.oidc_client_id, "post_logout_redirect_uri": login})
    return f"{address}{'&' if '?' in address else '?'}{query}"


def begin(app_context: AppContext, callback: str, wanted: str) -> tuple[str, str]:
    """Return the address at the provider, and the attempt, which the browser keeps for `ATTEMPT_SECONDS`.

    Args:
        app_context: the installation.
        callback: the absolute address to which the provider redirects.
        wanted: the requested page of this server.

    Raises:
        ProviderError: the provider cannot be reached.
    """
    state, nonce, verifier = (secrets.token_urlsafe(_BYTES) for _ in range(3))
    attempt = Attempt(state, nonce, verifier, wanted)
    provider = _provider(app_context.settings)
    with _session(app_context.settings, provider, callback) as session:
        address, _ = session.create_authorization_url(
            provider.metadata["authorization_endpoint"],
            state=attempt.state, nonce=attempt.nonce, code_verifier=attempt.verifier,
        )  # fmt: skip
    return address, _serializer(app_context).dumps(asdict(attempt))


def finish(
    app_context: AppContext, kept: str, answer: Mapping[str, str], callback: str, address: str
) -> tuple[SignedIn, str]:
    """Check the provider's answer and start a session; return it with the requested page.

    Args:
        app_context: the installation.
        kept: the attempt as returned by `begin`; "" if the browser has none.
        answer: the parameters of the provider's redirect.
        callback: as for `begin`.
        address: of the client, for the audit log.

    Raises:
        PersonError: the person may not sign in, or the answer belongs to no attempt of this browser.
        ProviderError: the provider refused, or its token is not valid.
    """
    people.refuse_after_failures(app_context, address)
    try:
        attempt = _read_attempt(app_context, kept)
        identity = _identify(app_context.settings, attempt, answer, callback)
        return people.sign_in_by_identity(app_context, identity, address), attempt.wanted
    except PersonError as error:
        people.log_failed_identity(app_context, error.message, address)
        raise


def _read_attempt(app_context: AppContext, kept: str) -> Attempt:
    try:
        return Attempt(**_serializer(app_context).loads(kept, max_age=ATTEMPT_SECONDS))
    except (BadSignature, TypeError):
        raise PersonError("this sign-in has expired, or was begun in another browser", _BEGIN_AGAIN) from None


def _identify(chosen: Settings, attempt: Attempt, answer: Mapping[str, str], callback: str) -> Identity:
    if not secrets.compare_digest(answer.get("state", "").encode(), attempt.state.encode()):
        raise PersonError("this answer belongs to another sign-in", _BEGIN_AGAIN)
    if answer.get("iss", chosen.oidc_issuer) != chosen.oidc_issuer:
        raise ProviderError("the answer comes from another provider", _BEGIN_AGAIN)
    if "code" not in answer:
        raise ProviderError(f"the provider refused ({ascii(answer.get('error', 'no code'))[1:61]})", _BEGIN_AGAIN)
    provider = _provider(chosen)
    with _session(chosen, provider, callback) as session:
        token = _ask_provider(
            lambda: session.fetch_token(
                provider.metadata["token_endpoint"], code=answer["code"], code_verifier=attempt.verifier,
                timeout=ANSWER_SECONDS,
            )
        )  # fmt: skip
        claims = _claims(chosen, provider, token, attempt.nonce)
        if "email" not in claims and "userinfo_endpoint" in provider.metadata:
            place = provider.metadata["userinfo_endpoint"]
            more = _ask_provider(lambda: session.get(place, timeout=ANSWER_SECONDS).json())
            if more.get("sub") != claims["sub"]:
                raise ProviderError("the provider's userinfo is of another person than its token", _BEGIN_AGAIN)
            claims = {**more, **claims}
    return _identity(chosen, claims)


def _claims(chosen: Settings, provider: Provider, token: Mapping[str, Any], nonce: str) -> dict[str, Any]:
    """Return the checked claims of a token's ID token."""
    try:
        text, keys = token["id_token"], provider.keys
        offered = provider.metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        allowed = [one for one in SIGNATURES if one in offered]
        try:
            decoded = jwt.decode(text, keys, algorithms=allowed)
        except (JoseError, ValueError):  # providers change their keys
            _read_provider.cache_clear()
            decoded = jwt.decode(text, _provider(chosen).keys, algorithms=allowed)
        own = {name: {"essential": True, "value": value} for name, value in (
            ("iss", chosen.oidc_issuer), ("aud", chosen.oidc_client_id), ("nonce", nonce),
        )}  # fmt: skip
        given = {"nonce": nonce, "client_id": chosen.oidc_client_id, "access_token": token.get("access_token")}
        claims = CodeIDToken(decoded.claims, decoded.header, own, given)
        claims.validate(leeway=LEEWAY_SECONDS)
    except (JoseError, AuthlibBaseError, ValueError, KeyError, TypeError) as error:
        log.warning("an ID token was refused: %s", getattr(error, "error", type(error).__name__))
        raise ProviderError(f"the provider's token is not valid ({_reason(error)})", _BEGIN_AGAIN) from None
    return dict(claims)


def _reason(error: Exception) -> str:
    return str(getattr(error, "description", "") or getattr(error, "error", "") or "it cannot be read")


def _identity(chosen: Settings, claims: Mapping[str, Any]) -> Identity:
    """Return the person identified by the claims.

    Raises:
        PersonError: the provider has not verified an e-mail address.
    """
    email = claims.get("email")
    if not isinstance(email, str) or "@" not in email:
        raise PersonError("the provider sent no e-mail address", _ASK)
    if claims.get("email_verified") is not True:
        raise PersonError("the provider has not verified your e-mail address", "verify it there and sign in again")
    role = None
    if chosen.oidc_role_claim:
        value = find_claim(claims, chosen.oidc_role_claim)
        several = value if isinstance(value, list) else [value]
        values = {one for one in several if isinstance(one, str)}
        role = Role.ADMIN if values & chosen.oidc_admin_values else Role.ANNOTATOR
        if role is Role.ANNOTATOR and values & chosen.oidc_lead_values:
            role = Role.LEAD
    return Identity(f"{chosen.oidc_issuer} {claims['sub']}", email.casefold(), role)


def find_claim(claims: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401  # JSON
    """Return the claim of this name, else the one at the path of its dot-separated parts; None without one.

    A name with dots may be one claim (`https://example.org/roles`) or a path (`realm_access.roles`).
    """
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _session(chosen: Settings, provider: Provider, callback: str) -> OAuth2Session:
    offered = provider.metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    secret = chosen.oidc_secret
    ways = ["client_secret_basic", "client_secret_post"] if secret else ["none"]
    return OAuth2Session(
        chosen.oidc_client_id, secret or None, scope=_SCOPE, redirect_uri=callback, code_challenge_method="S256",
        token_endpoint_auth_method=next((way for way in ways if way in offered), ways[0]),
    )  # fmt: skip


def _provider(chosen: Settings) -> Provider:
    return _read_provider(chosen.oidc_issuer, int(time.monotonic() // KNOWN_SECONDS))


@lru_cache(1)
def _read_provider(issuer: str, _hour: int) -> Provider:
    """Return the provider of an issuer.

    Raises:
        ProviderError: it does not answer, answers for another issuer, or would send tokens unencrypted.
    """
    metadata = _ask_provider(lambda: _json_at(f"{issuer.rstrip('/')}/.well-known/openid-configuration"))
    if metadata.get("issuer") != issuer:
        own = ascii(metadata.get("issuer"))[:200]
        raise ProviderError(f"the provider calls itself {own}, not {issuer}", "correct OUTFOLD_OIDC_ISSUER")
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        if not _is_safe(str(metadata.get(name))):
            raise ProviderError(f"the provider's {name} is not an https address", _ASK)
    return Provider(metadata, _ask_provider(lambda: KeySet.import_key_set(_json_at(metadata["jwks_uri"]))))


def _is_safe(address: str) -> bool:
    """Return whether an address is encrypted or local."""
    parts = urlsplit(address)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


def _json_at(address: str) -> Any:  # noqa: ANN401  # JSON
    answer = requests.get(address, timeout=ANSWER_SECONDS)
    answer.raise_for_status()
    return answer.json()


def _ask_provider(question: Callable[[], Value]) -> Value:
    try:
        return question()
    except (requests.RequestException, AuthlibBaseError, JoseError, ValueError, KeyError) as error:
        # not its text, which may contain the request
        log.warning("the provider of OpenID Connect did not answer as it should: %s", type(error).__name__)
        raise ProviderError("the provider does not answer as it should", f"try again, or {_ASK}") from None


def _serializer(app_context: AppContext) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(people.signing_key(app_context), salt=_SALT)
