"""gobi(1), made of what `gobi --help` says."""

from __future__ import annotations

import gobi

_COMMANDS = ((".SS On a client", gobi.CLIENT_COMMANDS), (".SS On the server", gobi.SERVER_COMMANDS))
_HEAD = """\
.TH GOBI 1 "" "gobi {version}" "User Commands"
.SH NAME
gobi \\- keeps folders in step through a small server of your own
.SH SYNOPSIS
.B gobi
.I COMMAND
.RI [ ARGUMENT ]...
.SH COMMANDS
Each explains itself with an example:
.B gobi
.I COMMAND
.BR \\-\\-help .
"""
_TAIL = """\
.SH EXIT STATUS
.TP
.B 0
done
.TP
.B 1
done, but something needs a person; it is listed
.TP
.B 2
the command line is wrong
.TP
.B 69
the server or the database is out of reach
.TP
.B 75
try again later
.TP
.B 78
a setting is wrong
.SH FILES
.TP
.I /etc/gobi/gobi.env
the server's settings, each explained there
.TP
.I /var/lib/gobi
the server's data; removing the package leaves it
.SH SEE ALSO
.I /usr/share/doc/gobi/operating.md
and
.I client.md
beside it
"""


def page() -> str:
    lines = [_HEAD.format(version=gobi.__version__)]
    for title, commands in _COMMANDS:
        lines.append(f"{title}\n")
        lines += [f".TP\n.B gobi {name}\n{_plain(says)}\n" for name, (_, says) in commands.items()]
    return "".join(lines) + _TAIL


def _plain(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-")
