"""A name for a user that has none, as in containers that run under any uid.

initdb asks who it is, and ends if the system does not know. The library nss_wrapper answers from
two files of ours instead.
"""

from __future__ import annotations

import pwd
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tokensvc.core.errors import StartRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FOLDERS: Final = (
    *sorted(Path("/usr/lib").glob("*-linux-*")),
    Path("/usr/lib64"),
    Path("/usr/lib"),
    Path("/usr/local/lib"),
)
_LIBRARY: Final = "libnss_wrapper.so"


def name_user(
    uid: int, gid: int, folder: Path, *, places: Sequence[Path] = _FOLDERS
) -> Mapping[str, str]:
    """Return what the environment of a program needs so that `uid` has a name.

    It needs nothing if the system knows one. Else two files are written into `folder`, and the
    library is looked for in `places`. Raises StartRefusedError if it is not there.
    """
    try:
        pwd.getpwuid(uid)
    except KeyError:
        pass
    else:
        return {}
    library = next((path for place in places if (path := place / _LIBRARY).exists()), None)
    if library is None:
        raise StartRefusedError(
            f"the user that Postgres would run as (uid {uid}) has no name, and initdb needs one: "
            "set TOKENSVC_DATABASE_URL to a Postgres of your own, or install libnss-wrapper"
        )
    users, groups = folder / "passwd", folder / "group"
    users.write_text(f"tokensvc:x:{uid}:{gid}::/:/bin/false\n")
    groups.write_text(f"tokensvc:x:{gid}:\n")
    return {
        "LD_PRELOAD": str(library),
        "NSS_WRAPPER_PASSWD": str(users),
        "NSS_WRAPPER_GROUP": str(groups),
    }
