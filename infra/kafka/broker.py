"""Apache Kafka on this machine, from Maven Central: for `make kafka`, and for the tests that want a real one.

In come a port and a folder (free and temporary ones where none are given); out comes the address, once the broker
answers. Needs Java 17 and Maven; the jars (43 MB) are copied once into a cache outside the tree. One node in KRaft mode, or
a cluster of several (`--brokers 3`), without passwords, on 127.0.0.1 only: not for production.
"""

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

POM = Path(__file__).with_name("pom.xml")
CLUSTER = "cHJvemVzcy1kZXYtMDAwMQ"
START_S = 60.0
_DOWNLOAD_S = 600.0
_LOG4J = """
appenders=out
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d %p %c %m%n
rootLogger.level=WARN
rootLogger.appenderRefs=out
rootLogger.appenderRef.out.ref=out
"""
_PROPERTIES = """
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{also}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{also}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL
log.dirs={folder}/logs
offsets.topic.replication.factor={copies}
offsets.topic.num.partitions=1
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=2097152
{more}
"""


class CannotStart(Exception):
    """No broker here; the message says why."""


def version() -> str:
    """The version of Apache Kafka in the pom."""
    found = ET.parse(POM).find(".//{*}kafka.version")
    if found is None or not found.text:
        raise CannotStart(f"{POM} names no kafka.version")
    return found.text


def missing() -> str:
    """What this machine lacks to start a broker; empty when nothing."""
    lacking = [program for program in ("java", "mvn") if shutil.which(program) is None]
    if _cached() and "mvn" in lacking:
        lacking.remove("mvn")
    return f"{' and '.join(lacking)} not found" if lacking else ""


def jars() -> Path:
    """The folder with the jars, filled from Maven Central the first time. Raises `CannotStart`."""
    folder = _folder()
    if _cached():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix="kafka-", dir=folder.parent))
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={draft}", "-DincludeScope=runtime"]
    try:
        subprocess.run(["mvn", "-q", "-B", "-f", str(POM), *goal], check=True, capture_output=True, text=True, timeout=_DOWNLOAD_S)
    except subprocess.CalledProcessError as failed:
        shutil.rmtree(draft)
        raise CannotStart(f"Maven could not fetch Apache Kafka: {(failed.stdout + failed.stderr).strip()[-500:]}") from None
    except subprocess.TimeoutExpired:
        shutil.rmtree(draft)
        raise CannotStart(f"Maven did not fetch Apache Kafka in {_DOWNLOAD_S:g} s") from None
    with contextlib.suppress(OSError):  # somebody else was faster
        draft.rename(folder)
    shutil.rmtree(draft, ignore_errors=True)
    return folder


