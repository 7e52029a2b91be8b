"""Builds the app and its state."""

from collections.abc import Callable
from datetime import datetime

from fastapi import FastAPI

from simulator import control, health, usage
from simulator.state import State, utc_now


def build(seed: int = 1, delay_ms: int = 0, clock: Callable[[], datetime] = utc_now) -> FastAPI:
    """A new simulator; `delay_ms` is how long each answer takes; `clock` returns aware instants, UTC."""
    app = FastAPI(title="Simulator of xAI's usage endpoint", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.simulator = State(seed, delay_ms, clock)
    app.include_router(usage.router)
    app.include_router(control.router)
    app.include_router(health.router)
    return app
