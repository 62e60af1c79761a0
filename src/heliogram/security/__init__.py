"""Secrets: the master key, sealing at rest, API keys and who holds them."""

from .apikeys import KeyHasher, NewKey, new_api_key
from .authenticator import StoreAuthenticator
from .keymaker import SecretMaker
from .masterkey import KeyRing, KeySource, MasterKey, MasterKeyError, load_master_key
from .regtokens import RegistrationTokens
from .sealer import AesGcmSealer
from .upkeep import forget_old

__all__ = [
    "AesGcmSealer",
    "KeyHasher",
    "KeyRing",
    "KeySource",
    "MasterKey",
    "MasterKeyError",
    "NewKey",
    "RegistrationTokens",
    "SecretMaker",
    "StoreAuthenticator",
    "forget_old",
    "load_master_key",
    "new_api_key",
]
