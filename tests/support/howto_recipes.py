"""What the pages with commands and programs need beside their printed words, and which blocks are run elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from support.howtos import Recipe, fenced

HERE = {"/var/lib/heliogram": "./data"}
TOKEN = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
LONG = {"9f86d081884c7d659a2feaa0c55ad015…": TOKEN}
TOMORROW = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S+00:00")
NEXT_YEAR = (datetime.now(UTC) + timedelta(days=365)).strftime("%Y-%m-%dT%H:%M:%SZ")
SIGNER = """
from heliogram.apns import Certificate, Client, Notification, SigningKey
key_id, team_id, topic, path = "ABC123DEFG", "DEF123GHIJ", "com.example.app", "AuthKey_ABC123DEFG.p8"
key = SigningKey.from_p8(path, key_id=key_id, team_id=team_id)
"""
CERTIFICATE = """
echo secret > password
issue="heliogram simulator issue-certificate --data ./data/simulator --bundle-id com.example.app"
$issue --out cert.pem --key cert-key.pem
$issue --p12 push.p12 --password-file password
"""
OF_CERTIFICATE = """
import pathlib
certificate, private_key = pathlib.Path("cert.pem").read_bytes(), pathlib.Path("cert-key.pem").read_bytes()
password = "secret"
"""
FRESH_KEY = """
curl $C/portal/keys --json '{"teamId": "DEF123GHIJ"}' > {name}.json
jq -r .p8 {name}.json > {name}.p8
"""
BEGUN = """
heliogram serve > serve.log 2>&1 & echo $! > serve.pid
until grep -qs 'is ready' serve.log; do sleep 0.1; done
KEY=$(heliogram api-keys create --name first | awk '{print $2}' | paste -sd:)
"""
NEW_KEY = "openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out AuthKey_ABC123DEFG.p8"
REGISTRATION = """
curl -u "$KEY" $P/RegistrationTokens --json '{"appName": "shop", "externalId": "phone-42"}' > made.json
REGISTRATION=$(jq -r .registrationToken made.json)
"""
TO_ROTATE = """
heliogram credentials upload --app rotated --key-file first.p8 --key-id $(jq -r .keyId first.json) \\
          --team-id DEF123GHIJ --bundle-id com.example.app --json > made.json
CREDENTIAL=$(jq -r .resourceId made.json)
"""

FIRST_AND_SECOND = FRESH_KEY.replace("{name}", "first") + FRESH_KEY.replace("{name}", "second")
COPY = """
heliogram backup ./copy.db --data ./data
heliogram restore ./copy.db --data ./copy
cp data/master.key copy
"""
START_TOKEN = """
PHONE=$(cat ../../phone-user-42)
START=$(curl $C/devices/$PHONE/apps/com.example.app/tokens --json '{"kind": "liveActivityStart"}' | jq -r .deviceToken)
"""
UPDATE_TOKEN = """
until UPDATE=$(curl $C/devices/$PHONE/activities | jq -er '.activities[0].deviceToken'); do sleep 0.1; done
"""
ENDED = """
until curl $C/devices/$PHONE/activities | jq -e '.activities[0].contentState.minutes == 0'; do sleep 0.1; done
"""
RECEIVED = """
cat > post.py <<'PYTHON'
import base64, hashlib, hmac, json, threading, time, urllib.error, urllib.request

import block1

