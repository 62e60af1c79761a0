"""The REST API as one application."""

from __future__ import annotations

from dataclasses import replace

from starlette.applications import Starlette

from .. import __version__
from ..domain.errors import MEANINGS
from ..rest import Answered, Documented, Endpoint, build_app
from . import (
    accounts,
    activity,
    apps,
    audit,
    basis,
    broadcasts,
    cancel,
    channels,
    credential_life,
    credentials,
    dead_letters,
    device_history,
    health,
    keys,
    notifications,
    operations,
    payloads,
    registration_tokens,
    registrations,
    send,
    users,
    webhooks,
)
from .auth import authenticate_with
from .idempotency import Idempotency, ReservingIds
from .problems import translate
from .state import ApiState
from .throttle import Throttle

PREFIXES = ("/v1", "/preview")

ENDPOINTS: tuple[Endpoint, ...] = (
    send.send_push_notification,
    notifications.list_push_notifications,
    notifications.get_push_notification,
    payloads.get_push_notification_payload,
    operations.list_operations,
    operations.get_operation,
    operations.list_operation_errors,
    cancel.cancel_push_notification,
    cancel.cancel_operation,
    apps.list_apps,
    apps.get_app,
    apps.update_app,
    channels.create_channel,
    channels.list_channels,
    channels.get_channel,
    channels.delete_channel,
    broadcasts.broadcast,
    credentials.create_credential,
    credentials.list_credentials,
    credentials.get_credential,
    credentials.update_credential,
    credentials.delete_credential,
    credential_life.rotate_credential,
    credential_life.revoke_credential,
    credential_life.reconnect_credential,
    credential_life.check_credential,
    registrations.register_device,
    registrations.list_device_registrations,
    registrations.get_device_registration,
    registrations.delete_device_registration,
    registrations.delete_device,
    device_history.list_device_history,
    users.list_users,
    users.get_user,
    users.update_user,
    users.delete_user,
    registration_tokens.create_registration_token,
    accounts.get_account,
    keys.create_api_key,
    keys.list_api_keys,
    keys.get_api_key,
    keys.rotate_api_key,
    keys.revoke_api_key,
    audit.list_audit_events,
    activity.get_activity,
    activity.list_activity_outcomes,
    webhooks.create_webhook,
    webhooks.list_webhooks,
    webhooks.get_webhook,
    webhooks.update_webhook,
    webhooks.delete_webhook,
    webhooks.rotate_webhook_secret,
    webhooks.test_webhook,
    dead_letters.list_dead_letters,
    dead_letters.redeliver_dead_letters,
    *health.ENDPOINTS,
)


def build(state: ApiState, *, answered: Answered | None = None) -> Starlette:
    """The API over its ports: every endpoint below `/v1` and `/preview`, `/health`, `/openapi.json` and `/docs`.
    `answered` hears of every request."""
    return build_app(
        ENDPOINTS,
        state=replace(state, ids=ReservingIds(state.ids)),
        title="Heliogram",
        version=__version__,
        description="Push notifications. A send is answered when it is durable; its outcomes are read back by id."
        " In place of an API key a phone may give a registration token (Bearer hgr_…), which registers and removes"
        " devices of one user of one app, and nothing else.",
        prefixes=PREFIXES,
        authenticate=authenticate_with(state.authenticator, Throttle(state.clock)),
        translate=translate,
        codes={int(code): text for code, text in MEANINGS.items()},
        documented=Documented(basis.FIELDS, basis.PARAMETERS),
        body_limit=state.settings.body_limit,
        body_seconds=state.settings.body_seconds,
        around=Idempotency(state).around(),
        answered=answered,
    )
