"""`heliogram send` with a certificate, with a password, and through a proxy, against a scripted APNs over real TLS."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, load_pem_private_key, pkcs12
from cryptography.x509.oid import NameOID
from support.apns_server import ApnsServer, header, hold
from support.peers import missing
from support.programs import HELIOGRAM
from support.proxies import HttpProxy
from support.tls import Authority

from heliogram.cli.root import cli

pytestmark = pytest.mark.anyio

BUNDLE = "com.example.app"
PASSWORD = "open sesame"
PUSH = ["--token", "ab" * 32, "--title", "Hi"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(Path(tmp_path_factory.mktemp("tls")))


@pytest.fixture
async def server(anyio_backend: str, authority: Authority) -> AsyncIterator[ApnsServer]:
    async with ApnsServer(authority.server_context()) as server:
        yield server


@pytest.fixture
def place(server: ApnsServer, authority: Authority) -> list[str]:
    return ["--endpoint", server.endpoint, "--cacert", str(authority.cafile)]


@pytest.fixture
def pair(authority: Authority) -> tuple[bytes, bytes]:
    """A push certificate for one app and its key, PEM."""
    return authority.issue([(NameOID.USER_ID, BUNDLE)], [])


@pytest.fixture
def sealed(pair: tuple[bytes, bytes], tmp_path: Path) -> Path:
    """The same as a PKCS#12 file with a password."""
    certificate, key = x509.load_pem_x509_certificate(pair[0]), load_pem_private_key(pair[1], None)
    seal = BestAvailableEncryption(PASSWORD.encode())
    file = tmp_path / "push.p12"
    file.write_bytes(pkcs12.serialize_key_and_certificates(b"push", key, certificate, None, seal))  # type: ignore[arg-type]
    return file


async def send(*words: str, env: dict[str, str] | None = None) -> Result:
    """Run the command beside the server's event loop."""
    return await asyncio.to_thread(CliRunner().invoke, cli, ["send", *words], env=env)


def shown(server: ApnsServer) -> object:
    """The subject of the certificate that the client presented."""
    return server.peers[0].transport.get_extra_info("peercert")["subject"]


async def test_a_pem_pair(server: ApnsServer, place: list[str], pair: tuple[bytes, bytes], tmp_path: Path) -> None:
    """Certificate and key in two files; the topic is the certificate's own, and no token is sent (CERT-5)."""
    (tmp_path / "push.pem").write_bytes(pair[0])
    (tmp_path / "push.key").write_bytes(pair[1])
    words = ["--certificate", str(tmp_path / "push.pem"), "--certificate-key", str(tmp_path / "push.key")]
    done = await send(*place, *words, *PUSH)
    assert done.exit_code == 0, done.stderr
    assert shown(server) == ((("userId", BUNDLE),),)
    assert header(server.requests[0], b"apns-topic") == BUNDLE.encode()
    assert b"authorization" not in dict(server.requests[0].headers)


async def test_a_pem_file_with_both(
    server: ApnsServer, place: list[str], pair: tuple[bytes, bytes], tmp_path: Path
) -> None:
    """Without --certificate-key the key is looked for beside the certificate."""
    both = tmp_path / "push.pem"
    both.write_bytes(b"".join(pair))
    assert (await send(*place, "--certificate", str(both), *PUSH)).exit_code == 0
    both.write_bytes(pair[0])
    done = await send(*place, "--certificate", str(both), *PUSH)
    assert (done.exit_code, "private_key: no PRIVATE KEY block" in done.stderr) == (2, True)


@pytest.mark.parametrize("ending", ["", "\n", "\r\nsecond line"])
async def test_pkcs12_with_a_password_file(
    server: ApnsServer, place: list[str], sealed: Path, tmp_path: Path, ending: str
) -> None:
    """The first line is the password, without its line break."""
    (tmp_path / "password").write_text(PASSWORD + ending, newline="")
    done = await send(*place, "--pkcs12", str(sealed), "--password-file", str(tmp_path / "password"), *PUSH)
    assert done.exit_code == 0, done.stderr
    assert shown(server) == ((("userId", BUNDLE),),)


