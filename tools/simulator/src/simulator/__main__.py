"""`python -m simulator`: serves until it is terminated; each option can also be set in the environment."""

import argparse
import os

import uvicorn

from simulator.app import build
from simulator.delivery import DroppableProtocol

SECONDS_TO_END = 1  # otherwise it waits for hanging answers


def main() -> None:
    options = _options()
    uvicorn.run(
        build(options.seed, options.delay_ms),
        host=options.host,
        port=options.port,
        http=DroppableProtocol,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=SECONDS_TO_END,
    )


def _options() -> argparse.Namespace:
    env = os.environ.get
    parser = argparse.ArgumentParser(prog="simulator", description="A stand-in for xAI's usage endpoint.")
    parser.add_argument("--host", default=env("HOST", "127.0.0.1"), help="HOST")
    parser.add_argument("--port", type=int, default=env("PORT", "8099"), help="PORT")
    parser.add_argument("--delay-ms", type=int, default=env("DELAY_MS", "0"), help="DELAY_MS: delay of each answer")
    parser.add_argument("--seed", type=int, default=env("SEED", "1"), help="SEED: seed of the random costs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
