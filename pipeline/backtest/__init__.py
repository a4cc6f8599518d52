"""Replay of history: what each policy of retraining would have done, night by night, with only what was known then.

    world       games, features and nights, loaded once by the production code
    fits        a model for each distinct training set: content-addressed, resumable, parallel
    judgements  what the gates say about a candidate and about a pair, memoised
    policies    when to train, what to let through, who approves: frozen, read from a YAML file
    simulate    all policies at once, night by night
    scores      what was in service, with paired intervals
    hindsight   the bound that nobody could have reached
    faults      a bad feed, a leak, a broken fit, from a date

It calls the pipeline's own functions for every rule: features, fit, walk forward, evaluation, gates, what is due.
"""
