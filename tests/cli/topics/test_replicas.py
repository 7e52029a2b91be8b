"""The reassignment gives partitions the replicas that they lack, spread over brokers and racks."""

from collections import Counter

import pytest
from common.errors import UserError
from grafient.topics.replicas import PartitionReplicas, plan, reassignment

THREE: dict[int, str | None] = {1: None, 2: None, 3: None}


def of(*replicas: int, partition: int = 0) -> PartitionReplicas:
    return PartitionReplicas("xai.costs.v1", partition, replicas, replicas)


def test_a_partition_with_enough_replicas_is_left_alone() -> None:
    assert plan([of(3, 1, 2), of(1, 2, 3, 4)], THREE | {4: None}, 3) == []


def test_present_replicas_stay_and_missing_ones_are_added() -> None:
    (planned,) = plan([of(2)], THREE, 3)

    assert planned.replicas == (2, 1, 3)


def test_what_was_on_one_broker_is_led_by_all_of_them() -> None:
    planned = plan([of(1, partition=number) for number in range(6)], THREE, 3)

    assert Counter(one.replicas[0] for one in planned) == {1: 2, 2: 2, 3: 2}


def test_replicas_are_added_where_the_fewest_are() -> None:
    planned = plan([of(1, 2), of(1, 2, partition=1)], THREE | {4: None}, 3)

    assert [set(one.replicas) for one in planned] == [{1, 2, 3}, {1, 2, 4}]


def test_a_rack_that_has_no_replica_is_preferred() -> None:
    (planned,) = plan([of(1)], {1: "a", 2: "a", 3: "b"}, 2)

    assert set(planned.replicas) == {1, 3}


def test_more_replicas_than_brokers_cannot_be_planned() -> None:
    with pytest.raises(UserError, match="3 brokers answer, 4 replicas"):
        plan([of(1)], THREE, 4)


def test_the_reassignment_is_what_kafkas_own_tool_reads() -> None:
    assert reassignment([of(2, 1, 3, partition=4)]) == {
        "version": 1,
        "partitions": [{"topic": "xai.costs.v1", "partition": 4, "replicas": [2, 1, 3]}],
    }
