from tests.support.commands import in_process, invoke


async def test_check_reports_every_topic_for_programs(kafka: str) -> None:
    found = (await in_process("topics", "check", "--json", env={"KAFKA_BOOTSTRAP_SERVERS": kafka})).json()

    assert {one["state"] for one in found} == {"right"}


def test_a_missing_setting_is_named() -> None:
    failed = invoke("topics", "check", env={"KAFKA_BOOTSTRAP_SERVERS": None})

    assert failed.status == 2
    assert "setting KAFKA_BOOTSTRAP_SERVERS: is not set" in failed.stderr


async def test_replicas_and_their_plan_are_shown(kafka: str) -> None:
    env = {"KAFKA_BOOTSTRAP_SERVERS": kafka}
    found = (await in_process("topics", "replicas", "--json", env=env)).json()
    planned = (await in_process("topics", "replicas", "--plan", "--replication", "1", env=env)).json()

    assert {(one["topic"], one["partition"]) for one in found} >= {("xai.costs.v1", number) for number in range(6)}
    assert planned == {"version": 1, "partitions": []}


async def test_check_fails_and_names_the_next_step(kafka: str) -> None:
    arguments = ("topics", "check", "--replication", "3", "--json")
    found = (await in_process(*arguments, env={"KAFKA_BOOTSTRAP_SERVERS": kafka})).json(status=1)

    assert {one["state"] for one in found} == {"other_replicas"}
    assert all("topics replicas --plan" in one["next"] for one in found)
