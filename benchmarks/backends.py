"""Which instruction sets of ours are measured."""

from genmem import config


def usable_backends() -> list[str]:
    """The automatic choice first, then the others that run here; "serial" has tests of its own."""
    said = config()
    names = [name for name, why in said["backends"].items() if why == "usable"]
    names.sort(key=lambda name: name != said["auto"])
    return [name for name in names if name != "serial"]
