"""HDFS and YARN in one JVM: Hadoop's own minicluster, driven over py4j."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyspark

from tests.clusters.jars import resolved, start_jvm, stop_jvm

PACKAGES = (
    "org.apache.hadoop:hadoop-client-minicluster:3.4.1",
    # What the minicluster uses and does not bring.
    "org.bouncycastle:bcpkix-jdk18on:1.78.1",
    "javax.xml.bind:jaxb-api:2.3.1",
    "com.sun.xml.bind:jaxb-impl:2.3.1",
    "com.sun.xml.bind:jaxb-core:2.3.0.1",
)
OF_SPARK = ("org.apache.hadoop:hadoop-client-api", "org.apache.hadoop:hadoop-client-runtime")

YARN = {
    "yarn.nodemanager.resource.memory-mb": "6144",
    "yarn.nodemanager.resource.cpu-vcores": "4",
    "yarn.nodemanager.pmem-check-enabled": "false",
    "yarn.nodemanager.vmem-check-enabled": "false",
    "yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage": "99.9",
    "yarn.nodemanager.delete.debug-delay-sec": "3600",  # containers' logs outlive their application
    "yarn.scheduler.minimum-allocation-mb": "256",
    "yarn.scheduler.capacity.root.queues": "default",
    "yarn.scheduler.capacity.root.default.capacity": "100",
    "yarn.scheduler.capacity.maximum-am-resource-percent": "1.0",
    "yarn.resourcemanager.am.max-attempts": "1",
}
NODES = 2
ADDRESSES = ("yarn.resourcemanager.address", "yarn.resourcemanager.scheduler.address")


@dataclass(frozen=True)
class HadoopCluster:
    """A running cluster.

    Attributes:
        configuration: the folder for HADOOP_CONF_DIR.
        hdfs: URL of the file system.
        logs: folder under which YARN keeps what containers print.
        options: options of spark-submit.sh for jobs on it.
    """

    configuration: Path
    hdfs: str
    logs: Path
    options: tuple[str, ...]
    _files: Any
    _path: Any

    def put(self, local: str, name: str) -> str:
        """Copies a local file into HDFS, below ``/input``.

        Returns:
            Its URL.
        """
        target = f"{self.hdfs}/input/{name}"
        self._files.copyFromLocalFile(False, True, self._path(f"file://{local}"), self._path(target))
        return target

    def printed(self) -> list[str]:
        """What each container wrote to stdout; that of a driver in cluster mode is all that it says."""
        outputs = self.logs.glob("target/**/application_*/container_*/stdout")
        return [output.read_text(encoding="utf-8", errors="replace") for output in outputs]

    def copy_to(self, path: str, local: Path) -> Path:
        """Copies a folder of HDFS to this machine, for readers that know no HDFS."""
        self._files.copyToLocalFile(False, self._path(path), self._path(local.as_uri()), True)
        return local


@contextmanager
def hadoop_cluster(folder: Path) -> Iterator[HadoopCluster]:
    """HDFS with one data node and YARN with two node managers, on loopback and free ports.

    Args:
        folder: for data, logs and the configuration.
    """
    classes = ":".join(resolved(PACKAGES, OF_SPARK))
    options = f"-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dyarn.log.dir={folder}"
    gateway = start_jvm(
        {
            "spark.driver.extraClassPath": classes,
            "spark.driver.extraJavaOptions": options,
            "spark.driver.memory": "1g",
        },
        cwd=folder,  # YARN keeps its files in a folder "target" below it
    )
    try:
        hadoop = gateway.jvm.org.apache.hadoop
        conf = _configuration(hadoop.conf.Configuration(), {"hadoop.tmp.dir": str(folder / "tmp")})
        place = gateway.jvm.java.io.File(str(folder / "dfs"))
        dfs = getattr(hadoop.hdfs, "MiniDFSCluster$Builder")(conf, place).numDataNodes(1).build()
        dfs.waitActive()
        hdfs = str(dfs.getURI().toString())
        yarn = hadoop.yarn.server.MiniYARNCluster("qarm", NODES, 1, 1)
        yarn.init(_configuration(hadoop.yarn.conf.YarnConfiguration(conf), {**YARN, "fs.defaultFS": hdfs}))
        yarn.start()
        assert yarn.waitForNodeManagersToConnect(60_000), "a node manager did not start"
        written = folder / "conf"
        written.mkdir()
        _write(written / "core-site.xml", {"fs.defaultFS": hdfs})
        _write(written / "yarn-site.xml", {name: str(yarn.getConfig().get(name)) for name in ADDRESSES})
        options = (
            "--master", "yarn", "--num-executors", "2", "--executor-memory", "1g", "--executor-cores", "1",
            # Not each time 400 MB of Spark's jars into HDFS and out of it again.
            "--conf", f"spark.yarn.jars=local:{Path(pyspark.__file__).parent}/jars/*",
        )  # fmt: skip
        yield HadoopCluster(written, hdfs, folder, options, dfs.getFileSystem(), hadoop.fs.Path)
        yarn.stop()
        dfs.shutdown()
    finally:
        stop_jvm(gateway)


def _configuration(conf: Any, values: Mapping[str, str]) -> Any:
    for name, value in values.items():
        conf.set(name, value)
    return conf


def _write(path: Path, values: Mapping[str, str]) -> None:
    """What a client of the cluster must know, as a file of Hadoop's configuration."""
    root = ElementTree.Element("configuration")
    for name, value in values.items():
        one = ElementTree.SubElement(root, "property")
        ElementTree.SubElement(one, "name").text = name
        ElementTree.SubElement(one, "value").text = value
    ElementTree.ElementTree(root).write(path)