def type_in(command: list[str], answer: str) -> tuple[int, str]:
    """Run a command in a terminal of its own and answer its first question; its exit code and all it said."""
    try:
        terminal, stdin = pty.openpty()
    except OSError:  # as in a bare chroot
        missing("no terminal can be made here: mount -t devpts devpts /dev/pts")
    try:
        child = subprocess.Popen(
            command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
        with child:
            assert child.stdout is not None
            said = b""
            while not said.endswith(b": "):  # what is typed before the question is thrown away
                one = child.stdout.read(1)
                assert one, said
                said += one
            os.write(terminal, f"{answer}\n".encode())
            said += child.stdout.read()
        return child.returncode, said.decode()
    finally:
        os.close(terminal)
        os.close(stdin)


async def test_pkcs12_asks_in_a_terminal(server: ApnsServer, place: list[str], sealed: Path) -> None:
    """The password is typed, and neither shown nor an argument."""
    command = [*HELIOGRAM, "send", *place, "--pkcs12", str(sealed), *PUSH]
    code, said = await asyncio.to_thread(type_in, command, PASSWORD)
    assert code == 0, said
    assert "Password of push.p12" in said
    assert PASSWORD not in said


async def test_pkcs12_without_a_terminal(place: list[str], sealed: Path, tmp_path: Path) -> None:
    """Where nobody can be asked, the option is named; a wrong password is told without quoting it."""
    done = await send(*place, "--pkcs12", str(sealed), *PUSH)
    assert (done.exit_code, "give --password-file FILE" in done.stderr) == (2, True)
    (tmp_path / "password").write_text("abracadabra")
    done = await send(*place, "--pkcs12", str(sealed), "--password-file", str(tmp_path / "password"), *PUSH)
    assert (done.exit_code, "password: wrong" in done.stderr) == (2, True)
    assert "abracadabra" not in done.stderr


@pytest.mark.parametrize("by", ["option", "variable"])
async def test_a_proxy(server: ApnsServer, place: list[str], sealed: Path, tmp_path: Path, by: str) -> None:
    """The push goes through it, with a URL from the command line or from HELIOGRAM_PROXY."""
    (tmp_path / "password").write_text(PASSWORD)
    words = [*place, "--pkcs12", str(sealed), "--password-file", str(tmp_path / "password"), *PUSH]
    async with HttpProxy() as proxy:
        if by == "option":
            done = await send(*words, "--proxy", proxy.url())
        else:
            done = await send(*words, env={"HELIOGRAM_PROXY": proxy.url()})
    assert done.exit_code == 0, done.stderr
    assert len(server.requests) == 1
    assert proxy.targets == [server.endpoint]


@pytest.mark.parametrize("piped", [True, False])
async def test_a_list_as_windows_writes_it(
    server: ApnsServer, place: list[str], pair: tuple[bytes, bytes], tmp_path: Path, piped: bool
) -> None:
    """A byte order mark and CRLF are none of a token; a line that is no text is told as one that is no token."""
    (tmp_path / "push.pem").write_bytes(b"".join(pair))
    text = b"\xef\xbb\xbf" + b"ab" * 32 + b"\r\n\r\n" + b"cd" * 32 + b" # mine\r\n\xff\xfe\r\n"
    (tmp_path / "tokens.txt").write_bytes(text)
    source = "-" if piped else str(tmp_path / "tokens.txt")
    words = [*HELIOGRAM, "send", *place, "--certificate", str(tmp_path / "push.pem"), "--title", "Hi"]
    child = await asyncio.create_subprocess_exec(
        *words,
        *("--token-file", source),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
    )
    _, errors = await child.communicate(text)
    assert child.returncode == 2
    assert sorted(errors.decode().splitlines()[-1].split(", ")) == ["1 not sent", "2 accepted"]


class Trickle:
    """The command with its standard input in our hands."""

    def __init__(self, words: list[str]) -> None:
        self.words = words

    async def __aenter__(self) -> asyncio.subprocess.Process:
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.child = await asyncio.create_subprocess_exec(*self.words, **options)  # type: ignore[arg-type]
        return self.child

    async def __aexit__(self, *_: object) -> None:
        if self.child.returncode is None:
            self.child.kill()
        await self.child.communicate()


@pytest.fixture
def trickle(place: list[str], pair: tuple[bytes, bytes], tmp_path: Path) -> Trickle:
    (tmp_path / "push.pem").write_bytes(b"".join(pair))
    credential = ["--certificate", str(tmp_path / "push.pem"), "--title", "Hi"]
    return Trickle([*HELIOGRAM, "send", *place, *credential, "--token", "ef" * 32, "--token-file", "-"])


async def test_each_line_of_a_pipe_is_sent_as_it_comes(server: ApnsServer, trickle: Trickle) -> None:
    """A push goes out, and its outcome is told, before the next line is there, and before the first one too."""
    async with trickle as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert (await child.stdout.readline()).startswith(b"ef" * 32 + b": accepted")
        for number, start in enumerate((b"\xef\xbb\xbf", b"# a comment\r\n")):
            token = b"%064x" % number
            child.stdin.write(start + token + b" # mine\r\n" + b"half of the next ")
            assert (await child.stdout.readline()).startswith(token + b": accepted")
            child.stdin.write(b"line, which is no token\n")
        child.stdin.write(b"cd" * 32)  # without an end
        child.stdin.close()
        out, errors = await child.communicate()
    assert out.startswith(b"cd" * 32 + b": accepted")
    assert sorted(errors.decode().splitlines()[-1].split(", ")) == ["2 not sent", "4 accepted"]
    assert child.returncode == 2


async def test_a_line_without_end_is_not_kept(trickle: Trickle) -> None:
    """A line of more than 65,536 characters ends it, with the line's number; memory stays bounded."""
    async with trickle as child:
        out, errors = await child.communicate(b"ab" * 32 + b"\n" + b"x" * 200_000)
    assert child.returncode == 2
    assert out.count(b"accepted") == 2
    assert b"--token-file: line 2 has more than 65536 characters" in errors


async def test_interrupted_while_nothing_comes(server: ApnsServer, trickle: Trickle) -> None:
    """Ctrl-C ends it at once, though the pipe stays open."""
    async with trickle as child:
        assert child.stdout is not None
        await child.stdout.readline()
        child.send_signal(signal.SIGINT)
        assert child.stderr is not None
        assert (await child.stderr.read()).startswith(b"interrupted after 1 accepted; ")
        assert await child.wait() == 2


async def test_a_named_pipe(server: ApnsServer, place: list[str], pair: tuple[bytes, bytes], tmp_path: Path) -> None:
    """It is read as it comes too, whatever its name."""
    (tmp_path / "push.pem").write_bytes(b"".join(pair))
    os.mkfifo(tmp_path / "pipe")
    words = ["--certificate", str(tmp_path / "push.pem"), "--title", "Hi", "--token-file", str(tmp_path / "pipe")]
    sent = asyncio.create_task(send(*place, *words))
    pipe = await asyncio.to_thread(os.open, tmp_path / "pipe", os.O_WRONLY)
    os.write(pipe, b"ab" * 32 + b"\n")
    await server.received(1)
    os.close(pipe)
    assert (await sent).exit_code == 0


async def test_interrupted(server: ApnsServer, place: list[str], pair: tuple[bytes, bytes], tmp_path: Path) -> None:
    """Ctrl-C is not told as a rejection, exit code 1; what was on its way is mentioned."""
    (tmp_path / "push.pem").write_bytes(b"".join(pair))
    server.on_request = hold
    words = [*HELIOGRAM, "send", *place, "--certificate", str(tmp_path / "push.pem"), *PUSH]
    child = await asyncio.create_subprocess_exec(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    [request] = await server.received(1)
    child.send_signal(signal.SIGINT)
    server.peers[0].accept(request)
    server.peers[0].flush()
    _, errors = await child.communicate()
    assert child.returncode == 2, errors
    assert errors.decode().startswith("interrupted after no outcome; what was on its way may have been accepted")
