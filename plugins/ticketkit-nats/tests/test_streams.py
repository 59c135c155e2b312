"""What is checked at start, and what is said of it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js import api
from nats.js.errors import APIError

from ticketkit.backends.errors import Misconfigured, Unavailable
from ticketkit.backends.findings import Severity
from ticketkit.backends.spec import BackendKind, Capability, Context
from ticketkit.events.envelope import Envelope
from ticketkit.testing.servers import Nats
from ticketkit.testing.servers.server import free_port
from ticketkit_nats import access, checks, faults, plugin
from ticketkit_nats.bus import NatsBus, open_bus
from ticketkit_nats.connection import OLDEST
from ticketkit_nats.settings import SETTINGS, Settings

pytestmark = pytest.mark.anyio
Make = Callable[..., Envelope]


@pytest.fixture
def plain() -> Callable[..., Any]:
    """A client of nats-py, for what others do on the server."""

    async def ask(url: str, work: Callable[[Any], Any]) -> Any:
        client = Client()
        await client.connect(url.partition("?")[0])
        try:
            return await work(client.jetstream())
        finally:
            await client.close()

    return ask


async def opened(url: str) -> None:
    async with open_bus(url, Context()):
        pass


async def test_streams_are_made_as_the_url_says(bus: NatsBus, nats_url: str, stream: str, plain: Any) -> None:
    url = f"{nats_url}?stream=x{stream}&prefix=p{stream}&keep=3600&retention=interest&dedup=60"
    await opened(url)
    found = await plain(url, lambda jetstream: jetstream.stream_info(f"x{stream}"))
    assert found.config.subjects == [f"p{stream}.>"]
    assert found.config.storage == api.StorageType.FILE
    assert found.config.retention == api.RetentionPolicy.INTEREST
    assert (found.config.max_age, found.config.duplicate_window, found.config.num_replicas) == (3600, 60, 1)
    dead = await plain(url, lambda jetstream: jetstream.stream_info(f"x{stream}-dead"))
    assert dead.config.subjects == [f"p{stream}-dead.>"]
    assert dead.config.max_age == 0


@pytest.mark.parametrize(
    ("made", "said", "mend"),
    [
        (
            {"subjects": ["{}.orders.>"]},
            "has the subjects {}.orders.>, not {}.>",
            "nats stream edit {} --subjects='{}.>'",
        ),
        ({"storage": "memory"}, "is stored in memory, not file", "stream=OTHER"),
        ({"retention": "workqueue"}, "has the retention workqueue, not limits", "nats stream rm {}"),
        ({"max_msgs_per_subject": 1}, "keeps of each subject 1, not -1", "--max-msgs-per-subject=-1"),
        ({"no_ack": True}, "has no_ack yes, not no", "nats stream edit {} --ack"),
    ],
)
async def test_a_stream_of_another_kind_is_told_with_what_mends_it_and_left_alone(
    url: str, stream: str, plain: Any, *, made: dict[str, Any], said: str, mend: str
) -> None:
    values = {"name": stream, "subjects": [f"{stream}.>"], **made}
    values["subjects"] = [subject.format(stream) for subject in values["subjects"]]
    before = await plain(url, lambda jetstream: jetstream.add_stream(**values))
    with pytest.raises(Misconfigured) as told:
        await opened(url + "&streams=update")
    assert said.format(stream, stream) in str(told.value)
    assert mend.format(stream, stream) in str(told.value)
    after = await plain(url, lambda jetstream: jetstream.stream_info(stream))
    assert after.config == before.config
    finding = next(one for one in await checks.check_streams(url) if one.severity is Severity.ERROR)
    assert said.format(stream, stream) in finding.what
    assert mend.format(stream, stream) in finding.mend


async def test_another_age_is_changed_only_when_the_url_says_update(
    url: str, stream: str, plain: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await opened(url + "&keep=3600")
    await opened(url + "&keep=7200")
    assert "max_age=3600, the settings say 7200" in caplog.text
    assert [one.mend for one in await checks.check_streams(url + "&keep=7200")] == [
        "add streams=update to the URL once"
    ]
    info = await plain(url, lambda jetstream: jetstream.stream_info(stream))
    assert info.config.max_age == 3600
    await opened(url + "&keep=7200&streams=update")
    info = await plain(url, lambda jetstream: jetstream.stream_info(stream))
    assert info.config.max_age == 7200
    assert await checks.check_streams(url + "&keep=7200") == []


async def test_a_missing_stream_is_not_made_when_the_url_says_check(url: str, plain: Any, stream: str) -> None:
    assert [(one.severity, one.unopened) for one in await checks.check_streams(url)] == [(Severity.NOTE, True)] * 3
    with pytest.raises(Misconfigured, match=f"nats stream add {stream} --subjects='{stream}.>'"):
        await opened(url + "&streams=check")
    found = await checks.check_streams(url + "&streams=check")
    assert [(one.severity, one.unopened) for one in found] == [(Severity.ERROR, False)] * 3
    names = await plain(url, lambda jetstream: jetstream.streams_info())
    assert stream not in {info.config.name for info in names}
    await opened(url)
    await opened(url + "&streams=check")


async def test_subjects_of_another_stream_are_told(url: str, stream: str, plain: Any) -> None:
    await plain(url, lambda jetstream: jetstream.add_stream(name=f"{stream}x", subjects=[f"{stream}.order.>"]))
    with pytest.raises(Misconfigured, match="prefix="):
        await opened(url)


async def test_replicas_on_a_single_server_are_told(url: str) -> None:
    with pytest.raises(Misconfigured, match="replicas=1, or run a cluster"):
        await opened(url + "&replicas=3")


async def test_a_server_without_jetstream_is_told(tmp_path: Any) -> None:
    class Core(Nats):
        def prepare(self) -> None:
            (self.folder / "nats.conf").write_text(f'listen: "127.0.0.1:{self.port}"\n')

    with Core(tmp_path) as server, pytest.raises(Misconfigured, match=r"has no JetStream.*jetstream \{"):
        await opened(server.url + "?timeout=2")


def test_an_old_server_is_told() -> None:
    settings = Settings.of("nats://localhost")
    access.check_version(2, 10, settings, oldest=OLDEST)
    access.check_version(3, 0, settings, oldest=OLDEST)
    with pytest.raises(Misconfigured, match=r"2\.9; it has to be 2\.10 or newer"):
        access.check_version(2, 9, settings, oldest=OLDEST)


async def test_too_few_servers_for_the_replicas_are_unavailable_not_misconfigured() -> None:
    settings = Settings.of("nats://localhost?replicas=3")
    error = faults.translated(APIError(400, "no suitable peers", 10005), settings)
    assert isinstance(error, Unavailable)
    assert "replicas=3" in str(error)


async def test_lasting_changes_of_consumers_follow_the_url(url: str, stream: str, plain: Any, event: Make) -> None:
    async with open_bus(url + "&pending=5", Context()) as bus, bus.subscribe("a", ["order.created"]):
        await bus.publish([event()])
    async with open_bus(url + "&pending=7", Context()) as bus, bus.subscribe("a", ["order.created"]) as member:
        assert len(await member.receive(5)) == 1
    info = await plain(url, lambda jetstream: jetstream.consumer_info(stream, "a+order~created"))
    assert info.config.max_ack_pending == 7
    assert info.config.durable_name == "a+order~created"


@pytest.mark.parametrize(("sync", "seconds"), [("always", None), ("2m", 120), ("10s", 10)])
async def test_a_server_that_acknowledges_before_fsync_is_found(sync: str, seconds: int | None) -> None:
    port = free_port()
    monitor = f"http://127.0.0.1:{port}"
    with Nats(sync=sync, config=f'http: "127.0.0.1:{port}"') as server:
        await opened(server.url)
        (backend,) = plugin.ticketkit_backends()
        assert backend.check is not None
        found = await backend.check(f"{server.url}?monitor={monitor}", Context())
        unseen = await backend.check(server.url, Context())
    assert [one.what for one in unseen] == [
        "Whether NATS writes through before it acknowledges can't be seen: the URL names no monitoring."
    ]
    if seconds is None:
        assert found == []
    else:
        (finding,) = found
        assert f"NATS acknowledges before fsync: it writes through every {seconds} s" in finding.what
        assert "sync_interval: always" in finding.mend


async def test_monitoring_that_does_not_answer_is_told() -> None:
    with pytest.raises(Misconfigured, match="does not answer"):
        await checks.acknowledges_before_fsync(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Misconfigured, match="is no HTTP URL"):
        await checks.acknowledges_before_fsync("file:///etc")


def test_every_setting_is_described_and_understood() -> None:
    (backend,) = plugin.ticketkit_backends()
    assert backend.kind is BackendKind.BUS
    assert backend.schemes == ("nats", "tls")
    assert backend.capabilities == {Capability.DURABLE, Capability.MULTI_PROCESS, Capability.REPLAY}
    assert backend.settings == SETTINGS
    assert backend.settings.keys() <= {*Settings.__dataclass_fields__}


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        ("nats://one", ("nats://one:4222",)),
        ("nats://u:p%40@one:1,two", ("nats://one:1", "nats://two:4222")),
        ("tls://[::1]:4444", ("tls://[::1]:4444",)),
    ],
)
def test_servers_are_read_from_the_url(url: str, servers: tuple[str, ...]) -> None:
    assert Settings.of(url).servers == servers


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://one", "nats://host:port"),
        ("nats://", "names no server"),
        ("nats://one:port", "names no server"),
        ("nats://one?colour=red", "colour: no such parameter"),
        ("nats://one?replicas=none", "number of at least 1"),
        ("nats://one?keep=-1", "number of at least 0"),
        ("nats://one?retention=workqueue", "one of limits, interest"),
        ("nats://one?stream=a.b", "letters, digits"),
        ("nats://one?cert=x", "go together"),
    ],
)
def test_a_wrong_url_is_told(url: str, said: str) -> None:
    with pytest.raises(Misconfigured, match=said):
        Settings.of(url)


def test_secrets_are_in_no_message() -> None:
    settings = Settings.of("nats://ann:s3cret@one")
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in settings.where
    assert "s3cret" not in json.dumps(settings.servers)
