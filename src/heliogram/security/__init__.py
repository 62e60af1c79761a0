"""Secrets: the master key, sealing at rest, API keys and who holds them."""

from .apikeys import KeyHasher, NewKey, new_api_key
from .authenticator import StoreAuthenticator
from .masterkey import KeyRing, KeySource, MasterKey, MasterKeyError, load_master_key
from .sealer import AesGcmSealer

__all__ = [
    "AesGcmSealer",
    "KeyHasher",
    "KeyRing",
    "KeySource",
    "MasterKey",
    "MasterKeyError",
    "NewKey",
    "StoreAuthenticator",
    "load_master_key",
    "new_api_key",
]
