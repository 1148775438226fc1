"""Where results are kept and how S3 is reached, as the environment and the documentation say it."""

import json
import re
from pathlib import Path

import pytest

from storage_core.errors import SettingsError
from storage_core.settings import Settings

ROOT = Path(__file__).parents[2]
ACTIONS = {
    "get_object": "s3:GetObject",
    "head_object": "s3:GetObject",
    "put_object": "s3:PutObject",
    "create_multipart_upload": "s3:PutObject",
    "upload_part": "s3:PutObject",
    "complete_multipart_upload": "s3:PutObject",
    "abort_multipart_upload": "s3:AbortMultipartUpload",
    "delete_object": "s3:DeleteObject",
    "head_bucket": "s3:ListBucket",
    "list_objects_v2": "s3:ListBucket",
    "list_multipart_uploads": "s3:ListBucketMultipartUploads",
}
KEY = {"AWS_ACCESS_KEY_ID": "an id", "AWS_SECRET_ACCESS_KEY": "the secret", "AWS_SESSION_TOKEN": "the token"}


def read(data_dir: Path, **environ: str) -> Settings:
    return Settings.from_env({"DATA_DIR": str(data_dir), **environ})


def test_results_are_kept_in_the_data_folder_unless_told_otherwise(tmp_path: Path) -> None:
    settings = read(tmp_path)
    assert settings.results_uri == str(tmp_path / "results")
    assert settings.results_dir == tmp_path / "results"
    assert read(tmp_path, RESULTS_URI=f"file://{tmp_path}/my%20results").results_dir == tmp_path / "my results"
    assert read(tmp_path, RESULTS_URI=str(tmp_path / "else")).results_dir == tmp_path / "else"


@pytest.mark.parametrize(
    ("uri", "spelled"),
    [("s3://bucket", "s3://bucket"), ("s3://bucket/", "s3://bucket"), ("s3://b.1-x/a/b/", "s3://b.1-x/a/b")],
)
def test_a_bucket_is_written_in_one_way(tmp_path: Path, uri: str, spelled: str) -> None:
    settings = read(tmp_path, RESULTS_URI=uri)
    assert settings.results_uri == spelled
    assert settings.results_dir == tmp_path / "results", "they are written here before they are sent"


@pytest.mark.parametrize(
    "uri",
    ["s3://", "s3:///prefix", "s3://Upper", "s3://ab", "s3://bucket//a", "s3://bucket/../a", "ftp://host/x", "file://"],
)
def test_a_place_that_cannot_be_is_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(SettingsError, match=r"RESULTS_URI is .* allowed: a folder, or s3://bucket/prefix"):
        read(tmp_path, RESULTS_URI=uri)


def test_how_s3_is_reached_and_that_secrets_stay_out_of_sight(tmp_path: Path) -> None:
    given = {**KEY, "S3_ENDPOINT_URL": "http://127.0.0.1:9000/", "AWS_DEFAULT_REGION": "ap-northeast-2"}
    settings = read(tmp_path, **given)
    access = settings.s3
    assert (access.endpoint_url, access.region) == ("http://127.0.0.1:9000", "ap-northeast-2")
    assert (access.access_key_id, access.secret_access_key, access.session_token) == tuple(KEY.values())
    assert not any(secret in repr(settings) for secret in KEY.values())


def test_a_secret_can_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("the secret\n")
    file = str(tmp_path / "secret")
    assert (
        read(tmp_path, AWS_ACCESS_KEY_ID="an id", AWS_SECRET_ACCESS_KEY_FILE=file).s3.secret_access_key == "the secret"
    )


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_half_a_key_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is given without AWS_") as caught:
        read(tmp_path, **{name: KEY[name]})
    assert KEY[name] not in str(caught.value)


@pytest.mark.parametrize("url", ["127.0.0.1:9000", "ftp://host", "http://", "http://host/path", "http://host:99999"])
def test_an_address_that_cannot_be_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError, match="S3_ENDPOINT_URL is"):
        read(tmp_path, S3_ENDPOINT_URL=url)


def test_the_documented_policy_allows_what_is_used_and_nothing_else() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "storage_core").glob("object_s3*.py"))
    used = set(re.findall(r'call\("(\w+)"|once\("(\w+)"', sources))
    operations = {one or other for one, other in used}
    assert operations == set(ACTIONS)
    documented = (ROOT / "docs" / "object-store.md").read_text()
    policy = next(json.loads(block) for block in re.findall(r"```json\n(.*?)```", documented, re.DOTALL))
    allowed = [action for statement in policy["Statement"] for action in statement["Action"]]
    assert sorted(allowed) == sorted(set(ACTIONS.values()))
