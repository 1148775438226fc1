"""Presets: kept under safe names, loaded by their owner and, when shared, by everybody, changed by their owner only."""

import pytest

from storage_core import presets
from storage_core.db import session_scope
from storage_core.models import User
from storage_core.names import BadName, checked_name
from storage_core.presets import PresetNotFound, TooManyPresets
from tests.workers.examples import spec


@pytest.fixture
def people(engine):
    with session_scope(engine) as session:
        users = [User(name=name, password_hash="-") for name in ("ada", "bob")]
        session.add_all(users)
        session.flush()
        return [user.id for user in users]


def kept(engine, owner_id, name="calm", **options):
    with session_scope(engine) as session:
        return presets.save(session, owner_id=owner_id, name=name, spec=spec(), **options)


def names(engine, owner_id, **options):
    with session_scope(engine) as session:
        return [preset.name for preset in presets.listed(session, owner_id=owner_id, **options)]


def test_a_preset_leaves_out_the_market(engine, people):
    preset = kept(engine, people[0])
    assert preset.fields == {name: value for name, value in spec().items() if name not in presets.MARKET}


def test_the_same_name_is_overwritten_and_another_strategy_has_names_of_its_own(engine, people):
    first = kept(engine, people[0])
    with session_scope(engine) as session:
        again = presets.save(session, owner_id=people[0], name=" calm ", spec=spec(initial_cash=5.0), shared=True)
        assert (again.id, again.fields["initial_cash"], again.shared) == (first.id, 5.0, True)
        other = presets.save(session, owner_id=people[0], name="calm", spec=spec(strategy="buy_and_hold"))
        assert other.id != first.id
    assert names(engine, people[0], strategy="buy_and_hold") == ["calm"]
    assert names(engine, people[0]) == ["calm", "calm"]


def test_others_see_and_load_only_what_is_shared_and_delete_nothing(engine, people):
    ada, bob = people
    own, shared = kept(engine, ada, "own"), kept(engine, ada, "for all", shared=True)
    assert names(engine, bob) == ["for all"]
    with session_scope(engine) as session:
        assert presets.get(session, shared.id, owner_id=bob).name == "for all"
        for refused, preset in ((presets.get, own), (presets.delete, own), (presets.delete, shared)):
            with pytest.raises(PresetNotFound):
                refused(session, preset.id, owner_id=bob)
        assert presets.delete(session, own.id, owner_id=ada).name == "own"
    assert names(engine, ada) == ["for all"]


def test_there_is_a_most(engine, people, monkeypatch):
    monkeypatch.setattr(presets, "MOST", 2)
    for name in ("a", "b", "a"):
        kept(engine, people[0], name)
    with pytest.raises(TooManyPresets, match="delete one first"):
        kept(engine, people[0], "c")


@pytest.mark.parametrize(
    ("typed", "kept_as"),
    [("  A  b ", "A b"), ("볼륨 존", "볼륨 존"), ("e\u0301", "é"), ("<b>&'\"", "<b>&'\""), ("x" * 80, "x" * 80)],
)
def test_a_name_is_kept_as_people_see_it(typed, kept_as):
    assert checked_name(typed) == kept_as


@pytest.mark.parametrize("typed", ["", " \t\n", "x" * 81, "a\x00b", "a\u202eb", "a\u200bb", "a\x1b[0m", "\ud800"])
def test_a_name_that_cannot_be_shown_is_refused_with_what_is_allowed(typed):
    with pytest.raises(BadName, match="allowed: 1 to 80"):
        checked_name(typed)
