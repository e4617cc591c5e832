"""The app: `python app.py` opens it, here or on a Space; `app.demo` is the page, built when asked for."""

from typing import Any

from iad.demo import create_demo, launch


def __getattr__(name: str) -> Any:
    if name == "demo":
        return create_demo()
    raise AttributeError(f"module 'app' has no attribute {name!r}")


if __name__ == "__main__":
    launch()
