"""Sticky assignment of partitions: a rebalance moves no more of them than it must."""

from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor


def sticky_assignor() -> type[StickyPartitionAssignor]:
    """A sticky assignor for one consumer alone.

    aiokafka's keeps what its member had in class variables, so two consumers of one process would
    tell the group of each other's partitions: each gets a class of its own.
    """
    return type("StickyAssignorOfOneConsumer", (StickyPartitionAssignor,), {})
