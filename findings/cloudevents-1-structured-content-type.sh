#!/usr/bin/env bash
# CloudEvents for Python 1.12.0: to_structured() for Kafka writes the content type of the data, or none, in the place of
# application/cloudevents+json: a consumer that goes by the content type takes the event for one in binary mode without
# attributes. Version 2.2.0 writes it as the specification says.
#
# Seen with Python 3.11:
#   1.12.0 with datacontenttype     b'application/json'
#   1.12.0 without datacontenttype  None
#   2.2.0                           b'application/cloudevents+json'
# Status 0: it is still so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 1.12.0 2.2.0; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install -q "cloudevents==$version"
done
cat > "$folder/one.py" <<'PY'
from cloudevents.http import CloudEvent
from cloudevents.kafka import to_structured

for more in ({"datacontenttype": "application/json"}, {}):
    event = CloudEvent({"type": "Sample", "source": "/sample", **more}, {"a": 1})
    print(to_structured(event).headers.get("content-type"))
PY
cat > "$folder/two.py" <<'PY'
from cloudevents.core.bindings.kafka import to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

event = CloudEvent({"id": "1", "type": "Sample", "source": "/sample", "specversion": "1.0"}, {"a": 1})
print(to_structured(event, JSONFormat(), key_mapper=None).headers.get("content-type"))
PY
output=$("$folder/1.12.0/bin/python" "$folder/one.py"; "$folder/2.2.0/bin/python" "$folder/two.py")
echo "$output"
diff <(echo "$output") <(printf '%s\n' "b'application/json'" None "b'application/cloudevents+json'")
