"""Presets: everything about a backtest but its market and period, under a name. A person's own, or shared with all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from storage_core.db import insert_into, utc_now
from storage_core.errors import StorageError
from storage_core.models import Preset
from storage_core.names import checked_name

MARKET: Final = ("symbols", "timeframe", "start_date", "end_date", "candle_size", "timezone")
"""What a preset leaves out of a spec."""
MOST = 200


class PresetNotFound(StorageError):
    """No such preset, or it is somebody else's and not shared."""

    permanent = True

    def __init__(self, preset_id: int) -> None:
        self.preset_id = preset_id
        super().__init__(f"there is no preset {preset_id}")


class TooManyPresets(StorageError):
    """A person has as many presets as one may have."""

    permanent = True

    def __init__(self) -> None:
        self.allowed = MOST
        super().__init__(f"you have {MOST} presets, which is the most there may be; delete one first")


def save(session: Session, *, owner_id: int, name: str, spec: Mapping[str, Any], shared: bool = False) -> Preset:
    """Keep `spec` (as `spec_to_dict` gives it) without its market as the owner's preset `name` of its strategy.

    One of that name is overwritten. Raises BadName and TooManyPresets. Does not commit.
    """
    name = checked_name(name)
    fields = {key: value for key, value in spec.items() if key not in MARKET}
    same = Preset.owner_id == owner_id, Preset.strategy == spec["strategy"], Preset.name == name
    mine = session.scalar(select(func.count()).where(Preset.owner_id == owner_id)) or 0
    if mine >= MOST and session.scalar(select(Preset.id).where(*same)) is None:
        raise TooManyPresets
    values = {"fields": fields, "shared": shared, "updated_at": utc_now()}
    kept = insert_into(session, Preset).values(owner_id=owner_id, strategy=spec["strategy"], name=name, **values)
    session.execute(kept.on_conflict_do_update(index_elements=["owner_id", "strategy", "name"], set_=values))
    return session.scalars(select(Preset).where(*same), execution_options={"populate_existing": True}).one()


def listed(session: Session, *, owner_id: int, strategy: str | None = None) -> Sequence[Preset]:
    """The owner's presets and the shared ones (of one strategy, or of all), by strategy and name."""
    query = select(Preset).where(_visible(owner_id)).order_by(Preset.strategy, Preset.name, Preset.id)
    return session.scalars(query if strategy is None else query.where(Preset.strategy == strategy)).all()


def get(session: Session, preset_id: int, *, owner_id: int) -> Preset:
    """A preset that the person may load; raises PresetNotFound."""
    preset = session.scalar(select(Preset).where(Preset.id == preset_id, _visible(owner_id)))
    if preset is None:
        raise PresetNotFound(preset_id)
    return preset


def delete(session: Session, preset_id: int, *, owner_id: int) -> Preset:
    """Remove a preset of the owner's; what it was. Raises PresetNotFound. Does not commit."""
    preset = session.scalar(select(Preset).where(Preset.id == preset_id, Preset.owner_id == owner_id))
    if preset is None:
        raise PresetNotFound(preset_id)
    session.delete(preset)
    session.flush()
    return preset


def _visible(owner_id: int) -> Any:
    return or_(Preset.owner_id == owner_id, Preset.shared)
