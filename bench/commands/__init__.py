"""One file per command, each with `HELP`, `EXAMPLES`, `add_arguments(parser)` and `main(arguments) -> exit code`.

Their modules are light: whatever needs torch is imported inside `main`.
"""
