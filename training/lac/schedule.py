"""The learning rate of a step."""


def learning_rate(step: int, *, steps: int, peak: float, warmup_steps: int) -> float:
    """Linear warm-up, then linear decay (LADM, ACL 2025, appendix).

    A pure function of the step, so there is no scheduler state to lose. Steps count from 1: step `warmup_steps` has the
    peak, step `steps` the last share above zero, so no step is taken with a rate of 0.
    """
    if step <= warmup_steps:
        return peak * step / warmup_steps
    return peak * (steps - step + 1) / max(1, steps - warmup_steps)
