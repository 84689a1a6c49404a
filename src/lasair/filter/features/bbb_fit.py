"""The black-body light-curve models, their least-squares fit and the choice between them.

Levenberg-Marquardt with a trust region in scaled parameters after Moré (1978, Lecture Notes in Mathematics 630,
p. 105), the method of MINPACK, so that from the same start it walks to the same of several minima. The Jacobian is
analytic. The step comes from the singular values of the small triangular factor, where a Jacobian without full
rank needs no special case.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lasair.filter.features.blackbody import SECOND_RADIATION
from lasair.schema.model import FORCED

#: Models: F = A B(λ, T) exp(-kf τ) / (1 + exp(-kr τ)), τ = t - t0, with parameters A, T, t0, kr, kf;
#: F = A B(λ, T) exp(k t) with parameters A, T, k.
BAZIN, EXPONENTIAL = 0, 1

MIN_SOURCES = 5
#: Forced measurements taken from before the first detection.
MAX_FORCED = 4
#: Largest part of the variance that an accepted fit leaves unexplained, by model.
MAX_UNEXPLAINED_BAZIN, MAX_UNEXPLAINED_EXPONENTIAL = 0.25, 0.35
#: Largest accepted rates [1/d].
MAX_RISE_BAZIN, MAX_FALL_BAZIN, MAX_RATE_EXPONENTIAL = 15.0, 2.0, 2.0
#: An exponential rate below this many standard errors (of residuals of 1 nJy) is not accepted.
MIN_RATE_SIGNIFICANCE = 10.0

#: Where fits start: A, T, t0, kr, kf; the second is tried when the first gives nothing.
STARTS: NDArray[np.float64] = np.array([[100.0, 4.0, 6.0, 0.1, 0.01], [1000.0, 4.0, -5.0, 0.01, 0.01]])

#: Evaluations after which a fit is given up; a Jacobian counts as one per parameter, as by finite differences.
MAX_EVALUATIONS = 500
#: Relative change of the sum of squares, and of the parameters, that ends a fit: MINPACK's usual choice.
_TOLERANCE = 1.49012e-8
_FIRST_STEP = 100.0
_EPSILON = 2.220446049250313e-16
_TINY = 2.2250738585072014e-308


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def black_body(temperature: float, wavelength: float) -> tuple[float, float]:
    """B(λ, T) = λ^-3 / (exp(14.387 / λT) - 1) and its derivative by T, for λ in µm and T in kK."""
    u = SECOND_RADIATION / (wavelength * temperature)
    if not u < 700.0:  # too cold to shine, and exp would overflow
        return 0.0, 0.0
    value = 1.0 / (wavelength**3 * math.expm1(u))
    return value, value * u / (temperature * -math.expm1(-u))


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def evaluate(
    model: int,
    x: NDArray[np.float64],
    t: NDArray[np.float64],
    band: NDArray[np.int8],
    flux: NDArray[np.float64],
    wavelengths: NDArray[np.float64],
    residual: NDArray[np.float64],
    jacobian: NDArray[np.float64],
    derivatives: bool,
) -> float:
    """Fill `residual` (model - flux) and, if asked, `jacobian` (one row a parameter).

    Returns the norm of the residual: NaN where the model is infinite, inf where only the norm is.
    """
    amplitude, temperature = x[0], x[1]
    shine = np.empty((2, len(wavelengths)))
    for b in range(len(wavelengths)):
        shine[0, b], shine[1, b] = black_body(temperature, wavelengths[b])
    total = 0.0
    for j in range(len(t)):
        if model == BAZIN:
            tau = t[j] - x[2]
            grow = x[3] * tau
            # both forms are the same number; each overflows where the other does not
            if grow >= 0.0:
                fade = math.exp(-grow)
                shape = math.exp(-x[4] * tau) / (1.0 + fade)
                rest = fade / (1.0 + fade)
            else:
                fade = math.exp(grow)
                shape = math.exp(grow - x[4] * tau) / (1.0 + fade)
                rest = 1.0 / (1.0 + fade)
        else:
            tau = t[j]
            rest = 0.0
            shape = math.exp(x[2] * tau)
        by_amplitude = shine[0, band[j]] * shape
        value = amplitude * by_amplitude
        residual[j] = value - flux[j]
        total += residual[j] * residual[j]
        if derivatives:
            jacobian[0, j] = by_amplitude
            jacobian[1, j] = amplitude * shine[1, band[j]] * shape
            if model == BAZIN:
                jacobian[2, j] = value * (x[4] - x[3] * rest)
                jacobian[3, j] = value * tau * rest
                jacobian[4, j] = -value * tau
            else:
                jacobian[2, j] = value * tau
    if not math.isfinite(total):
        for j in range(len(t)):
            if not math.isfinite(residual[j]):
                return math.nan
    return math.sqrt(total)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def triangular(jacobian: NDArray[np.float64], residual: NDArray[np.float64], work: NDArray[np.float64]) -> Any:
    """R (p, p) of the Jacobian's QR factors and Q^T residual (p,), by Householder reflections."""
    p, m = jacobian.shape
    for k in range(p):
        for j in range(m):
            work[k, j] = jacobian[k, j]
    for j in range(m):
        work[p, j] = residual[j]
    factor = np.zeros((p, p))
    rotated = np.zeros(p)
    for k in range(p):
        length = 0.0
        for j in range(k, m):
            length += work[k, j] * work[k, j]
        length = math.sqrt(length)
        if length > 0.0:
            if work[k, k] < 0.0:
                length = -length
            for j in range(k, m):
                work[k, j] /= length
            work[k, k] += 1.0
            for c in range(k + 1, p + 1):
                dot = 0.0
                for j in range(k, m):
                    dot += work[k, j] * work[c, j]
                dot /= work[k, k]
                for j in range(k, m):
                    work[c, j] -= dot * work[k, j]
        factor[k, k] = -length
        for c in range(k + 1, p):
            factor[k, c] = work[c, k]
        rotated[k] = work[p, k]
    return factor, rotated


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def singular(matrix: NDArray[np.float64]) -> Any:
    """U S, S, V of a small square matrix by one-sided Jacobi rotations (Golub & Van Loan, 8.6.3)."""
    p = len(matrix)
    left = matrix.copy()
    right = np.eye(p)
    for _ in range(30):
        rotated = False
        for i in range(p - 1):
            for j in range(i + 1, p):
                a = b = c = 0.0
                for k in range(p):
                    a += left[k, i] * left[k, i]
                    b += left[k, j] * left[k, j]
                    c += left[k, i] * left[k, j]
                if not abs(c) > 1e-15 * math.sqrt(a * b):
                    continue
                rotated = True
                zeta = (b - a) / (2.0 * c)
                tangent = math.copysign(1.0, zeta) / (abs(zeta) + math.sqrt(1.0 + zeta * zeta))
                cosine = 1.0 / math.sqrt(1.0 + tangent * tangent)
                sine = cosine * tangent
                for k in range(p):
                    first, second = left[k, i], left[k, j]
                    left[k, i], left[k, j] = cosine * first - sine * second, sine * first + cosine * second
                    first, second = right[k, i], right[k, j]
                    right[k, i], right[k, j] = cosine * first - sine * second, sine * first + cosine * second
        if not rotated:
            break
    values = np.empty(p)
    for i in range(p):
        square = 0.0
        for k in range(p):
            square += left[k, i] * left[k, i]
        values[i] = math.sqrt(square)
    return left, values, right


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def damping(values: NDArray[np.float64], gradient: NDArray[np.float64], delta: float, start: float) -> float:
    """The Levenberg-Marquardt parameter whose step is as long as the trust region, to a tenth.

    `values` are the singular values of the scaled Jacobian, `gradient` the scaled gradient in their basis. 0 when
    the full Gauss-Newton step fits. Moré's safeguarded Newton iteration on the length of the step.
    """
    p = len(values)
    largest = 0.0
    for i in range(p):
        largest = max(largest, values[i])
    floor = largest * _EPSILON * p
    full_rank = True
    square = bend = steepest = 0.0
    for i in range(p):
        steepest += gradient[i] * gradient[i]
        if values[i] > floor:
            step = gradient[i] / (values[i] * values[i])
            square += step * step
            bend += step * step / (values[i] * values[i])
        else:
            full_rank = False
    length = math.sqrt(square)
    excess = length - delta
    if excess <= 0.1 * delta:
        return 0.0
    low = excess / delta / (bend / square) if full_rank else 0.0
    steepest = math.sqrt(steepest)
    high = steepest / delta
    if high == 0.0:
        high = _TINY / min(delta, 0.1)
    parameter = min(max(start, low), high)
    if parameter == 0.0:
        parameter = steepest / length
    for k in range(10):
        if parameter == 0.0:
            parameter = max(_TINY, 0.001 * high)
        square = bend = 0.0
        for i in range(p):
            denominator = values[i] * values[i] + parameter
            step = gradient[i] / denominator
            square += step * step
            bend += step * step / denominator
        before = excess
        length = math.sqrt(square)
        excess = length - delta
        if abs(excess) <= 0.1 * delta or (low == 0.0 and excess <= before < 0.0) or k == 9:
            break
        correction = excess / delta / (bend / square)
        if excess > 0.0:
            low = max(low, parameter)
        elif excess < 0.0:
            high = min(high, parameter)
        parameter = max(low, parameter + correction)
    return parameter


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def minimise(
    model: int,
    x: NDArray[np.float64],
    t: NDArray[np.float64],
    band: NDArray[np.int8],
    flux: NDArray[np.float64],
    wavelengths: NDArray[np.float64],
) -> tuple[float, bool, float]:
    """Fit the model, from the parameters in `x` to the best ones there.

    Parameters
    ----------
    model : BAZIN or EXPONENTIAL
    x : (5,) or (3,)
        Start; overwritten by the solution.
    t : (m,) [d]
    band : (m,) index in `wavelengths`
    flux : (m,) [nJy]
    wavelengths : (6,) [µm]

    Returns
    -------
    Sum of squared residuals; whether the fit converged; variance of the last parameter for residuals of unit
    variance (inf when the Jacobian has not full rank).
    """
    p, m = len(x), len(t)
    residual, trial_residual = np.empty(m), np.empty(m)
    jacobian = np.empty((p, m))
    work = np.empty((p + 1, m))
    scale = np.empty(p)
    trial, step, gradient = np.empty(p), np.empty(p), np.empty(p)
    norm = evaluate(model, x, t, band, flux, wavelengths, residual, jacobian, True)
    evaluations = 1
    parameter = 0.0
    delta = x_norm = 0.0
    first = True
    converged = False
    variance = math.inf
    while True:
        evaluations += p
        factor, rotated = triangular(jacobian, residual, work)
        for k in range(p):
            length = 0.0
            for r in range(k + 1):
                length += factor[r, k] * factor[r, k]
            length = math.sqrt(length)
            if first:
                scale[k] = length if length > 0.0 else 1.0
            else:
                scale[k] = max(scale[k], length)
        if first:
            x_norm = 0.0
            for k in range(p):
                x_norm += (scale[k] * x[k]) ** 2
            x_norm = math.sqrt(x_norm)
            delta = _FIRST_STEP * x_norm
            if delta == 0.0:
                delta = _FIRST_STEP
        for r in range(p):
            for k in range(p):
                factor[r, k] /= scale[k]
        left, values, right = singular(factor)
        variance = _variance(values, right, scale)
        slope = 0.0
        for i in range(p):
            gradient[i] = 0.0
            for k in range(p):
                gradient[i] += left[k, i] * rotated[k]
            slope = max(slope, abs(gradient[i]))
        if not math.isfinite(norm) or not math.isfinite(slope) or slope == 0.0 or norm == 0.0:
            converged = math.isfinite(norm) and math.isfinite(slope)
            break
        gain = 0.0
        while True:
            parameter = damping(values, gradient, delta, parameter)
            floor = values.max() * _EPSILON * p
            step[:] = 0.0
            step_norm = linear = 0.0
            for i in range(p):
                denominator = values[i] * values[i] + parameter
                if parameter == 0.0 and values[i] <= floor:
                    continue
                part = gradient[i] / denominator
                step_norm += part * part
                linear += (values[i] * part) ** 2
                for k in range(p):
                    step[k] -= right[k, i] * part
            step_norm = math.sqrt(step_norm)
            trial_x_norm = 0.0
            for k in range(p):
                trial[k] = x[k] + step[k] / scale[k]
                trial_x_norm += (scale[k] * trial[k]) ** 2
            trial_x_norm = math.sqrt(trial_x_norm)
            if first:
                delta = min(delta, step_norm)
            trial_norm = evaluate(model, trial, t, band, flux, wavelengths, trial_residual, jacobian, False)
            evaluations += 1
            actual = -1.0
            if 0.1 * trial_norm < norm:
                actual = 1.0 - (trial_norm / norm) ** 2
            by_model = linear / (norm * norm)
            by_damping = parameter * (step_norm / norm) ** 2
            predicted = by_model + 2.0 * by_damping
            directional = -(by_model + by_damping)
            gain = actual / predicted if predicted != 0.0 else 0.0
            if gain <= 0.25:
                shrink = 0.5 if actual >= 0.0 else 0.5 * directional / (directional + 0.5 * actual)
                # false for a NaN: a step that overflowed is shortened less, as MINPACK does
                if 0.1 * trial_norm >= norm or shrink < 0.1:
                    shrink = 0.1
                delta = shrink * min(delta, 10.0 * step_norm)
                parameter /= shrink
            elif parameter == 0.0 or gain >= 0.75:
                delta = 2.0 * step_norm
                parameter *= 0.5
            if gain >= 1e-4:
                x[:] = trial
                x_norm = trial_x_norm
                norm = trial_norm
                first = False
            if (abs(actual) <= _TOLERANCE and predicted <= _TOLERANCE and gain <= 2.0) or delta <= _TOLERANCE * x_norm:
                converged = True
                break
            if evaluations >= MAX_EVALUATIONS:
                break
            # below rounding nothing can improve any more: as good as converged
            if (abs(actual) <= _EPSILON and predicted <= _EPSILON and gain <= 2.0) or delta <= _EPSILON * x_norm:
                converged = True
                break
            if gain >= 1e-4:
                break
        if converged or evaluations >= MAX_EVALUATIONS:
            break
        evaluate(model, x, t, band, flux, wavelengths, residual, jacobian, True)
    return norm * norm, converged, variance


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _variance(values: NDArray[np.float64], right: NDArray[np.float64], scale: NDArray[np.float64]) -> float:
    """Last diagonal element of the inverse of J^T J, from the factors of the scaled J; inf if it is singular."""
    p = len(values)
    total = 0.0
    for i in range(p):
        if values[i] <= values.max() * _EPSILON * p:
            return math.inf
        total += (right[p - 1, i] / values[i]) ** 2
    return float(total / scale[p - 1] ** 2)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def fit_curves(
    wanted: NDArray[np.bool_],
    offsets: NDArray[np.int64],
    mjd: NDArray[np.float64],
    flux: NDArray[np.float64],
    band: NDArray[np.int8],
    row_offsets: NDArray[np.int64],
    row_kind: NDArray[np.uint8],
    row_mjd: NDArray[np.float64],
    row_flux: NDArray[np.float32],
    row_band: NDArray[np.uint8],
    correction: NDArray[np.float64],
    band_index: NDArray[np.int8],
    wavelengths: NDArray[np.float64],
    starts: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Rise rate, fall rate, temperature, peak flux and peak MJD of each alert, (5, n); NaN where there is none.

    `wanted` says which alerts to fit; `offsets` to `band` are their detections (see detections.py), `row_…` all
    rows of the batch, of which the forced ones count; `correction` (n, 6) undoes the extinction.
    """
    n = len(offsets) - 1
    out = np.full((5, n), np.nan)
    for i in range(n):
        if not wanted[i]:
            continue
        size = offsets[i + 1] - offsets[i] + MAX_FORCED
        t, f, b = np.empty(size), np.empty(size), np.empty(size, np.int8)
        m = 0
        zero = math.nan
        for j in range(offsets[i], offsets[i + 1]):
            if band[j] >= 0:
                if m == 0:
                    zero = mjd[j]
                t[m], b[m] = mjd[j] - zero, band[j]
                f[m] = flux[j] * correction[i, band[j]]
                m += 1
        if m < MIN_SOURCES:
            continue
        forced = 0
        for j in range(row_offsets[i + 1] - 1, row_offsets[i] - 1, -1):
            if forced == MAX_FORCED:
                break
            c = band_index[row_band[j]]
            if row_kind[j] == FORCED and row_mjd[j] < zero and c >= 0 and math.isfinite(row_flux[j]):
                t[m], b[m] = row_mjd[j] - zero, c
                f[m] = row_flux[j] * correction[i, c]
                m += 1
                forced += 1
        for start in starts:
            model, x, y = _best(t[:m], b[:m], f[:m], wavelengths, start)
            if model == BAZIN:
                out[0, i], out[1, i], out[2, i] = x[3], x[4], x[1]
                if x[3] > x[4] > 0.0:
                    peak = x[2] - math.log(x[4] / (x[3] - x[4])) / x[3]
                    out[3, i] = _peak_flux(x, peak, wavelengths)
                    out[4, i] = zero + peak
                break
            if model == EXPONENTIAL:
                out[0, i], out[2, i] = y[2], y[1]
                break
    return out


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _best(
    t: NDArray[np.float64],
    band: NDArray[np.int8],
    flux: NDArray[np.float64],
    wavelengths: NDArray[np.float64],
    start: NDArray[np.float64],
) -> Any:
    """The accepted model with the lower Akaike criterion (-1: none) and the parameters of both."""
    n = len(t)
    mean = flux.mean()
    scatter = ((flux - mean) ** 2).sum()
    model = -1
    least = math.inf
    x = start.copy()
    squares, converged, _ = minimise(BAZIN, x, t, band, flux, wavelengths)
    if (
        converged
        and squares <= MAX_UNEXPLAINED_BAZIN * scatter
        and 0.0 <= x[3] <= MAX_RISE_BAZIN
        and 0.0 <= x[4] <= MAX_FALL_BAZIN
        and _shines(x, scatter)
    ):
        model = BAZIN
        least = n * math.log(squares / n) + 2.0 * 5.0
    y = np.array([start[0], start[1], start[3] - start[4]])
    squares, converged, variance = minimise(EXPONENTIAL, y, t, band, flux, wavelengths)
    if (
        converged
        and squares <= MAX_UNEXPLAINED_EXPONENTIAL * scatter
        and 0.0 <= y[2] <= MAX_RATE_EXPONENTIAL
        and MIN_RATE_SIGNIFICANCE * math.sqrt(variance) <= y[2]
        and _shines(y, scatter)
        and n * math.log(squares / n) + 2.0 * 3.0 < least
    ):
        model = EXPONENTIAL
    return model, x, y


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _shines(x: NDArray[np.float64], scatter: float) -> bool:
    """Whether the parameters are of a body at all: it has a temperature, gives light, and the light changes."""
    return x[0] > 0.0 and x[1] > 0.0 and scatter > 0.0


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _peak_flux(x: NDArray[np.float64], peak: float, wavelengths: NDArray[np.float64]) -> float:
    brightest = 0.0
    for wavelength in wavelengths:
        brightest = max(brightest, black_body(x[1], wavelength)[0])
    tau = peak - x[2]
    # through logarithms: the two exponentials of a steep rise overflow one by one
    grow = x[3] * tau
    log_shape = -x[4] * tau - (math.log1p(math.exp(-grow)) if grow >= 0.0 else math.log1p(math.exp(grow)) - grow)
    return float(x[0] * brightest * math.exp(log_shape))