def post(body, secret):
    stamp = str(int(time.time()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.new(key, b"msg_1." + stamp.encode() + b"." + body, hashlib.sha256).digest()
    signature = "v1," + base64.b64encode(mac).decode()
    signed = {"webhook-id": "msg_1", "webhook-timestamp": stamp, "webhook-signature": signature}
    request = urllib.request.Request("http://127.0.0.1:9000", body, signed)
    while True:
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except urllib.error.URLError:
            time.sleep(0.1)

threading.Thread(target=block1.main, daemon=True).start()
events = json.dumps([{"id": "event_1", "type": "told", "subject": "you", "data": {"seen": 1}}]).encode()
print("answers", post(events, block1.SECRET), post(events, "whsec_" + "A" * 32))
PYTHON
python post.py
"""
TOKENS = """
echo token,externalId,environment > tokens.csv
echo $(cat ../../token-nobody),nobody,production >> tokens.csv
"""
DEVICES = f"""
cat > devices.csv <<CSV
{fenced("docs/howto/migrate-from-twilio.md", "csv")}CSV
sed -i s/user-/twilio-/ devices.csv
"""
EXPORT = """
cat > export.csv <<CSV
id,identifier,language,device_type,invalid_identifier,external_user_id,timezone_id
a,$(cat ../../token-nobody),en,0,f,nobody,Europe/London
b,$(cat ../../token-ann),en,0,t,ann,
CSV
gzip export.csv
"""

RECIPES: dict[str, Recipe] = {
    "README.md": Recipe(
        before={1: 'import pathlib\ndevice_token = pathlib.Path("../../token-sandbox").read_text()\n'},
        awaits=frozenset({1}),
    ),
    "docs/howto/back-up-and-restore.md": Recipe(
        HERE | {"/backups/": "./", "--data ./data --replace": "--data ./stopped --replace"},
        {3: "heliogram restore ./heliogram-2027-01-31.db --data ./stopped; cp ./data/master.key ./stopped/"},
        expected=("heliogram.db.replaced-",),
    ),
    "docs/howto/background-pushes.md": Recipe(expected=("1 accepted by APNs",)),
    "docs/howto/behind-a-proxy.md": Recipe(
        HERE | {"/etc/heliogram/apns-proxy": "./apns-proxy"},
        {3: "echo http://push:secret@10.0.0.9:3128 > apns-proxy"},
        furnished=False,
        expected=('"ready"',),
    ),
    "docs/howto/broadcast.md": Recipe(
        {
            "    # resourceId: its id": " | tee made.json; ID=$(jq -r .resourceId made.json)",
            'key_id="…"': 'key_id=json.loads(pathlib.Path("key.json").read_text())["keyId"]',
        },
        {
            3: "import json, pathlib\nfrom heliogram.apns import *\n",
            4: 'CHANNEL=$(curl $C/channels --json \'{"bundleId": "com.example.app", "environment": "sandbox"}\''
            " | jq -r .channelId)",
        },
        expected=("Accepted(",),
    ),
    "docs/howto/configure.md": Recipe(),
    "docs/howto/credentials.md": Recipe(
        {
            "comms_credential_01…": "$CREDENTIAL",
            '"password": "…"': '"password": "secret"',
            '{"content": {…}}\'': '{"content": \'"$(cat content.json)"\'}\'',
        },
        {
            1: "echo secret > password; heliogram simulator issue-certificate --data ./data/simulator"
            " --bundle-id com.example.app --p12 push.p12 --password-file password",
            2: FIRST_AND_SECOND + TO_ROTATE,
            3: 'jq \'{signingKey: (.p8 | @base64), keyId: .keyId, teamId: "DEF123GHIJ", bundleId: "com.example.app"}\''
            " second.json > content.json",
        },
        expected=('"ok":true', "BadDeviceToken"),
    ),
    "docs/howto/dashboard.md": Recipe(),
    "docs/howto/doctor.md": Recipe(),
    "docs/howto/keys-and-accounts.md": Recipe(
        LONG
        | {
            "user-42": "phone-42",
            "key_01…": "$ID",
            "2027-12-31T00:00:00Z": NEXT_YEAR,
            "Bearer hgr_…": "Bearer $REGISTRATION",
        },
        {
            1: "ID=$(heliogram api-keys create --name old | awk '{print $2; exit}')",
            5: REGISTRATION,
        },
    ),
    "docs/howto/live-activities.md": Recipe(
        dict.fromkeys(LONG, "'\"$START\"'") | {"60303ae22b998861bce3b28f33eec1be…": "'\"$UPDATE\"'"},
        {0: START_TOKEN, 2: UPDATE_TOKEN},
        after=ENDED,
    ),
    "docs/howto/migrate-from-gorush.md": Recipe(LONG, {2: TOKENS}),
    "docs/howto/migrate-from-onesignal.md": Recipe(
        before={2: EXPORT}, expected=("registered 1 device", "1 unsubscribed")
    ),
    "docs/howto/migrate-from-twilio.md": Recipe(
        {"user-42": "twilio-42"},
        {2: DEVICES},
        expected=("would register 2 devices", "registered 2 devices"),
    ),
    "docs/howto/monitor.md": Recipe(before={0: BEGUN}, furnished=False),
    "docs/howto/nothing-arrives.md": Recipe(
        {
            "comms_pushnotification_01h9krwprkeee8fzqspvwy6nq8": "$(heliogram push list --user user-42 --json"
            " | jq -r '.[0].id')"
        },
        expected=("1 accepted by APNs", "it is ready"),
    ),
    "docs/howto/personalise.md": Recipe({"80c1…": TOKEN}),
    "docs/howto/register-devices.md": Recipe(
        LONG | {"user-42": "new-42", "5F0E3B8C-…": "5F0E3B8C-1D9A-4C57-8E2B-7A6F90D1C3B4"}
    ),
    "docs/howto/rotate-keys.md": Recipe(
        {
            "comms_credential_01…": "$CREDENTIAL",
            "AuthKey_NEW1234567": "AuthKey_$NEW",
            "key_01…": "$ID",
            "webhook_01…": "$WEBHOOK",
            "/var/lib/heliogram": "./copy",
        },
        {
            0: FIRST_AND_SECOND + TO_ROTATE + "NEW=$(jq -r .keyId second.json); cp second.p8 AuthKey_$NEW.p8",
            1: "ID=$(heliogram api-keys create --name old | awk '{print $2; exit}')",
            2: "WEBHOOK=$(heliogram webhooks create https://hooks.example.com/heliogram --json | jq -r .id)",
            3: COPY,
        },
    ),
    "docs/howto/run-the-service.md": Recipe(
        HERE
        | LONG
        | {
            "key_01…": "$ID",
            "comms_pushnotificationuser_01…": '\'"$(curl -u "$KEY" http://127.0.0.1:8080/v1/PushNotifications/Users |'
            " jq -r '.users[0].id')\"'",
            "name shop-backend ": "name shop-backend | tee key ",
        },
        {
            1: "ID=$(heliogram api-keys create --data ./data --name old | awk '{print $2; exit}')",
            2: "KEY=$(awk '{print $2}' key | paste -sd:)\n" + NEW_KEY,
            3: "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out chain.pem -subj /CN=push.example.com",
        },
        furnished=False,
    ),
    "docs/howto/schedule-and-cancel.md": Recipe(
        {
            "2026-03-19T09:30:00+01:00": TOMORROW,
            "comms_pushnotification_...": "$NOTIFICATION",
            "comms_operation_...": "$OPERATION",
        },
        {
            1: "OPERATION=$(heliogram operations list --json | jq -r '.[0].id')\n"
            "NOTIFICATION=$(heliogram push list --json | jq -r '.[0].id')",
            2: 'echo \'{"to": [{"externalId": "ann"}], "content": {"body": "It has left"}}\' > send.json',
        },
    ),
    "docs/howto/send-without-the-service.md": Recipe(
        {
            f"--token {TOKEN}": "--token $(cat ../../token-ann)",
            f'"{TOKEN}"': 'pathlib.Path("../../token-ann").read_text()',
        },
        {
            0: CERTIFICATE,
            1: "import pathlib\n",
            2: SIGNER + f'device_token, notification, tokens = "{TOKEN[:-1]}f", Notification(alert="Hi"), []\n',
            3: SIGNER + OF_CERTIFICATE,
            4: SIGNER,
        },
    ),
    "docs/howto/test-in-ci.md": Recipe(furnished=False, expected=("accepted by APNs",)),
    "docs/howto/test-with-the-simulator.md": Recipe(
        {"requests/17": "requests/1"}, {4: "echo secret > pw.txt"}, furnished=False
    ),
    "docs/howto/watch-the-engine.md": Recipe(before={1: SIGNER, 2: SIGNER}),
    "docs/howto/webhooks.md": Recipe(
        {"webhook_01…": "$WEBHOOK"},
        {2: "WEBHOOK=$(curl -u \"$KEY\" http://127.0.0.1:8080/v1/Webhooks | jq -r '.webhooks[0].id')"},
        after=RECEIVED,
        expected=("told you {'seen': 1}", "answers 204 400"),
    ),
    "docs/howto/what-the-phone-shows.md": Recipe(),
}

_CLUSTER = "several machines with PostgreSQL and NATS: tests/cluster/test_workers.py starts such nodes as processes"
_MOVED = "needs a PostgreSQL of its own: tests/cli/test_migrate_store.py gives the same command"
_TUTORIAL = "run with its own ways of typing by tests/docs/test_tutorials.py"
_REMOTE = "run against a service by tests/docs/test_remote_howtos.py"
NOT_RUN: dict[tuple[str, int], str] = {
    ("CONTRIBUTING.md", 0): "the checks themselves, of which this is one",
    ("README.md", 0): "tests/e2e/test_demo.py runs the demo; the other is the checks, of which this is one",
    ("clients/swift/README.md", 0): "tests/clients/test_swift.py runs them where there is a Swift",
    ("docs/howto/migrate-from-onesignal.md", 1): "asks OneSignal for an export",
    ("docs/howto/dashboard.md", 1): "ssh to another machine",
    ("docs/howto/move-to-postgresql.md", 2): "stops the service of this machine; see tests/cli/test_migrate_store.py",
    ("docs/howto/test-with-pytest.md", 0): "tests/docs/test_client_examples.py runs it in a project of its own",
    **{("docs/howto/move-to-postgresql.md", number): _MOVED for number in (0, 1, 3)},
    **{("docs/howto/several-nodes.md", number): _CLUSTER for number in (0, 1)},
    **{("docs/tutorial/first-push.md", number): _TUTORIAL for number in range(14)},
    **{("docs/tutorial/your-iphone.md", number): _TUTORIAL for number in range(4)},
    **{("docs/howto/command-line.md", number): _REMOTE for number in range(6)},
    **{("docs/howto/python-client.md", number): _REMOTE for number in range(2)},
}
