"""A click group that imports a command only when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

import click

Places = Mapping[str, tuple[str, str]]


class LazyGroup(click.Group):
    """`sections` maps a heading to its commands: name to ("module:attribute", one line of help)."""

    def __init__(self, name: str, sections: Mapping[str, Places], help: str) -> None:
        super().__init__(name, help=help)
        self._sections = sections
        self._places = {command: place for places in sections.values() for command, (place, _) in places.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        place = self._places.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for heading, places in self._sections.items():
            with formatter.section(heading):
                formatter.write_dl([(name, text) for name, (_, text) in places.items()])
