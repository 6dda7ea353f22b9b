"""Which offset may be committed while records are done out of order."""

from aiokafka import ConsumerRecord, TopicPartition

from headrace_kit.assignment import sticky_assignor
from headrace_kit.offsets import Offsets

ONE = TopicPartition("t", 1)


def records(*offsets: int, partition: int = 0) -> list[ConsumerRecord]:
    return [ConsumerRecord("t", partition, o, 0, 0, None, None, None, 0, 0, ()) for o in offsets]


def test_a_commit_never_passes_an_open_record() -> None:
    offsets = Offsets()
    offsets.take(records(5, 6, 7))
    assert offsets.committable() == {}
    offsets.done(records(6, 7))
    assert offsets.committable() == {}
    offsets.done(records(5))
    assert offsets.committable() == {TopicPartition("t", 0): 8}
    assert offsets.under_way == 0


def test_what_is_committed_is_not_committed_again() -> None:
    offsets = Offsets()
    offsets.take(records(0, 1))
    offsets.done(records(0))
    found = offsets.committable()
    assert found == {TopicPartition("t", 0): 1}
    offsets.committed(found)
    assert offsets.committable() == {}
    offsets.done(records(1))
    assert offsets.committable() == {TopicPartition("t", 0): 2}


def test_partitions_move_each_for_itself_and_gaps_are_no_records() -> None:
    offsets = Offsets()
    offsets.take([*records(3, 9), *records(1, partition=1)])  # 4 to 8 were transaction markers
    offsets.done([*records(3), *records(1, partition=1)])
    assert offsets.committable() == {TopicPartition("t", 0): 9, ONE: 2}


def test_after_a_rebalance_old_work_counts_for_nothing() -> None:
    offsets = Offsets()
    offsets.take(records(5))
    offsets.forget()
    offsets.done(records(5))
    assert offsets.committable() == {}
    assert offsets.under_way == 0


def test_two_consumers_do_not_share_what_their_assignor_remembers() -> None:
    one, two = sticky_assignor(), sticky_assignor()
    one.member_assignment = [ONE]
    assert two.member_assignment is None
