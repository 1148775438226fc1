"""What a WSGI server and the `flask` command load: `gunicorn wsgi:app`."""

from webapp import create_app

app = create_app()
