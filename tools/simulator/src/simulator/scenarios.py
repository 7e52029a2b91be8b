"""Oddities of xAI by name, each a fault that a test can narrow to a team or a day."""

SCENARIOS: dict[str, dict[str, object]] = {
    # figures
    "noise": {"extra": ["noise"], "times": None},
    "tiny_amounts": {"extra": ["tiny_amounts"], "times": None},
    "empty_once": {"body": "{}"},
    "one_series_once": {"only_series": 1},
    # names of fields
    "proto_names": {"extra": ["proto_names"], "times": None},
    "mixed_names": {"extra": ["mixed_names"], "times": None},
    # instants of points
    "stamped_on_the_eve": {"shift_hours": -1, "times": None},
    "stamped_at_seven": {"shift_hours": 7, "times": None},
    "stamped_at_local_midnight": {"shift_hours": 8, "extra": ["other_offset"], "times": None},
    "other_offset": {"extra": ["other_offset"], "times": None},
    "hourly": {"extra": ["hourly"], "times": None},
    # refusals
    "refused_by_gateway": {"status": 403, "html": True},
    "incorrect_key": {
        "status": 400,
        "body": '{"code": "Client specified an invalid argument", "error": "Incorrect API key provided: fa***ke."}',
    },
    "old_ranges_refused": {"status": 400, "begins_over_days_ago": 44, "times": None},
}
"""Fields of `Fault`. A restatement, a renamed label and a new model are edits of a team, which have routes of their own."""
