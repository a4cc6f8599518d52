"""Backtest: what each policy of retraining would have done, run by run, with only what was known then.

    world         rows, features and run days of any workload, loaded once by the production code
    fits          a model for each distinct training set: content-addressed, resumable, parallel
    judgements    what the gates say about a candidate and about a pair, and the monitor about a champion, memoised
    policies      when to train, what to let through, who approves: frozen, read from a YAML file
    simulate      all policies at once, run by run
    service       what was in service, and its losses
    results       scores with paired intervals, the choice of a policy, and the bound that only hindsight finds
    faults        a bad feed, a leak, a broken fit, from a date

It calls the pipeline's own functions for every rule: labels known, features, fit, walk forward, evaluation, gates, what
is due.
"""
