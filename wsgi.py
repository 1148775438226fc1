"""What a WSGI server and the `flask` command load: `gunicorn wsgi:app`."""

from click import ClickException, get_current_context
from flask.cli import FlaskGroup

from storage_core.errors import SettingsError
from webapp import create_app, create_console


def looked_into() -> bool:
    """Whether `flask` looks for a command of ours; its `run`, `shell` and `routes` load the application themselves."""
    context = get_current_context(silent=True)
    return context is not None and isinstance(context.command, FlaskGroup)


try:
    app = create_console() if looked_into() else create_app()
except SettingsError as error:  # a command says it as a sentence; a server does not start, and logs it
    raise ClickException(str(error)) from error
