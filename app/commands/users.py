"""`users`: people who may sign in. `log`: the audit log. Passwords come from the terminal or standard input alone."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.console import ByName, JsonFlag, echo, echo_json, echo_table, fail, help_of
from core.types import LoggedAct, Role

if TYPE_CHECKING:
    from db.queries.people import User

users = typer.Typer(name="users", rich_markup_mode=None, no_args_is_help=True)
UserName = Annotated[str, typer.Argument(metavar="NAME", help="The user's name.")]
FromInput = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input.")
]


def add(
    *,
    name: UserName,
    role: Annotated[Role, typer.Option(help="Role of the person.")] = Role.ANNOTATOR,
    email: Annotated[
        str, typer.Option(help="Admit the person by OpenID Connect with this verified address, without a password.")
    ] = "",
    password_stdin: FromInput = False,
    by: ByName = "",
) -> None:
    """Add a user; from the first one on everybody has to sign in.

    An annotator looks, judges, paints and tags; a lead also imports, starts rounds, accepts in bulk, changes classes,
    removes images and exports; an admin also deletes datasets and rounds. The first user has to be an admin.

    Examples:
      python -m app users add ada --role admin
      python -m app users add ben --password-stdin < password.txt
      python -m app users add eve --email eve@example.org
    """
    from app.commands.lookup import app_context, person
    from app.services import people

    opened = app_context()
    password = None if email and not password_stdin else _password(from_input=password_stdin)
    kept = people.add_user(opened, name, password, role, by=person(by), email=email or None)
    echo(f"added {kept} as {role}")


def list_(*, as_json: JsonFlag = False) -> None:
    """List all users with their roles.

    Examples:
      python -m app users list
    """
    from app.commands.lookup import app_context
    from app.services import people

    found = people.list_users(app_context())
    if as_json:
        echo_json(
            [
                {"name": one.name, "role": one.role, "created_at": one.created_at, "signs_in_by": _ways(one)}
                for one in found
            ]
        )
        return
    rows = [(one.name, one.role, f"{one.created_at:%Y-%m-%d}", ", ".join(_ways(one))) for one in found]
    echo_table(["name", "role", "since", "signs in by"], rows)


def remove(*, name: UserName, by: ByName = "") -> None:
    """Remove a user and end all sessions; verdicts stay. Without any user there is no login.

    Examples:
      python -m app users remove ben
    """
    from app.commands.lookup import app_context, person
    from app.services import people

    people.remove_user(app_context(), name, by=person(by))
    echo(f"removed {name}")


def password(*, name: UserName, password_stdin: FromInput = False, by: ByName = "") -> None:
    """Set a user's password and end all sessions.

    Examples:
      python -m app users password ben
    """
    from app.commands.lookup import app_context, person
    from app.services import people

    opened = app_context()
    people.set_password(opened, name, _password(from_input=password_stdin), by=person(by))
    echo(f"{name} has a new password")


def email(
    *,
    name: UserName,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="E-mail address; empty: none.")],
    by: ByName = "",
) -> None:
    """Let a user in by OpenID Connect with a verified e-mail address, and end all sessions.

    Examples:
      python -m app users email ben ben@example.org
    """
    from app.commands.lookup import app_context, person
    from app.services import people

    people.set_email(app_context(), name, address or None, by=person(by))
    echo(f"{name} signs in by OpenID Connect as {address}" if address else f"{name} has no address now")


def role(
    *,
    name: UserName,
    new: Annotated[Role, typer.Argument(metavar="ROLE", help="annotator, lead or admin.")],
    by: ByName = "",
) -> None:
    """Give a user another role.

    Examples:
      python -m app users role ben lead
    """
    from app.commands.lookup import app_context, person
    from app.services import people

    people.set_role(app_context(), name, new, by=person(by))
    echo(f"{name} is {new} now")


def log(
    *,
    act: Annotated[list[LoggedAct] | None, typer.Option(help="Only these acts; several times for several.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="So many entries, the newest.")] = 50,
    as_json: JsonFlag = False,
) -> None:
    """Print the audit log: sign-ins, users, roles, bulk acts, exports; the newest first.

    Examples:
      python -m app log --act sign_in_failed
      python -m app log --limit 1000 --json
    """
    from app.commands.lookup import app_context
    from app.services import people

    found = people.log_entries(app_context(), act or [], limit)
    if as_json:
        echo_json(found)
        return
    rows = [
        (f"{one.happened_at:%Y-%m-%d %H:%M:%S}", one.act, one.actor, one.subject, one.address, _in_words(one.details))
        for one in found
    ]
    echo_table(["time", "act", "by", "of", "from", ""], rows)


def _ways(user: "User") -> list[str]:
    """Return the ways in which a user can sign in."""
    provider = user.email or ("OpenID Connect" if user.identity else "")
    return [*(["password"] if user.has_password else []), *([provider] if provider else [])]


def _in_words(details: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in details.items())


def _password(*, from_input: bool) -> str:
    if from_input:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        fail("there is no terminal to ask for the password", "give it to --password-stdin")
    given: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return given


users.callback(help="People who may sign in: add, list, remove, set passwords, addresses and roles.")(lambda: None)
COMMANDS: dict[str, Callable[..., None]] = {
    "add": add,
    "list": list_,
    "remove": remove,
    "password": password,
    "email": email,
    "role": role,
}
for _name, _command in COMMANDS.items():
    users.command(_name, help=help_of(_command))(_command)
