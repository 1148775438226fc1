"""What a WSGI server and the `flask` command load: `gunicorn wsgi:app`."""

from click import ClickException

from storage_core.errors import SettingsError
from webapp import create_app

try:
    app = create_app()
except SettingsError as error:  # a command says it as a sentence; a server does not start, and logs it
    raise ClickException(str(error)) from error
