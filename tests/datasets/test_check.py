"""Bytes of a decoded store that changed although lengths and headers did not."""

import pytest

from bench.cli import main
from bench.datasets._check import check
from bench.datasets._store import open_store, prepare
from bench.errors import UserError
from bench.plan import open_dataset


@pytest.fixture
def store(tmp_path):
    return prepare(open_dataset("digits"), tmp_path)


@pytest.mark.parametrize("name", ["train.images.npy", "test.labels.npy", "test.images.npy"])
@pytest.mark.parametrize("where", [0.5, 1.0])
def test_a_flipped_bit_is_found(store, tmp_path, name, where):
    check(store)
    content = bytearray((store.folder / name).read_bytes())
    content[int(where * len(content)) - 8] ^= 1  # the lowest byte of the last label, or a pixel
    (store.folder / name).write_bytes(bytes(content))
    damaged = open_store(open_dataset("digits"), tmp_path)
    with pytest.raises(UserError, match="delete that folder"):
        check(damaged)


def test_the_command_says_so_in_one_line(store, tmp_path, capsys):
    words = ["prepare", "--dataset", "digits", "--data-root", str(tmp_path), "--check"]
    assert main(words) == 0
    assert "as it was decoded" in capsys.readouterr().out
    path = store.folder / "train.images.npy"
    content = bytearray(path.read_bytes())
    content[-1000] ^= 4
    path.write_bytes(bytes(content))
    assert main(words) == 2
    assert capsys.readouterr().err.count("\n") == 1