class LocalBroker:
    """A running broker; `stop` ends it by its process id and leaves the folder."""

    def __init__(self, folder: Path, port: int = 0, also: str = "", more: str = "") -> None:
        self.folder = folder
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.node, self.copies = 1, 1
        self.controller = free_port()
        self.voters = ""
        self._also = f",{also}" if also else ""
        self._more = more
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def vote(self) -> str:
        """This node in `controller.quorum.voters`."""
        return f"{self.node}@127.0.0.1:{self.controller}"

    def start(self) -> None:
        """Format the folder the first time, start, wait until it answers. Raises `CannotStart`."""
        self.launch()
        self.wait_until_it_answers()

    def launch(self) -> None:
        """Format the folder the first time and start. Raises `CannotStart`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        properties = self.folder / "server.properties"
        (self.folder / "log4j2.properties").write_text(_LOG4J)
        if not properties.exists():
            chosen = {"port": self.port, "controller": self.controller, "folder": self.folder, "also": self._also, "more": self._more}
            quorum = {"node": self.node, "voters": self.voters or self.vote, "copies": self.copies}
            properties.write_text(_PROPERTIES.format(**chosen, **quorum))
            formatted = self._java("kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(properties))
            if formatted.wait(START_S):
                raise CannotStart(f"the broker's folder could not be formatted: {self._last_words()}")
        self._process = self._java("kafka.Kafka", str(properties))

    def wait_until_it_answers(self) -> None:
        """Raises `CannotStart` where it ends, or takes too long."""
        deadline = time.monotonic() + START_S
        while not _listens(self.port):
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise CannotStart(f"the broker did not start: {self._last_words()}")
            time.sleep(0.05)

    @property
    def runs(self) -> bool:
        """Whether it is there."""
        return self._process is not None and self._process.poll() is None

    def wait(self) -> int:
        """Until it ends; its exit code."""
        return 0 if self._process is None else self._process.wait()

    def tell(self, which: signal.Signals) -> None:
        """Tell the process something: to halt, to go on."""
        if self._process is not None:
            self._process.send_signal(which)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it. Safe to call twice."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(how)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _java(self, main: str, *arguments: str) -> subprocess.Popen[bytes]:
        options = ["-Xmx512m", "-Xms256m", "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}"]
        with (self.folder / "broker.log").open("ab") as log:
            return subprocess.Popen(["java", *options, "-cp", f"{jars()}/*", main, *arguments], stdout=log, stderr=log)

    def _last_words(self) -> str:
        return (self.folder / "broker.log").read_text(errors="replace").strip()[-500:]


class LocalCluster:
    """Several brokers, each a controller as well, with copies of everything on up to three of them."""

    def __init__(self, folder: Path, count: int, port: int = 0) -> None:
        self.brokers = [LocalBroker(folder / f"broker-{node}", port + node - 1 if port else 0) for node in range(1, count + 1)]
        self.address = ",".join(broker.address for broker in self.brokers)
        for node, broker in enumerate(self.brokers, 1):
            broker.node, broker.copies = node, min(count, 3)
        for broker in self.brokers:
            broker.voters = ",".join(other.vote for other in self.brokers)

    def start(self) -> None:
        """Start all, wait until all answer. Raises `CannotStart`."""
        for broker in self.brokers:
            broker.launch()
        for broker in self.brokers:
            broker.wait_until_it_answers()

    def wait(self) -> int:
        """Until the last has ended; the worst exit code."""
        return max(broker.wait() for broker in self.brokers)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End all. Safe to call twice."""
        for broker in self.brokers:
            broker.tell(how)
        for broker in self.brokers:
            broker.stop(how)


@contextlib.contextmanager
def running_cluster(count: int = 3) -> Iterator[LocalCluster]:
    """Brokers with empty temporary folders, ended and removed at the end. Raises `CannotStart`."""
    folder = Path(tempfile.mkdtemp(prefix="prozess-kafka-"))
    cluster = LocalCluster(folder, count)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop(signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def running(also: str = "", more: str = "") -> Iterator[LocalBroker]:
    """A broker with an empty temporary folder, ended and removed at the end. Raises `CannotStart`.

    `also` is another listener (`NAME://host:port`), `more` are further lines of its properties.
    """
    folder = Path(tempfile.mkdtemp(prefix="prozess-kafka-"))
    broker = LocalBroker(folder, also=also, more=more)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop(signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "prozess" / f"kafka-{version()}"


def _cached() -> bool:
    return any(_folder().glob("kafka_*.jar"))


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def main() -> int:
    """Run a broker in the foreground until it is told to end."""
    parser = argparse.ArgumentParser(description="Apache Kafka in the foreground, for development.")
    parser.add_argument("--port", type=int, default=int(os.environ.get("KAFKA_PORT", "9092")), help="port on 127.0.0.1 (KAFKA_PORT)")
    parser.add_argument("--folder", type=Path, default=Path("data/kafka"), help="where its data stay")
    parser.add_argument("--brokers", type=int, default=1, choices=range(1, 10), metavar="N", help="how many, on ports from --port on")
    chosen = parser.parse_args()
    if lacking := missing():
        print(f"Apache Kafka cannot start here: {lacking}", file=sys.stderr)
        return 2
    folder: Path = chosen.folder.resolve()
    broker = LocalBroker(folder, chosen.port) if chosen.brokers == 1 else LocalCluster(folder, chosen.brokers, chosen.port)
    try:
        broker.start()
        print(f"Apache Kafka {version()} answers at {broker.address}, data in {folder}; Ctrl-C ends it", flush=True)
        return broker.wait()
    except CannotStart as wrong:
        print(wrong, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    finally:
        broker.stop()


if __name__ == "__main__":
    sys.exit(main())
