"""What a backtest means, as slow and obvious Python, written from docs/engine.md without any code of the engine."""

from dataclasses import dataclass, field
from math import ceil, floor, inf, isclose


@dataclass
class ModelTrade:
    side: int
    entry_bar: int
    entry_price: float
    quantity: float
    fee: float
    slippage: float
    seen: list = field(default_factory=list)  # prices seen while held
    exit_bar: int = -1
    exit_price: float | None = None
    exit_reason: str = "open"
    pnl: float = 0.0

    @property
    def return_(self):
        return self.pnl / (self.quantity * self.entry_price)

    @property
    def mae(self):
        return min(
            self.side * (price - self.entry_price) / self.entry_price for price in [self.entry_price, *self.seen]
        )

    @property
    def mfe(self):
        return max(
            self.side * (price - self.entry_price) / self.entry_price for price in [self.entry_price, *self.seen]
        )


class Model:
    def __init__(self, spec, strategy_hold=None, best_case=False):
        self.spec = spec
        self.best_case = best_case
        holds = [bars for bars in (spec.exits.hold_bars, strategy_hold) if bars is not None]
        self.hold = min(holds) if holds else None
        self.cash = spec.initial_cash
        self.trades = []
        self.position = None
        self.pending_exit = None
        self.pending_entry = 0
        self.ambiguous = 0
        self.unfilled = 0
        self.equity = []
        self.drawdown = []

    # -- fills -----------------------------------------------------------------------------------------------------

    def price_with_slippage(self, price, buying):
        slip = self.spec.costs.slippage_rate
        result = price * (1 + slip) if buying else price * (1 - slip)
        tick = self.spec.sizing.price_tick
        if tick is not None:
            result = max(rounded(result, tick, upwards=buying), tick)
        return result

    def quantity_to_buy(self, price):
        sizing, fee = self.spec.sizing, self.spec.costs.fee_rate
        if self.cash <= 0:
            return 0.0
        quantity = {
            "all_in": lambda: self.cash / (price * (1 + fee)),
            "fraction": lambda: sizing.value * self.cash / (price * (1 + fee)),
            "fixed_notional": lambda: sizing.value / price,
            "fixed_quantity": lambda: sizing.value,
        }[sizing.kind]()
        if sizing.quantity_step is not None:
            quantity = rounded(quantity, sizing.quantity_step, upwards=False)
        if quantity * price * (1 + fee) > self.cash * (1 + 1e-12):  # no leverage
            return 0.0
        return quantity

    def enter(self, bar, price, side):
        fill = self.price_with_slippage(price, buying=side > 0)
        quantity = self.quantity_to_buy(fill)
        if quantity <= 0:
            self.unfilled += 1
            return
        fee = self.spec.costs.fee_rate * quantity * fill
        self.cash -= side * quantity * fill
        self.cash -= fee
        self.position = ModelTrade(side, bar, fill, quantity, fee, quantity * abs(fill - price))
        self.trades.append(self.position)

    def leave(self, bar, price, reason):
        trade = self.position
        trade.seen.append(price)
        fill = self.price_with_slippage(price, buying=trade.side < 0)
        fee = self.spec.costs.fee_rate * trade.quantity * fill
        self.cash += trade.side * trade.quantity * fill
        self.cash -= fee
        trade.fee += fee
        trade.slippage += trade.quantity * abs(fill - price)
        trade.exit_bar, trade.exit_price, trade.exit_reason = bar, fill, reason
        trade.pnl = trade.side * (fill - trade.entry_price) * trade.quantity - trade.fee
        self.position = None

    # -- one bar ---------------------------------------------------------------------------------------------------

    def levels(self):
        """(stop level, its reason, target level) of the open position; None where there is none."""
        trade, exits = self.position, self.spec.exits
        stop, reason, target = None, None, None
        if exits.stop_loss is not None:
            stop, reason = trade.entry_price * (1 - trade.side * exits.stop_loss), "stop"
        if exits.trailing_stop is not None:
            best = (max if trade.side > 0 else min)([trade.entry_price, *trade.seen])
            trailing = best - trade.side * exits.trailing_stop * trade.entry_price
            nearer = stop is None or (trailing > stop if trade.side > 0 else trailing < stop)
            if nearer:
                stop, reason = trailing, "trailing"
        if exits.take_profit is not None:
            target = trade.entry_price * (1 + trade.side * exits.take_profit)
        return stop, reason, target

    def stops_and_targets(self, bar, open_, high, low):
        trade = self.position
        if trade is None:
            return
        live = bar > trade.entry_bar or self.spec.exits.stops_from == "entry_bar"
        stop, reason, target = self.levels()
        down, up = (low, high) if trade.side > 0 else (-high, -low)  # a short is a long of the negative price
        start = open_ * trade.side
        stop_at = -inf if stop is None else stop * trade.side
        target_at = inf if target is None else target * trade.side
        if live and start <= stop_at:
            trade.seen.append(open_)
            self.leave(bar, open_, reason)
        elif live and (down <= stop_at or up >= target_at):
            both = down <= stop_at and up >= target_at
            self.ambiguous += both
            take_stop = down <= stop_at and not (both and self.best_case)
            trade.seen.append(open_)
            if take_stop:
                self.leave(bar, stop, reason)
            else:
                self.leave(bar, open_ if start >= target_at else target, "target")
        else:
            trade.seen += [high, low]

    def at_close(self, bar, close, enter, leave, enter_short, leave_short):
        if self.spec.direction == "long":
            enter_short = leave_short = False
        if self.spec.direction == "short":
            enter = leave = False
        same_close = self.spec.fill == "same_close"
        reason = None
        if self.position is not None:
            held = bar - self.position.entry_bar + (0 if same_close else 1)
            if self.hold is not None and held >= self.hold:
                reason = "time"
            elif (self.position.side > 0 and leave) or (self.position.side < 0 and leave_short):
                reason = "signal"
        side = int(enter) - int(enter_short)
        if same_close:
            if reason:
                self.leave(bar, close, reason)
            if side and self.position is None:
                self.enter(bar, close, side)
        else:
            self.pending_exit = reason
            self.pending_entry = side

    def run(self, bars, signals):
        peak = self.spec.initial_cash
        for i in range(len(bars)):
            open_, high, low, close = (float(column[i]) for column in (bars.open, bars.high, bars.low, bars.close))
            if self.pending_exit:
                self.leave(i, open_, self.pending_exit)
            if self.pending_entry and self.position is None:
                self.enter(i, open_, self.pending_entry)
            self.pending_exit, self.pending_entry = None, 0
            self.stops_and_targets(i, open_, high, low)
            self.at_close(i, close, *(bool(flags[i]) for flags in signals))
            held = 0.0 if self.position is None else self.position.side * self.position.quantity
            self.equity.append(self.cash + held * close)
            peak = max(peak, self.equity[-1])
            self.drawdown.append(1 - self.equity[-1] / peak)
        if self.position is not None:
            trade = self.position
            trade.pnl = trade.side * (close - trade.entry_price) * trade.quantity - trade.fee
        return self


def rounded(value, step, upwards):
    units = value / step
    if isclose(units, round(units), rel_tol=1e-12, abs_tol=0.0):
        count = round(units)
    else:
        count = ceil(units) if upwards else floor(units)
    per_unit = round(1 / step)
    if per_unit and isclose(per_unit * step, 1, rel_tol=1e-12):
        return count / per_unit
    return count * step
