"""A private Kafka broker for tests: the real one, one node, out of Maven Central, on loopback and free ports.

Needs Java 17 and Maven (Debian: openjdk-17-jre-headless, maven). The jars are fetched once and kept in
``LASAIR_KAFKA_JARS``, else in the user's cache.

    python -m tests.support.kafka fetch      only fetch the jars
    python -m tests.support.kafka run        run a broker until Ctrl-C; prints its address
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

KAFKA = "4.3.1"
_LOG4J = "2.24.3"
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.7.1:copy-dependencies"
_START_S = 90.0
_STOP_S = 20.0
_FETCH_S = 600.0

#: A user that may do everything, by SCRAM-SHA-512 on `Broker.scram`.
USER, PASSWORD = "lasair-test", "loopback only"

# the broker's own POM names no backend for its log
_POM = f"""<project><modelVersion>4.0.0</modelVersion>
 <groupId>test</groupId><artifactId>kafka-jars</artifactId><version>1</version><packaging>pom</packaging>
 <dependencies>
  <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA}</version></dependency>
  <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>{_LOG4J}</version></dependency>
  <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-core</artifactId><version>{_LOG4J}</version></dependency>
 </dependencies></project>
"""

_LOGGING = """status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %c: %m%n
rootLogger.level = info
rootLogger.appenderRef.out.ref = out
"""


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if not found:
        raise FileNotFoundError(f"{name} is not installed; on Debian: apt-get install {package}")
    return found


def kafka_jars() -> Path:
    """The folder with the broker's jars, fetched with Maven when it is not there."""
    named = os.environ.get("LASAIR_KAFKA_JARS")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(named) if named else cache / "lasair" / f"kafka-{KAFKA}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return folder
        # complete or not there: a fetch that was broken off must not look like a good one
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="kafka-fetch-") as made:
            (Path(made) / "pom.xml").write_text(_POM)
            done = subprocess.run(
                [_program("mvn", "maven"), "-q", "-B", "-ntp", "-DoutputDirectory=lib", _COPY],
                cwd=made,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_FETCH_S,
            )
            if done.returncode:
                raise RuntimeError(f"Maven cannot fetch Kafka {KAFKA}:\n{done.stdout.decode(errors='replace')[-2000:]}")
            (Path(made) / "lib").rename(folder)
    return folder


def _free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


class Broker:
    """One node, broker and controller in one; keeps its ports and its data when it is started again.

    Listeners: `plain` asks nothing, `scram` asks for `USER` (SCRAM-SHA-512), `oauth` for an unsecured token
    (OAUTHBEARER). None is encrypted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        plain, scram, oauth, controller = _free_ports(4)
        self.plain, self.scram, self.oauth = (f"127.0.0.1:{port}" for port in (plain, scram, oauth))
        self._jars = kafka_jars()
        self._process: subprocess.Popen[bytes] | None = None
        login = "org.apache.kafka.common.security"
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"PLAIN://{self.plain},SCRAM://{self.scram},OAUTH://{self.oauth},"
            f"CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAIN://{self.plain},SCRAM://{self.scram},OAUTH://{self.oauth}",
            "listener.security.protocol.map": "PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT,SCRAM:SASL_PLAINTEXT,"
            "OAUTH:SASL_PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAIN",
            "listener.name.scram.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.scram.scram-sha-512.sasl.jaas.config": f"{login}.scram.ScramLoginModule required;",
            "listener.name.oauth.sasl.enabled.mechanisms": "OAUTHBEARER",
            "listener.name.oauth.oauthbearer.sasl.jaas.config": f"{login}.oauthbearer.OAuthBearerLoginModule required"
            ' unsecuredLoginStringClaim_sub="broker";',
            "log.dirs": folder / "data",
            "num.partitions": 2,
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 2,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            # a broker that was killed may come back after this
            "broker.session.timeout.ms": 2000,
            "broker.heartbeat.interval.ms": 500,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            "message.max.bytes": 10_000_000,
            "replica.fetch.max.bytes": 10_000_000,
            "auto.create.topics.enable": "false",
        }
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "broker.properties").write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        (folder / "log4j2.properties").write_text(_LOGGING)
        self._run_to_end(
            "kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", str(folder / "broker.properties"),
            "--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]",
        )  # fmt: skip

    def _java(self, *arguments: str) -> list[str]:
        return [
            _program("java", "openjdk-17-jre-headless"), "-Xms128m", "-Xmx256m", "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}",
            "-cp", f"{self._jars}/*", *arguments,
        ]  # fmt: skip

    def _run_to_end(self, *arguments: str) -> None:
        done = subprocess.run(
            self._java(*arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_START_S
        )
        if done.returncode:
            raise RuntimeError(f"{arguments[0]} failed:\n{done.stdout.decode(errors='replace')[-2000:]}")

    @property
    def log(self) -> Path:
        """What the broker says."""
        return self.folder / "log"

    def start(self) -> None:
        """Start it; returns when it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._java("kafka.Kafka", str(self.folder / "broker.properties")),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + _START_S
        while self._process.poll() is None and time.monotonic() < end:
            if self._answers():
                return
            time.sleep(0.2)
        self.kill()
        raise RuntimeError(f"the private Kafka did not start:\n{self.log.read_text(errors='replace')[-3000:]}")

    def _answers(self) -> bool:
        host, port = self.plain.split(":")
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) != 0:
                return False
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        try:
            found = AdminClient({"bootstrap.servers": self.plain, "log_level": 0}).list_topics(timeout=5)
        except KafkaException:
            return False
        return bool(found.brokers)

    def stop(self) -> None:
        """End it in good order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def create_topics(self, *names: str, partitions: int = 2) -> None:
        """Make topics, and wait until they are there."""
        from confluent_kafka.admin import AdminClient, NewTopic

        admin = AdminClient({"bootstrap.servers": self.plain})
        for done in admin.create_topics([NewTopic(one, partitions, 1) for one in names]).values():
            done.result(30)
        for _ in range(100):
            if set(names) <= set(admin.list_topics(timeout=10).topics):
                return
            time.sleep(0.05)

    def produce(
        self, topic: str, messages: Iterable[bytes | tuple[bytes | None, bytes]], *, partition: int = -1, **more: Any
    ) -> None:
        """Write messages, or (key, message), and wait until the broker has them."""
        from confluent_kafka import Producer

        failed: list[str] = []
        producer = Producer({"bootstrap.servers": self.plain, "message.max.bytes": 10_000_000, "linger.ms": 0})
        for one in messages:
            key, value = one if isinstance(one, tuple) else (None, one)
            producer.produce(
                topic,
                value,
                key,
                partition=partition,
                on_delivery=lambda err, _: failed.append(str(err)) if err else None,
                **more,
            )
            producer.poll(0)
        if producer.flush(30) or failed:
            raise RuntimeError(f"not written: {failed[:3]}")


def _cluster_id() -> str:
    import base64

    return base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()


@contextmanager
def private_broker() -> Iterator[Broker]:
    """A broker that ends with the block, and its folder with it."""
    with tempfile.TemporaryDirectory(prefix="lkafka") as folder:
        broker = Broker(Path(folder))
        try:
            broker.start()
            yield broker
        finally:
            broker.stop()


if __name__ == "__main__":
    if sys.argv[1:] == ["fetch"]:
        print(kafka_jars())
    elif sys.argv[1:] == ["run"]:
        with private_broker() as running:
            print(running.plain, flush=True)
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
    else:
        sys.exit(__doc__)
