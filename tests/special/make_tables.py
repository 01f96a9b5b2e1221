"""Prints the coefficient tables of ops/special.c and ops/incomplete.c.

Needs mpmath.  Chebyshev tables are interpolated at 60 digits and cut where
the remaining coefficients no longer reach half an ulp of the leading one.
"""
from mpmath import mp, mpf, mpc, cos, pi, log, sqrt, exp, digamma, loggamma
from mpmath import erfinv, erfc, findroot, bernoulli, factorial, taylor, quad

mp.dps = 60


def chebyshev(f, lo, hi, nodes=80):
    lo, hi = mpf(lo), mpf(hi)
    ts = [cos(pi * (k + mpf(1) / 2) / nodes) for k in range(nodes)]
    fs = [f((hi - lo) / 2 * t + (hi + lo) / 2) for t in ts]
    cs = []
    for j in range(nodes):
        s = sum(v * cos(pi * j * (k + mpf(1) / 2) / nodes) for k, v in enumerate(fs))
        cs.append(s * (1 if j == 0 else 2) / nodes)
    n = nodes
    while n > 1 and abs(cs[n - 1]) < abs(cs[0]) * mpf(2) ** -57:
        n -= 1
    return cs[:n]


def show(name, cs):
    print("static const double %s[%d] = {" % (name, len(cs)))
    for i in range(0, len(cs), 3):
        print("    " + " ".join("%.17e," % float(c) for c in cs[i:i + 3]))
    print("};")


def erfcinv(q):
    """Newton on log erfc, which is nearly quadratic, from the leading asymptote."""
    y = sqrt(-log(q)) if q < mpf("0.1") else erfinv(1 - q)
    for _ in range(60):
        e = erfc(y)
        step = (log(e) - log(q)) * e * sqrt(pi) / 2 * exp(y * y)
        y += step
        if abs(step) < mpf(10) ** -50:
            break
    return y


def eta_over_mu(n):
    """Taylor coefficients in eta of eta/mu with eta^2/2 = mu - log(1+mu) (DLMF 8.12.1)."""
    def mu_series(m):
        # mu' = (1+mu) eta/mu, solved term by term for mu = sum m_k eta^k, m_1 = 1:
        # mu mu' = eta (1 + mu).
        c = [mpf(0), mpf(1)]
        for k in range(2, m + 1):
            s = sum(c[i] * c[k + 1 - i] * (k + 1 - i) for i in range(2, k))
            c.append((c[k - 1] - s) / (k + 1))
        return c
    m = mu_series(n + 2)
    f = [mpf(1)]
    for k in range(1, n + 1):
        f.append(-sum(f[i] * m[k + 1 - i] for i in range(k)))
    return f


if __name__ == "__main__":
    root = findroot(digamma, mpf("1.4616"))
    hi = float(root)
    print("/* digamma root: %s + %.17e */" % (hi.hex(), float(root - mpf(hi))))
    show("digamma_over_root", chebyshev(
        lambda x: digamma(x) / (x - root), 1, 2))
    show("lgamma1p_over_zeros", chebyshev(
        lambda a: loggamma(1 + a) / (a * (a - 1)), 0, 1))
    show("erfinv_centre", chebyshev(
        lambda s: erfinv(sqrt(s)) / sqrt(s), 0, mpf(1) / 4))
    # w = sqrt(-log q); for q < exp(-4) the smooth variable is 1/w.
    tail = lambda w: erfcinv(exp(-w * w)) / w
    show("erfcinv_near", chebyshev(tail, mpf("0.8"), 2))
    show("erfcinv_mid", chebyshev(lambda r: tail(1 / r), mpf(1) / 6, mpf(1) / 2))
    show("erfcinv_far", chebyshev(lambda r: tail(1 / r), mpf(1) / 28, mpf(1) / 6))
    show("bernoulli_over_factorial", [bernoulli(2 * k) / factorial(2 * k) for k in range(1, 13)])
    show("bernoulli_over_index", [bernoulli(2 * k) / (2 * k) for k in range(1, 9)])
    show("stirling", [bernoulli(2 * k) / (2 * k * (2 * k - 1)) for k in range(1, 9)])
    show("eta_over_mu", eta_over_mu(29))
