"""Set-ups of containers, addresses and settings."""

from __future__ import annotations

from typing import Final

from tests.soak.setup_row import SetUp

PID_1: Final = "# a process id namespace of its own"
READ_ONLY: Final = "mount --make-rprivate / && mount -o remount,bind,ro /"
NO_MEMORY: Final = "mount -o remount,bind,ro /dev/shm"
TMP: Final = "mount -t tmpfs none /tmp"
KEY: Final = {"TOKENSVC_MASTER_KEY": "Dz0NoR6TUPZ1SNHfbo1pVtyLx1EL8dtiF8r4w0jPj0k="}
FILE: Final = {"TOKENSVC_MASTER_KEY_FILE": "mounted/master.key"}
NAMELESS: Final = 12_345
# Kubernetes: the file is a link to a link, belongs to root, and its group is fsGroup.
MOUNT_OF_KUBERNETES: Final = (
    "mkdir -p mounted/..data && echo {key} > mounted/..data/master.key && "
    "chmod 440 mounted/..data/master.key && chgrp {uid} mounted/..data/master.key && "
    "ln -sf ..data/master.key mounted/master.key"
)
SECRET_OF_DOCKER: Final = (
    "mount -t tmpfs none /run && mkdir /run/secrets && echo {key} > /run/secrets/key && "
    "chmod 444 /run/secrets/key"
)
CONTAINERS: Final = (
    SetUp("a user without a name, and a database", as_uid=NAMELESS),
    SetUp(
        "a read-only root with a folder for temporary files",
        settings=KEY,
        before=f"{READ_ONLY} && {TMP}",
    ),
    SetUp(
        "a read-only root with nothing that can be written",
        settings=KEY,
        before=f"{READ_ONLY} && {NO_MEMORY}",
    ),
    SetUp(
        "a read-only root, two workers",
        settings=KEY,
        before=READ_ONLY,
        arguments=("--workers", "2"),
    ),
    SetUp(
        "a read-only root with nothing that can be written, two workers",
        settings=KEY,
        before=f"{READ_ONLY} && {NO_MEMORY}",
        arguments=("--workers", "2"),
        refused="make /tmp or /dev/shm writable, or start with one worker",
    ),
    SetUp(
        "a read-only root, and no master key",
        refused="master.key cannot be made.*Read-only",
        before=READ_ONLY,
    ),
    SetUp(
        "a master key as Kubernetes mounts it",
        settings=FILE,
        as_uid=NAMELESS,
        before=MOUNT_OF_KUBERNETES,
    ),
    SetUp(
        "a master key as Docker mounts it",
        as_uid=NAMELESS,
        before=SECRET_OF_DOCKER,
        settings={"TOKENSVC_MASTER_KEY_FILE": "/run/secrets/key"},
    ),
    SetUp(
        "a master key that everybody may read",
        settings=FILE,
        as_uid=NAMELESS,
        before=f"{MOUNT_OF_KUBERNETES} && chmod 444 mounted/..data/master.key",
        refused=r"can be read by others \(mode 0444\).*defaultMode: 0440",
    ),
    SetUp(
        "a master key of another user",
        settings=FILE,
        as_uid=NAMELESS,
        before=f"{MOUNT_OF_KUBERNETES} && chown 33 mounted/..data/master.key",
        refused="belongs to another user",
    ),
    SetUp("no home", before="unset HOME"),
    SetUp(
        "a home that this user may not enter",
        as_uid=NAMELESS,
        before="mkdir -m 700 home && export HOME=$PWD/home",
        address="{host}/{name}?sslmode=require",
    ),
    SetUp(
        "neither a home nor a name, and TLS",
        as_uid=NAMELESS,
        before="unset HOME USER LOGNAME",
        address="{host}/{name}?sslmode=require",
    ),
    SetUp(
        "no role in the URL, and a user without a name",
        as_uid=NAMELESS,
        before="unset USER LOGNAME LNAME USERNAME PGUSER",
        settings={"TOKENSVC_DATABASE_URL": "postgresql://{host}/{name}"},
        refused="names no role, and the user of this process has no name",
    ),
    SetUp("a locale without letters", settings={"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}),
    SetUp(
        "a locale of Latin-1, without UTF-8",
        settings={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "latin-1"},
    ),
    SetUp("the first process of a container", before=PID_1),
    SetUp("no stdout", before="exec >&-"),
    SetUp("a stdout that is full", before="exec > /dev/full"),
    SetUp(
        "neither stdin nor stdout, two workers", before="exec <&- >&-", arguments=("--workers", "2")
    ),
)
ADDRESSES: Final = (
    SetUp(
        "an issuer with a line end",
        settings={"TOKENSVC_ISSUER": "http://127.0.0.1:{own}/ \n"},
        said=r"serves http://127.0.0.1:{own} \(",
    ),
    SetUp(
        "an issuer in capitals, with the default port",
        said="serves https://tokens.example on h",
        settings={"TOKENSVC_ISSUER": "HTTPS://Tokens.Example:443/"},
    ),
    SetUp(
        "an issuer with a password",
        settings={"TOKENSVC_ISSUER": "https://me:geheim@tokens.example"},
        refused="TOKENSVC_ISSUER: it must not hold a user or a password",
    ),
    SetUp(
        "an issuer that is a template",
        settings={"TOKENSVC_ISSUER": "https://{tenant}.example"},
        refused=r"TOKENSVC_ISSUER: it holds '\{'",
    ),
    SetUp("every address of IPv4", settings={"TOKENSVC_HOST": "0.0.0.0"}, said="issuer_not_set"),
    SetUp(
        "every address of both families", settings={"TOKENSVC_HOST": "::"}, said="issuer_not_set"
    ),
)
SETTINGS: Final = (
    SetUp(
        "a setting that is misspelt",
        settings={"TOKENSVC_FEED_AUTHENTIFICATION": "required"},
        refused=r"did you mean TOKENSVC_FEED_AUTHENTICATION\?",
    ),
    SetUp(
        "a file of settings",
        settings={"TOKENSVC_CONFIG": "t.toml", "TOKENSVC_LOG_LEVEL": ""},
        files={"t.toml": 'log_level = "debug"'},
        said='"level": "debug"',
    ),
    SetUp(
        "a file of settings with a name that is misspelt",
        files={"t.toml": "tokenttl = 1"},
        settings={"TOKENSVC_CONFIG": "t.toml"},
        refused="in t.toml, TOKENSVC_TOKENTTL is no sett",
    ),
    SetUp(
        "a file of settings that is not there",
        settings={"TOKENSVC_CONFIG": "t.toml"},
        refused="TOKENSVC_CONFIG: cannot read t.toml: No such file",
    ),
    SetUp(
        "a URL in a file that PowerShell has written",
        files={"url.utf16": "{url}\r\n"},
        settings={"TOKENSVC_DATABASE_URL": "", "TOKENSVC_DATABASE_URL_FILE": "url.utf16"},
    ),
    SetUp(
        "a service of Kubernetes that is called tokensvc",
        settings={
            "TOKENSVC_SERVICE_HOST": "10.96.0.7",
            "TOKENSVC_SERVICE_PORT": "8080",
            "TOKENSVC_METRICS_PORT": "tcp://10.96.0.8:9100",
            "TOKENSVC_PORT_8080_TCP": "tcp://10.96.0.7:8080",
        },
    ),
)
