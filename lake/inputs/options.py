"""The options about how a job's input files are read."""

from __future__ import annotations

from lake.declaration import Option, toml_text
from schemas.errors import UserError

FORMAT_HELP = "parquet, csv, json or delta (default: by the names of the files)"


def renames(text: str) -> str:
    """The text of ``--rename``, ``theirs=ours,theirs=ours``, as a TOML table.

    Raises:
        UserError: the text has another form.
    """
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(theirs and ours for theirs, _, ours in pairs):
        raise UserError(f"--rename {text}: expected theirs=ours,theirs=ours")
    return f"{{ {', '.join(f'{toml_text(theirs)} = {toml_text(ours)}' for theirs, _, ours in pairs)} }}"


def format_option(flag: str, setting: str, of: str) -> Option:
    """An option that names the format of an input.

    Args:
        flag: name of the option.
        setting: setting ``section.key`` of the format.
        of: the input in words.
    """
    return Option(flags=(flag,), help=f"format of {of}: {FORMAT_HELP}", metavar="FORMAT", setting=setting)


def rename_option(section: str) -> Option:
    """The option that maps columns of the input to those of this project.

    Args:
        section: section of the settings that holds ``rename``.
    """
    return Option(
        flags=("--rename",),
        help="column of the input=column of qarm, separated by commas",
        metavar="a=user_id,b=item_id",
        setting=f"{section}.rename",
        to_toml=renames,
    )
