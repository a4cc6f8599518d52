"""What policies do is what the pipeline's rules say, and nothing is in service that was not known."""

from __future__ import annotations

import numpy as np

from pipeline.backtest.run import BacktestResult, Prepared, simulate
from pipeline.backtest.simulate import NO_CHAMPION, Outcome
from pipeline.contract import gates
from pipeline.evaluation.metrics import log_losses


def number_of(outcome: Outcome, name: str) -> int:
    return [policy.name for policy in outcome.policies].index(name)


def trainings(done: BacktestResult, name: str) -> int:
    return int(done.outcome.counts["trainings"][number_of(done.outcome, name)])


def test_every_candidate_is_failed_kept_or_registered(done: BacktestResult) -> None:
    counts = done.outcome.counts
    assert (counts["trainings"] == counts["failed_gate"] + counts["kept"] + counts["registered"]).all()
    assert (counts["registered"] == counts["refused"] + counts["approved"]).all()
    assert (counts["runs"] == len(done.prepared.world.run_days)).all()
    assert not counts["false_promotions"].any()
    assert not counts["missed_promotions"].any()


def test_schedules_train_as_often_as_they_say(done: BacktestResult) -> None:
    world = done.prepared.world
    news = int((np.diff(world.known) > 0).sum()) + 1  # the first run has something new, too
    assert trainings(done, "never") == 1
    assert trainings(done, "nightly") == trainings(done, "nightly, gate off") == news
    weeks = (world.run_days[-1] - world.run_days[0]) / 7
    assert weeks - 2 <= trainings(done, "weekly") <= weeks + 1
    games = (world.known[-1] - world.known[0]) / 100
    assert games - 2 <= trainings(done, "every 100 rows") <= games + 1
    assert trainings(done, "monthly + on-drift") == 3  # a healthy model: the monitor says nothing


def test_nothing_in_service_has_seen_the_games_of_its_day(done: BacktestResult) -> None:
    ends = np.array([candidate.end for candidate in done.prepared.calendar.candidates])
    champion = done.outcome.champion
    assert (champion[:, 0] == NO_CHAMPION).all()
    known = np.broadcast_to(done.prepared.world.known, champion.shape)
    assert (ends[champion[champion >= 0]] <= known[champion >= 0]).all()


def test_an_approval_takes_the_approvers_time(done: BacktestResult) -> None:
    late, soon = (
        done.outcome.champion[number_of(done.outcome, n)] for n in ("nightly, approved after 5 days", "nightly")
    )
    assert int((late >= 0).argmax()) == int((soon >= 0).argmax()) + 5
    waiting = done.outcome.counts["registered"]
    assert (
        waiting[number_of(done.outcome, "nightly, approved after 5 days")] > waiting[number_of(done.outcome, "nightly")]
    )


def test_decisions_are_those_of_the_gates_in_words(done: BacktestResult) -> None:
    """Each run of the nightly policy again, with `gates.judge_promotion` on one evaluation at a time."""
    prepared, number = done.prepared, number_of(done.outcome, "nightly")
    limits = prepared.settings.limits
    promoted = done.outcome.promoted[number]
    champion_day, decisions = -1, {True: 0, False: 0}
    evaluated = NO_CHAMPION
    for t, today in enumerate(prepared.world.run_days[:-1].tolist()):
        champion, candidate = int(done.outcome.champion[number, t]), int(prepared.calendar.of_run[0][t])
        champion_day = t - 1 if promoted[t] >= 0 else champion_day
        if candidate == evaluated or not prepared.passes[candidate]:
            continue
        evaluated = candidate
        evaluation: dict[str, object] = {"comparison": {"champion_exists": "no"}}
        if champion != NO_CHAMPION:
            pair = prepared.judgements.pair(champion, candidate)
            assert pair is not None
            evaluation = {
                "comparison": {
                    "champion_exists": "yes",
                    "difference": {"upper": pair.upper},
                    "improvement": -pair.mean,
                    "champion_age_days": today - int(prepared.world.run_days[champion_day]),
                }
            }
        verdict = gates.judge_promotion(prepared.settings.spec, evaluation, limits)
        assert verdict.promote == (promoted[t + 1] == candidate), verdict.reason
        decisions[verdict.promote] += 1
    assert min(decisions.values()) >= 2


def test_simulating_again_says_the_same(prepared: Prepared, done: BacktestResult) -> None:
    again = simulate(prepared, done.outcome.policies)
    assert (again.champion == done.outcome.champion).all()
    one = simulate(prepared, done.outcome.policies[2:3])
    assert (one.champion[0] == done.outcome.champion[2]).all()


def test_losses_by_day_are_those_of_the_predictions(done: BacktestResult) -> None:
    service = done.prepared.service
    for number, result in enumerate(done.results):
        p = service.predictions(done.outcome, number)
        assert np.isclose(log_losses(p, service.target).sum(), done.losses[number].sum())
        assert result.scores["n_rows"] == len(p)


def test_state_that_waits_for_the_model_is_another_forecast_of_the_same_champion(done: BacktestResult) -> None:
    fresh, stale = (number_of(done.outcome, n) for n in ("weekly", "weekly, state with the model"))
    assert (done.outcome.champion[fresh] == done.outcome.champion[stale]).all()
    p, q = (done.prepared.service.predictions(done.outcome, n) for n in (fresh, stale))
    served = done.outcome.champion[fresh, done.prepared.world.row_run[done.prepared.service.begin :]] >= 0
    assert (p[~served] == q[~served]).all()
    assert (p[served] != q[served]).mean() > 0.5


def test_the_oracle_bound_bounds_every_policy_on_fresh_state(done: BacktestResult) -> None:
    least = done.bounds[-1].loss
    for number, policy in enumerate(done.outcome.policies):
        if policy.window == 0:
            assert done.losses[number].sum() >= least - 1e-9
