"""What every record source promises: the same behaviour of memory, a file, and Kafka by either client."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from monitor.adapters.confluent_source import ConfluentSource
from monitor.ports import Partition, Tail
from tests.contract.source.worlds import FileWorld, KafkaWorld, MemoryWorld, Reader, World


class ConfluentWorld(KafkaWorld):
    kind = ConfluentSource


@pytest.fixture(params=["memory", "file", "kafka", "confluent"])
def world(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[World]:
    match request.param:
        case "memory":
            yield MemoryWorld()
        case "file":
            yield FileWorld(tmp_path)
        case "kafka":
            yield KafkaWorld(request.getfixturevalue("kafka_broker"))
        case _:
            yield ConfluentWorld(request.getfixturevalue("kafka_broker"))


@pytest.fixture(params=["memory", "kafka", "confluent"])
def brokered(request: pytest.FixtureRequest) -> Any:
    """The worlds with partitions, retention and groups."""
    match request.param:
        case "memory":
            return MemoryWorld(partitions=2)
        case "kafka":
            return KafkaWorld(request.getfixturevalue("kafka_broker"), partitions=2)
        case _:
            return ConfluentWorld(request.getfixturevalue("kafka_broker"), partitions=2)


def numbered(first: int, count: int) -> list[bytes]:
    return [b'{"n": %d}' % n for n in range(first, first + count)]


def test_delivers_every_record_once_in_order_and_follows_what_is_appended(world: World) -> None:
    world.append(numbered(0, 100))
    with closing(world.source()) as source:
        reader = Reader(source)
        reader.until(lambda: len(reader.values) >= 100)
        world.append(numbered(100, 50))
        reader.until(lambda: len(reader.values) >= 150)
    assert reader.values == numbered(0, 150)
    assert reader.offsets == sorted(set(reader.offsets))
    if world.dense:
        assert reader.offsets == list(range(150))


def test_next_offset_of_a_batch_is_where_a_later_reader_goes_on(world: World) -> None:
    world.append(numbered(0, 10))
    with closing(world.source()) as source:
        reader = Reader(source)
        reader.until(lambda: len(reader.values) >= 10)
    world.append(numbered(10, 5))
    with closing(world.source()) as source:
        later = Reader(source, start_at=lambda _: reader.batches[-1].next_offset)
        later.until(lambda: len(later.values) >= 5)
    assert later.values == numbered(10, 5)


def test_any_offset_of_a_record_can_be_started_at(world: World) -> None:
    world.append(numbered(0, 10))
    with closing(world.source()) as source:
        reader = Reader(source)
        reader.until(lambda: len(reader.values) >= 10)
        middle = reader.offsets[4]
        reader.batches.clear()
        source.start(Partition(world.topic, 0), middle)
        reader.until(lambda: len(reader.values) >= 6)
    assert reader.values == numbered(4, 6)


def test_a_paused_partition_delivers_nothing_and_loses_nothing(world: World) -> None:
    world.append(numbered(0, 5))
    with closing(world.source()) as source:
        reader = Reader(source)
        reader.until(lambda: len(reader.values) >= 5)
        source.pause(reader.assigned)
        world.append(numbered(5, 5))
        for _ in range(3):
            reader.step()
        assert len(reader.values) == 5
        source.resume(reader.assigned)
        reader.until(lambda: len(reader.values) >= 10)
    assert reader.values == numbered(0, 10)


def test_bounds_enclose_what_was_written(world: World) -> None:
    partition = Partition(world.topic, 0)
    with closing(world.source()) as source:
        empty = source.bounds([partition])[partition]
        world.append(numbered(0, 7))
        full = source.bounds([partition, Partition(world.topic, 99)])
        assert set(full) == {partition}, "a partition that does not exist is left out"
        bounds = full[partition]
        assert empty.beginning == empty.end == bounds.beginning
        assert bounds.end == bounds.readable > bounds.beginning
        reader = Reader(source)
        reader.until(lambda: len(reader.values) >= 7)
        assert reader.batches[-1].next_offset == bounds.end


def test_a_tail_is_the_record_that_was_read_and_none_where_there_is_no_record(world: World) -> None:
    world.append(numbered(0, 3))
    with closing(world.source()) as source:
        reader = Reader(source)
        reader.until(lambda: len(reader.values) >= 3)
        batch = reader.batches[-1]
        partition = Partition(world.topic, 0)
        expected = Tail.of(batch.offsets[-1], batch.arrivals_ms[-1], batch.values[-1])
        assert source.tail(partition, batch.offsets[-1]) == expected
        assert source.tail(partition, batch.next_offset) is None


def test_identity_stays_while_records_come_and_changes_when_the_topic_is_recreated(world: World) -> None:
    world.append(numbered(0, 3))
    with closing(world.source()) as source:
        before = source.identity(world.topic)
        assert before is not None
        assert not before.follows
        world.append(numbered(3, 3))
        assert source.identity(world.topic) == before
    world.recreate()
    world.append(numbered(50, 3))
    with closing(world.source()) as source:
        after = source.identity(world.topic, before.value)
        assert after is not None
        assert after.value != before.value
        assert not after.follows


def test_partitions_are_counted_and_a_topic_that_does_not_exist_is_none(world: World) -> None:
    with closing(world.source()) as source:
        assert source.partitions() == {world.topic: 1}
        assert source.identity("no-such-topic") is None


def test_closing_takes_less_than_two_seconds(world: World) -> None:
    world.append(numbered(0, 3))
    source = world.source()
    reader = Reader(source)
    reader.until(lambda: len(reader.values) >= 3)
    began = time.monotonic()
    source.close()
    assert time.monotonic() - began < 2


def test_two_members_share_the_partitions_and_the_one_left_takes_all(brokered: Any) -> None:
    brokered.append(numbered(0, 5), partition=0)
    brokered.append(numbered(100, 5), partition=1)
    with closing(brokered.source()) as first:
        one = Reader(first)
        one.until(lambda: len(one.assigned) == 2)
        second = brokered.source()
        two = Reader(second)

        def shared() -> bool:
            one.step(0.05)
            return len(one.assigned) == len(two.assigned) == 1

        two.until(shared)
        assert one.assigned | two.assigned == {Partition(brokered.topic, 0), Partition(brokered.topic, 1)}
        second.close()
        one.until(lambda: len(one.assigned) == 2)


def test_a_backlog_of_many_partitions_is_delivered_whole(brokered: Any) -> None:
    brokered.add_partitions(8)
    for partition in range(8):
        brokered.append(numbered(partition * 10_000, 2_500), partition=partition)
    with closing(brokered.source()) as source:
        reader = Reader(source)
        reader.until(lambda: len({b.partition for b in reader.batches if b.next_offset == 2_500}) == 8)
    assert sorted(reader.offsets) == sorted([*range(2_500)] * 8), "an end came before the records that lead to it"


def test_a_position_that_retention_has_passed_is_reported_and_the_others_go_on(brokered: Any) -> None:
    brokered.append(numbered(0, 10), partition=0)
    brokered.append(numbered(100, 5), partition=1)
    brokered.delete_records(6)
    with closing(brokered.source()) as source:
        reader = Reader(source, start_at=lambda partition: 2 if partition.partition == 0 else 0)
        reader.until(lambda: bool(reader.lost) and len(reader.values) >= 5)
        assert (reader.lost[0].partition.partition, reader.lost[0].position) == (0, 2)
        partition = Partition(brokered.topic, 0)
        assert source.bounds([partition])[partition].beginning == 6
        assert source.tail(partition, 2) is None
        source.start(partition, 6)
        reader.until(lambda: len(reader.values) >= 9)
    assert sorted(value for value in reader.values if value is not None) == sorted(numbered(100, 5) + numbered(6, 4))


def test_partitions_that_are_added_are_assigned_within_seconds(brokered: Any) -> None:
    with closing(brokered.source()) as source:
        reader = Reader(source)
        reader.until(lambda: len(reader.assigned) == 2)
        brokered.add_partitions(3)
        brokered.append(numbered(0, 3), partition=2)
        reader.until(lambda: len(reader.values) >= 3, seconds=40)
        assert source.partitions() == {brokered.topic: 3}
