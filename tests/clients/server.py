"""A Millrace for clients: `millrace serve` with its own data, certificate, keys, entities and ports."""

import base64
import http.client
import json
import pathlib
import secrets
import select
import signal
import socket
import subprocess
import time
import tomllib

from children import die_with_parent, hold_ports

START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 60
TRANSPORTS = ("amqp", "tls", "websocket")
ENTITIES = pathlib.Path(__file__).resolve().parent / "entities.toml"


def make_certificates(folder):
    """ca.pem and, signed by it, server.pem with server.key for 127.0.0.1 and localhost."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test CA",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    (folder / "extensions").write_text(
        "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
        "subjectAltName=DNS:localhost,IP:127.0.0.1\n", encoding="ascii")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-out", "server.pem", "-days", "2", "-extfile", "extensions")


def entities(transports):
    """entities.toml as the text of a configuration: every entity once for each of the transports."""
    lines = []
    for kind, groups in tomllib.loads(ENTITIES.read_text(encoding="utf-8")).items():
        for group in groups:
            for name in group.pop("names"):
                for transport in transports:
                    lines += table(kind, name, transport, group)
    return "\n".join(lines) + "\n"


def table(kind, name, transport, options):
    settings = dict(options)
    if kind == "subscriptions":
        topic, name = name.split("/")
        settings |= {"topic": f"{topic}-{transport}", "name": name}
    else:
        settings["name"] = f"{name}-{transport}"
    return [f"[[{kind}]]", *(f"{key} = {json.dumps(value)}" for key, value in settings.items())]


class Server:
    """One server. `with_keys=False`: everyone may do everything, as on a developer's machine."""

    def __init__(self, binary, folder, with_keys=True, more="", options=(), transports=TRANSPORTS):
        self.binary, self.folder, self.options = binary, folder, list(options)
        self.process = None
        folder.mkdir(parents=True)
        make_certificates(folder)
        self.held_ports, numbers = hold_ports(4)
        self.ports = dict(zip(("http", "https", "amqp", "amqps"), numbers))
        self.keys = {}
        settings = [
            "[server]", f'data_dir = {json.dumps(str(folder / "data"))}',
            f'tls_certificate = {json.dumps(str(folder / "server.pem"))}',
            f'tls_key = {json.dumps(str(folder / "server.key"))}',
            f'listen = "127.0.0.1:{self.ports["http"]}"', f'https_listen = "127.0.0.1:{self.ports["https"]}"',
            f'amqp_listen = "127.0.0.1:{self.ports["amqp"]}"',
            f'amqps_listen = "127.0.0.1:{self.ports["amqps"]}"',
        ]
        if with_keys:
            settings.append(f"access_keys_file = {json.dumps(str(self.write_keys()))}")
        text = "\n".join(settings) + "\n" + entities(transports) + more
        (folder / "millrace.toml").write_text(text, encoding="utf-8")

    def write_keys(self):
        rights = {"RootManageSharedAccessKey": "Send,Listen,Manage", "sender": "Send", "listener": "Listen"}
        rights |= {f"one-entity-{name}": f"Send,Listen one-entity-{name}" for name in TRANSPORTS}
        self.keys = {name: base64.b64encode(secrets.token_bytes(32)).decode() for name in rights}
        path = self.folder / "access-keys"
        path.write_text("".join(f"{name} {self.keys[name]} {right}\n" for name, right in rights.items()))
        path.chmod(0o600)
        return path

    def start(self):
        """Returns when the server is ready; raises RuntimeError with the end of its log if it is not."""
        with open(self.folder / "serve.log", "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "serve", "--config", self.folder / "millrace.toml", *self.options],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent)
        end = time.monotonic() + START_SECONDS_MAX
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the server did not become ready:\n{self.log_end()}")
            select.select([], [], [], 0.02)

    def ready(self):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.ports["http"], timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status != 200:
                return False
            for name in ("amqp", "amqps"):
                socket.create_connection(("127.0.0.1", self.ports[name]), timeout=5).close()
            return True
        except OSError:
            return False

    def kill(self):
        """As a crash does."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """As an operator does; returns the exit code: 0 for a clean end."""
        if not self.process:
            return 0
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            return -1

    def log_end(self):
        return (self.folder / "serve.log").read_text(encoding="utf-8", errors="replace")[-6000:]

    def connection_string(self, port, more=""):
        key = self.keys.get("RootManageSharedAccessKey", "not-asked-for")
        return (f"Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName=RootManageSharedAccessKey;"
                f"SharedAccessKey={key};{more}")

    def environment(self, amqp_port=None):
        """What the suites are told; see tests/clients/js/support/servicebus.js."""
        amqp_port = amqp_port or self.ports["amqp"]
        return {
            "MILLRACE_CONNECTION_STRING": self.connection_string(amqp_port, "UseDevelopmentEmulator=true;"),
            "MILLRACE_TLS_CONNECTION_STRING": self.connection_string(self.ports["amqps"]),
            "MILLRACE_URL": f"http://127.0.0.1:{self.ports['http']}",
            "MILLRACE_HTTPS": f"https://127.0.0.1:{self.ports['https']}",
            "MILLRACE_AMQP_PORT": str(amqp_port),
            "MILLRACE_AMQPS_PORT": str(self.ports["amqps"]),
            "MILLRACE_ACCESS_KEYS": json.dumps(self.keys),
            "MILLRACE_SAS_KEY": self.keys.get("RootManageSharedAccessKey", ""),
            "MILLRACE_CA": str(self.folder / "ca.pem"),
            "NODE_EXTRA_CA_CERTS": str(self.folder / "ca.pem"),
        }
