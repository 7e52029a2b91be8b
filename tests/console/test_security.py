"""Every answer limits what the browser may do with it, and no request is unbounded."""

import re

from console.security import LARGEST_BODY

from tests.console.support.browsing import Customer


async def test_every_answer_is_bound_to_itself(customer: Customer) -> None:
    for address in ("/", "/enter", "/static/app.css", "/static/none", "/livez"):
        headers = (await customer.get(address)).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'nonce-")
        assert "require-trusted-types-for 'script'" in policy
        assert "unsafe" not in policy
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"


async def test_a_nonce_is_used_once(customer: Customer) -> None:
    policies = [(await customer.get("/")).headers["content-security-policy"] for _ in range(3)]
    assert len({re.findall(r"nonce-([\w-]{22})'", policy)[0] for policy in policies}) == 3


async def test_pages_are_not_kept_and_files_are_kept_for_ever(customer: Customer) -> None:
    assert (await customer.get("/")).headers["cache-control"] == "no-store"
    assert "immutable" in (await customer.get("/static/app.css")).headers["cache-control"]


async def test_a_form_that_is_too_large_is_refused(customer: Customer) -> None:
    answer = await customer.post("/enter", account="x" * LARGEST_BODY)
    assert answer.status_code == 413
    assert "too large" in answer.text
