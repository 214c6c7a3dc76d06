"""`python -m stream.broker [FOLDER] [PORT]`: run the embedded broker in the foreground."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from stream.broker import start_broker
from stream.errors import BrokerError

DEFAULT_FOLDER = Path(".tenminute/broker")
DEFAULT_PORT = 9092


def main(argv: list[str]) -> int:
    """Run until Ctrl-C or SIGTERM."""
    folder = Path(argv[0]) if argv else DEFAULT_FOLDER
    port = int(argv[1]) if len(argv) > 1 else DEFAULT_PORT
    signals = {signal.SIGINT, signal.SIGTERM}
    try:
        with start_broker(folder, port=port) as broker:
            signal.pthread_sigmask(signal.SIG_BLOCK, signals)
            print(f"{broker.why} at {broker.bootstrap}; Ctrl-C stops it", flush=True)
            signal.sigwait(signals)
    except BrokerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
