"""An object store of S3's kind on loopback, for whoever tests what lies in one."""

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from urllib.parse import urlsplit

import pytest

from tests.waiting import until

BUCKET = "data"


@dataclass(frozen=True)
class ObjectStore:
    """A running store with one bucket.

    Attributes:
        endpoint: Its address.
        bucket: Its bucket.
    """

    endpoint: str
    bucket: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which a process finds the store and may use it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "NO_PROXY": urlsplit(self.endpoint).hostname or "",
        }

    def url(self, key: str) -> str:
        """Return the URL of an object."""
        return f"s3://{self.bucket}/{key}"

    def put(self, key: str, content: bytes) -> str:
        """Store an object, and return its URL."""
        self._client.put_object(Bucket=self.bucket, Key=key, Body=content)
        return self.url(key)

    def content(self, key: str) -> bytes:
        """Return the content of an object."""
        return self._client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def remove(self, key: str) -> None:
        """Remove an object."""
        self._client.delete_object(Bucket=self.bucket, Key=key)

    def keys(self, prefix: str = "") -> list[str]:
        """Return the keys of all objects below a prefix."""
        found = self._client.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [each["Key"] for each in found.get("Contents", [])]

    def uploads(self) -> list[str]:
        """Return the keys of uploads that were begun and neither completed nor ended."""
        found = self._client.list_multipart_uploads(Bucket=self.bucket)
        return [each["Key"] for each in found.get("Uploads", [])]

    def create(self) -> None:
        """Make the bucket."""
        self._client.create_bucket(Bucket=self.bucket)

    def clear(self) -> None:
        """Remove all that is in the store, and let nobody remember a connection to it."""
        from s3fs import S3FileSystem

        self._post("/moto-api/reset")
        S3FileSystem.clear_instance_cache()

    @contextmanager
    def closed_to_all_but_one(self) -> Iterator[tuple[str, str]]:
        """Let only one user use the store meanwhile, whose key and secret this gives."""
        iam = self._client_of("iam")
        allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
        iam.create_user(UserName="owner")
        iam.put_user_policy(UserName="owner", PolicyName="all", PolicyDocument=json.dumps(allowed))
        made = iam.create_access_key(UserName="owner")["AccessKey"]
        self._post("/moto-api/reset-auth", b"0")
        try:
            yield made["AccessKeyId"], made["SecretAccessKey"]
        finally:
            self._post("/moto-api/reset-auth", b"inf")

    def _post(self, path: str, content: bytes = b"") -> None:
        with closing(http.client.HTTPConnection(urlsplit(self.endpoint).netloc)) as connection:
            connection.request("POST", path, content)
            connection.getresponse().read()

    @cached_property
    def _client(self):
        return self._client_of("s3")

    def _client_of(self, service: str):
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            region_name="us-east-1",
        )


@contextmanager
def running_store(address: str = "127.0.0.1") -> Iterator[ObjectStore]:
    """Run an empty store in a thread of this process, at one of the addresses of this machine."""
    import botocore.session
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address=address, port=0, verbose=False)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        # Each session reads descriptions of many megabytes: one reader does for those of all tests.
        patch.setattr(botocore.session, "create_loader", cache(botocore.session.create_loader))
        try:
            host, port = server.get_host_and_port()
            found = ObjectStore(endpoint=f"http://{host}:{port}", bucket=BUCKET)
            found.clear()  # all stores of a process share what is in them
            yield found
        finally:
            server.stop()


@contextmanager
def separate_store(address: str = "127.0.0.1") -> Iterator[ObjectStore]:
    """Run a store as a process of its own, with an empty bucket, which this process finds by its environment."""
    with socket.socket() as free:
        free.bind((address, 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", address, "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            with pytest.MonkeyPatch.context() as patch:
                until(lambda: _answers(address, port))
                store = ObjectStore(endpoint=f"http://{address}:{port}", bucket=BUCKET)
                for name, value in store.environment.items():
                    patch.setenv(name, value)
                store.create()
                yield store
        finally:
            server.terminate()


def _answers(address: str, port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((address, port)) == 0


def own_address() -> str:
    """Give the address at which pods reach this machine; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("203.0.113.1", 9))
        return str(probe.getsockname()[0])


@contextmanager
def fresh_store(running: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """Give a test the running store with an empty bucket, which this process finds by its environment."""
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    running.clear()  # of what a test left that had a store of its own
    running.create()
    yield running
    running.clear()
