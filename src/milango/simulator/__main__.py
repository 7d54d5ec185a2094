"""`python -m milango.simulator --port 8200`"""

from __future__ import annotations

import argparse

import uvicorn

from milango.simulator.app import create_app


def main() -> None:
    parser = argparse.ArgumentParser(prog="milango.simulator", description="A Daraja in a box.")
    parser.add_argument("--host", default="127.0.0.1", help="anyone who reaches it controls it")
    parser.add_argument("--port", type=int, default=8200)
    parser.add_argument("--seed", type=int, help="repeat ids, receipts and delays")
    parser.add_argument("--time-scale", type=float, default=1.0, help="0.1: ten times faster")
    parser.add_argument("--duplicate-window", type=float, default=120, help="seconds; 0 is off")
    parser.add_argument("--plain-http", choices=("loopback", "any"), default="loopback")
    given = parser.parse_args()
    app = create_app(
        seed=given.seed,
        time_scale=given.time_scale,
        duplicate_window_s=given.duplicate_window,
        plain_http=given.plain_http,
    )
    print(f"Handset: http://{given.host}:{given.port}/handset")
    # No access log: its lines would hold phone numbers.
    uvicorn.run(app, host=given.host, port=given.port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
