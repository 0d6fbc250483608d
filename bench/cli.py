"""`python -m bench COMMAND ...`: parses the words, runs the command; a user's mistake is one line and exit 2."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from bench import __version__
from bench.errors import UserError, suggest

COMMANDS = (
    "run",
    "tune",
    "study",
    "claims",
    "list",
    "prepare",
    "report",
    "status",
    "cancel",
    "logs",
    "resubmit",
    "verify",
    "export",
    "cost",
    "evaluate",
    "analyse",
    "doctor",
)
DESCRIPTION = "A benchmark suite in which claims about self-supervised learning get settled."
EXAMPLES = """examples:
  python -m bench run --methods smi,barlow,random --dataset digits
  python -m bench run --methods smi,barlow --dataset imagewoof --seeds 5 --data-root ~/data
  python -m bench list methods
  python -m bench COMMAND --help
"""


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are UserErrors."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see `{self.prog} --help`)")


def main(words: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 a run failed or nobody read the output, 2 a mistake to mend, 130 interrupted."""
    try:
        return dispatch(list(sys.argv[1:] if words is None else words))
    except UserError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except PermissionError as error:
        print(f"bench: {error.filename or 'a file'}: {error.strerror}.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nbench: interrupted; the same command goes on where it stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def dispatch(words: list[str]) -> int:
    """As `main`, for a command that consists of others: mistakes and interruptions end it too."""
    parser = Parser("python -m bench", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=_Formatter)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", parser_class=Parser)
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        raise UserError(f"Unknown command '{words[0]}'.{suggest(words[0], COMMANDS)}")
    modules = {}
    for name in COMMANDS:
        modules[name] = module = importlib.import_module(f"bench.commands.{name}")
        sub = commands.add_parser(
            name, help=module.HELP, description=module.HELP, epilog=module.EXAMPLES, formatter_class=_Formatter
        )
        module.add_arguments(sub)
    arguments, rest = parser.parse_known_args(words)
    if arguments.command is None:
        _settings(rest, parser)
        parser.print_help()
        return 0
    empty = next((name for name, value in vars(arguments).items() if value == ""), None)
    if empty is not None:
        raise UserError(f"--{empty.replace('_', '-')} is empty: give it a value, or leave it out.")
    arguments.words = _settings(rest, commands.choices[arguments.command])
    if arguments.words and arguments.command not in ("run", "tune", "study", "cost", "resubmit"):
        raise UserError(f"'{arguments.words[0]}': settings belong to `run`, `tune`, `study` and `cost`.")
    code: int = modules[arguments.command].main(arguments)
    return code


def _settings(rest: list[str], parser: argparse.ArgumentParser) -> list[str]:
    """What no option took: `key=value` words, wherever they stood."""
    options = [name for action in parser._actions for name in action.option_strings]
    for word in rest:
        if word.startswith("-"):
            raise UserError(f"Unknown option '{word}'.{suggest(word.partition('=')[0], options)}")
        if "=" not in word:
            raise UserError(f"'{word}' is neither an option nor a key=value setting.")
    return rest


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, max_help_position=32, width=110, **options)
