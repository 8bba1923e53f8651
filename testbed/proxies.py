"""The proxies of `deploy/proxy/`, started with their own files on ports of a test."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from testbed.processes import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

FILES: Final = ROOT / "deploy" / "proxy"
_STOPS_WITHIN: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where a proxy listens, and where the two replicas do."""

    public: int
    operators: int
    replicas: tuple[int, int]
    operators_of_replicas: tuple[int, int]

    def replace_in(self, text: str) -> str:
        """Return a file of `deploy/proxy/` with these ports instead of those that it names."""
        named = ("8443", "8444", "8080", "8090", "8081", "8091")
        ours = (self.public, self.operators, *self.replicas, *self.operators_of_replicas)
        new = dict(zip(named, map(str, ours), strict=True))
        # What a comment names is replaced as well, which does no harm.
        return re.sub("|".join(named), lambda match: new[match.group()], text)


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A certificate for localhost with its key: one after the other in `both`."""

    certificate: Path
    key: Path
    both: Path


def make_certificate(folder: Path) -> Certificate:
    """Make a certificate for localhost that signs itself."""
    made = Certificate(certificate=folder / "c.pem", key=folder / "k.pem", both=folder / "ck.pem")
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "2"]
    files = ["-out", str(made.certificate), "-keyout", str(made.key)]
    subprocess.run(
        ["openssl", "req", "-x509", *curve, *subject, *files], check=True, capture_output=True
    )
    made.both.write_text(made.certificate.read_text() + made.key.read_text())
    return made


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """A program, the file that it gets, and how the two are put together."""

    name: str
    program: str
    file: str
    arrange: Callable[[str, Certificate, Path], str]
    arguments: Callable[[Path, Path], Sequence[str]]
    # Whether clients notice nothing, on a busy machine too, when a replica is restarted at once.
    hides_restarts: bool = True
    # Whether it asks a replica if it is ready. Else a replica that starts answers clients with 503,
    # and they repeat the request after `Retry-After`.
    asks_if_ready: bool = True

    def find(self) -> str | None:
        """Return the path of the program, or None if it is not installed."""
        beside = Path(sys.executable).with_name(self.program)
        return str(beside) if beside.exists() else shutil.which(self.program, path=_SEARCHED)

    @contextmanager
    def running(self, ports: Ports, certificate: Certificate, folder: Path) -> Iterator[int]:
        """Run it with its file until the end of the block; yields its process id."""
        program = self.find()
        assert program is not None
        config = folder / self.file
        text = self.arrange((FILES / self.file).read_text(), certificate, folder)
        config.write_text(ports.replace_in(text))
        with (folder / f"{self.name}.log").open("ab") as log:
            child = subprocess.Popen(
                [program, *self.arguments(config, folder)], cwd=folder, stdout=log, stderr=log
            )
            try:
                yield child.pid
            finally:
                child.terminate()
                child.wait(_STOPS_WITHIN)


_SEARCHED: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _arrange_nginx(text: str, certificate: Certificate, folder: Path) -> str:
    text = text.replace("/etc/nginx/tokensvc.crt", str(certificate.certificate))
    text = text.replace("/etc/nginx/tokensvc.key", str(certificate.key))
    folders = "".join(
        f"{name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"daemon off; pid {folder}/nginx.pid; error_log stderr;\n"
        "events { worker_connections 1024; }\n"
        f"http {{\naccess_log off;\n{folders}{text}\n}}\n"
    )


def _arrange_caddy(text: str, certificate: Certificate, folder: Path) -> str:  # noqa: ARG001
    """In the file it gets certificates by itself, and listens on the port of https."""
    tls = f"tls {certificate.certificate} {certificate.key}\n"
    for name, port in (("admin.tokens.example.com", "8444"), ("tokens.example.com", "8443")):
        text = text.replace(f"{name} {{", f"https://localhost:{port} {{\n{tls}")
    return text.replace("{\n", "{\nadmin off\nauto_https disable_redirects\n", 1)


def _arrange_envoy(text: str, certificate: Certificate, folder: Path) -> str:  # noqa: ARG001
    text = text.replace("/etc/envoy/tokensvc.crt", str(certificate.certificate))
    return text.replace("/etc/envoy/tokensvc.key", str(certificate.key))


def _arrange_haproxy(text: str, certificate: Certificate, folder: Path) -> str:  # noqa: ARG001
    return text.replace("/etc/haproxy/tokensvc.pem", str(certificate.both))


PROXIES: Final = (
    Proxy(
        name="haproxy",
        program="haproxy",
        file="haproxy.cfg",
        arrange=_arrange_haproxy,
        arguments=lambda config, _: ("-f", str(config)),
    ),
    Proxy(
        name="nginx",
        program="nginx",
        file="nginx.conf",
        arrange=_arrange_nginx,
        arguments=lambda config, folder: ("-p", str(folder), "-c", str(config)),
        asks_if_ready=False,
    ),
    Proxy(
        name="envoy",
        program="envoy",
        file="envoy.yaml",
        arrange=_arrange_envoy,
        arguments=lambda config, _: ("-c", str(config), "--concurrency", "1", "-l", "warning"),
        hides_restarts=False,
    ),
    Proxy(
        name="caddy",
        program="caddy",
        file="Caddyfile",
        arrange=_arrange_caddy,
        arguments=lambda config, _: ("run", "--adapter", "caddyfile", "--config", str(config)),
    ),
)
