from tests.support.commands import in_process, invoke


async def test_check_reports_every_topic_for_programs(kafka: str) -> None:
    found = (await in_process("topics", "check", "--json", env={"KAFKA_BOOTSTRAP_SERVERS": kafka})).json()

    assert {one["state"] for one in found} == {"right"}


def test_a_missing_setting_is_named() -> None:
    failed = invoke("topics", "check", env={"KAFKA_BOOTSTRAP_SERVERS": None})

    assert failed.status == 2
    assert "setting KAFKA_BOOTSTRAP_SERVERS: is not set" in failed.stderr
