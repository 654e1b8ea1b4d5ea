"""A sweep over λ_c: networks of different depth from one base, the knee of their accuracy, their Pareto front.

    from tfold.sweeps.plan import Plan, spread_strengths
    from tfold.sweeps.study import run_sweep

    plan = Plan("base.keras", "cifar10", spread_strengths(0.01, 1, 7), 3, {"alpha_epochs": 10, "post_epochs": 10})
    document = run_sweep(plan, "sweep", workers=2)      # the same call goes on where it was stopped or killed
    document["knee"]["depth"], document["knee"]["how"]

Trials are kept in an Optuna study (`pip install optuna`). Optuna tells workers apart and keeps what they found;
which trials there are is decided beforehand (`tfold.sweeps.plan`), nothing is sampled.
"""
