"""Arms that the contract is held over: every method, and one variant for each other value of each of its choices."""

import types
import typing

import pytest

from bench import discover

NAMES = discover.names("methods")
INSTALLED = [name for name in NAMES if not discover.describe("methods", name).missing]
LOCAL_VIEW = "augment.local_views=1"


def variants(name):
    """One setting each: every other value of a bool or Literal field of Config, and a local view where there is
    multi-crop, so that a new choice is tested by being there."""
    cls = discover.load("methods", name)
    default, hints = cls.Config(), typing.get_type_hints(cls.Config)
    settings = [LOCAL_VIEW] if cls.multi_crop else []
    for field in cls.Config.__dataclass_fields__:
        settings += [f"{field}={str(v).lower()}" for v in choices(hints[field]) if v != getattr(default, field)]
    return [f"{name}:{setting}" for setting in settings]


def choices(hint):
    """Values of a bool or Literal, of its union with None too, which stands for one of them; of other types none."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return [value for part in typing.get_args(hint) for value in choices(part)]
    if typing.get_origin(hint) is typing.Literal:
        return typing.get_args(hint)
    return (False, True) if hint is bool else ()


ARMS = [arm for name in INSTALLED for arm in [name, *variants(name)]]


def pytest_generate_tests(metafunc):
    """`name`: every method, skipped where it is not installed; `arm`: every installed one and its variants."""
    if "name" in metafunc.fixturenames:
        skip = pytest.mark.skip(reason="needs a package that is not installed")
        metafunc.parametrize("name", [name if name in INSTALLED else pytest.param(name, marks=skip) for name in NAMES])
    if "arm" in metafunc.fixturenames:
        metafunc.parametrize("arm", ARMS)


@pytest.fixture(scope="session")
def arms():
    return ARMS
