"""Prints a link that opens the console for an account, once, within five minutes.

CONSOLE_URL=… CONSOLE_LINK_SECRET=… python console_link.py ACCOUNT_ID [view|manage]        Python 3.11 or newer alone
"""

import base64
import hmac
import os
import secrets
import sys
import time
from urllib.parse import urlencode

VALID = 300
"""Seconds; up to 900."""


def console_link(account_id: str, right: str) -> str:
    expires, nonce = str(int(time.time()) + VALID), secrets.token_urlsafe(16)
    text = "\n".join(("grafient.console.link.v1", account_id, right, expires, nonce))  # noqa: FLY002 - one part a line
    digest = hmac.digest(os.environ["CONSOLE_LINK_SECRET"].encode(), text.encode(), "sha256")
    signature = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    parameters = {"account": account_id, "right": right, "expires": expires, "nonce": nonce, "signature": signature}
    return f"{os.environ['CONSOLE_URL']}/enter?{urlencode(parameters)}"


if __name__ == "__main__":
    print(console_link(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "view"))  # noqa: PLR2004 - its own name comes first
