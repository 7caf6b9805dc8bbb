"""learning.landscape: why does descent work? The loss of a network, or of any function, seen from a point.

    from learning import landscape

    f = landscape.of_model(model, events, labels, loss)
    print(landscape.eigenpairs(f, 10), landscape.index(f))

Every tool takes an `Objective` and returns data that has a picture, `.plot()`, and a line that says what it means,
`.reading`. This file is a table of names; each is imported when it is first used.
"""

from typing import TYPE_CHECKING

from dvs.lazy import lazy_names

_HOMES = {
    "learning.landscape.bairds_star": ("Baird", "baird"),
    "learning.landscape.critical_points": (
        "IndexBySize",
        "IndexLaw",
        "all_uphill",
        "field_shares",
        "goe",
        "index_by_size",
        "index_law",
        "random_field",
        "semicircle_index",
    ),
    "learning.landscape.curvature": (
        "Density",
        "Eigenpairs",
        "Index",
        "Product",
        "density",
        "eigenpairs",
        "hessian",
        "hessian_operator",
        "hessian_product",
        "index",
    ),
    "learning.landscape.escape": (
        "Escape",
        "escape_time",
        "first_passage",
        "growth",
        "newton",
        "noise_variance",
        "quadratic",
        "share_outside",
        "steps_to_leave",
        "tied",
        "tied_minimum",
    ),
    "learning.landscape.field": (
        "Asymmetry",
        "LoopWork",
        "asymmetry",
        "loop_work",
        "stationary",
        "td_field",
        "update_field",
    ),
    "learning.landscape.finding": ("Finding",),
    "learning.landscape.gain": (
        "GainSweep",
        "gain_sweep",
    ),
    "learning.landscape.methods": (
        "Descent",
        "Descents",
        "Method",
        "Outcome",
        "Task",
        "by_optimiser",
        "descents",
        "metropolis",
        "proximal_point",
        "standard_methods",
        "task_of",
    ),
    "learning.landscape.objective": ("Objective", "of_function", "of_model"),
    "learning.landscape.pushes": (
        "Operation",
        "Push",
        "Robustness",
        "event_gradient",
        "fewest_events",
        "robustness",
    ),
    "learning.landscape.ridges": (
        "Comparison",
        "Node",
        "Saddle",
        "Solutions",
        "Tree",
        "compare_with_restarts",
        "ridge_rider",
        "saddle",
    ),
    "learning.landscape.slices": ("Line", "Plane", "filter_normalised", "line", "plane", "random_direction"),
    "learning.landscape.training_path": ("Kept", "Sharpness", "Trajectory", "sharpness", "trajectory"),
    "learning.landscape.widths": (
        "WidthSweep",
        "gaussian_sweep",
        "least_squares_risk",
        "ridge_risk",
        "width_sweep",
    ),
}

__all__, __getattr__, __dir__ = lazy_names(__name__, _HOMES)

if TYPE_CHECKING:
    from learning.landscape.bairds_star import Baird, baird
    from learning.landscape.critical_points import (
        IndexBySize,
        IndexLaw,
        all_uphill,
        field_shares,
        goe,
        index_by_size,
        index_law,
        random_field,
        semicircle_index,
    )
    from learning.landscape.curvature import (
        Density,
        Eigenpairs,
        Index,
        Product,
        density,
        eigenpairs,
        hessian,
        hessian_operator,
        hessian_product,
        index,
    )
    from learning.landscape.escape import (
        Escape,
        escape_time,
        first_passage,
        growth,
        newton,
        noise_variance,
        quadratic,
        share_outside,
        steps_to_leave,
        tied,
        tied_minimum,
    )
    from learning.landscape.field import (
        Asymmetry,
        LoopWork,
        asymmetry,
        loop_work,
        stationary,
        td_field,
        update_field,
    )
    from learning.landscape.finding import Finding
    from learning.landscape.gain import (
        GainSweep,
        gain_sweep,
    )
    from learning.landscape.methods import (
        Descent,
        Descents,
        Method,
        Outcome,
        Task,
        by_optimiser,
        descents,
        metropolis,
        proximal_point,
        standard_methods,
        task_of,
    )
    from learning.landscape.objective import Objective, of_function, of_model
    from learning.landscape.pushes import (
        Operation,
        Push,
        Robustness,
        event_gradient,
        fewest_events,
        robustness,
    )
    from learning.landscape.ridges import (
        Comparison,
        Node,
        Saddle,
        Solutions,
        Tree,
        compare_with_restarts,
        ridge_rider,
        saddle,
    )
    from learning.landscape.slices import Line, Plane, filter_normalised, line, plane, random_direction
    from learning.landscape.training_path import Kept, Sharpness, Trajectory, sharpness, trajectory
    from learning.landscape.widths import (
        WidthSweep,
        gaussian_sweep,
        least_squares_risk,
        ridge_risk,
        width_sweep,
    )
