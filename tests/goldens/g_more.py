"""More points for the functions with few, and compositions that mix families. Ids get an m: NAME-mK."""
import math

from core import B, E, F32, I, R, point

INF, NAN = math.inf, math.nan


def points():
    p = point
    p("positive", "positive(x)", x=[0.0, 1e300, -1e-300])
    p("stop_gradient", "x * x + stop_gradient(x * x)", d={"x": [3.0, -1.0]}, d2={"x,x": [2, 2]}, x=[1.5, -0.5])
    p("lstsq", "sum(square(a @ lstsq(a, b) - b))", a=[[1.0, 0.5], [-0.25, 2.0], [0.75, -1.0]], b=R(3, 1))
    p("lstsq", "lstsq(a, b)", a=[[1.0, 2.0], [0.5, -1.0]], b=R(2, 2))
    p("zeta", "zeta(2.0, q)", q=1.0)
    p("zeta", "zeta(s, q)", s=[3.0, 4.0], q=[2.0, 0.125], wrt=["q"])
    p("softmax", "log(softmax(x, -1))", x=R(1, 3))
    p("logsumexp", "logsumexp(x @ w, 1)", x=R(2, 2), w=R(2, 2))
    p("logsumexp", "logsumexp(x * 10, 0) / 10", x=R(3))
    p("cross_entropy", "cross_entropy(tanh(x @ w) @ v, t)", x=R(2, 2), w=R(2, 2), v=R(2, 3), t=I([2, 0]))
    p("mse_loss", "mse_loss(sigmoid(x @ w), t)", x=R(2, 2), w=R(2, 1), t=[[0.0], [1.0]], wrt=["x", "w"])
    p("prod", "prod(sin(x)) + prod(x[1:])", x=[0.0, 0.5, 2.0])
    p("cumprod", "sum(cumprod(x, 0) * y)", x=[0.0, 0.5, 2.0], y=R(3))
    p("pow", "pow(x, x)", x=[0.5, 1.0, 3.0])
    p("pow", "x ** 2 + x ** 3 - x ** -1", x=[0.5, -1.0, 3.0], atol=1e-14)
    p("pow", "(-2.0) ** n", n=I([0, 1, 2, 3]))
    p("pow", "pow(x, 0.0)", d={"x": [0, 0]}, d2={"x,x": [0, 0]}, x=[0.0, 2.0])
    p("pow", "pow(x, 4)", d={"x": [0]}, d2={"x,x": [0]}, x=[0.0])
    p("pow", "pow(x, 1.5)", d={"x": [0]}, d2={"x,x": [INF]}, x=[0.0])
    p("pow", "pow(x, 2.5)", d={"x": [0]}, d2={"x,x": [0]}, x=[0.0])
    p("pow", "pow(0.0, y)", d={"y": [0]}, d2={"y,y": [0]}, y=[2.0])
    p("pow", "pow(1.0, y)", d={"y": [0, 0]}, d2={"y,y": [0, 0]}, y=[2.0, -3.5])
    p("matmul", "matmul(matmul(x, x), x)", x=R(2, 2))
    p("var", "var(x) / mean(x)", x=R(3, lo=0.5, hi=2))
    p("vector_norm", "vector_norm(x - y)", x=R(3), y=R(3))
    p("where", "where(x > y, x * y, x - y)", x=R(2, 2), y=R(2))
    p("gather", "gather(log_softmax(x, -1), 1, i)", x=R(2, 3), i=I([[2], [0]]))
    p("index_select", "sum(index_select(exp(x), 0, i) * y)", x=R(3), y=R(2), i=I([2, 2]))
    p("einsum", "einsum('ij,jk,kl->il', a, b, c)", a=R(1, 2), b=R(2, 2), c=R(2, 1))
    p("det", "log(det(x @ x.T))", x=[[1.0, 0.5], [-0.25, 2.0]])
    p("solve", "x @ solve(a, x)", a=[[2.0, 0.5], [0.5, 1.0]], x=R(2))
    p("inv", "trace(inv(a) @ b)", a=[[2.0, 0.5], [0.25, 1.0]], b=R(2, 2))
    p("slogdet", "slogdet(x)[1]", x=[[1.0, 0.5], [-0.25, -2.0]])
    p("sort", "sort(x)[0] * w", x=R(3), w=R(3))
    p("cumsum", "exp(cumsum(x, -1))", x=R(2, 2, lo=-1, hi=1))
    p("concatenate", "concatenate([x, exp(y), x * 2])", x=R(2), y=R(1))
    p("tanh", "tanh(tanh(tanh(x)))", x=[0.5, -2.0])
    p("exp", "exp(-x * x / 2)", x=[0.0, 1.0, -3.0], atol=1e-16)
    p("sin", "sin(x) * cos(y)", x=R(2, 1), y=R(2), atol=4e-16)
    p("log", "log(1 + exp(x))", x=R(3))
    p("sigmoid", "sigmoid(x * w + b)", x=R(2), w=1.5, b=-0.25, atol=4e-16)
    p("sqrt", "sqrt(x * x + y * y)", x=R(2, lo=0.5, hi=2), y=R(2, lo=0.5, hi=2), atol=4e-16)
    p("atan2", "atan2(sin(x), cos(x))", x=[0.5, 2.5], atol=4e-15)
    # 0-d and size-1 tensors against larger ones
    for name in ("add", "mul", "div", "pow", "atan2", "hypot", "maximum"):
        call = f"{name}(x, y)"
        p(name, call, x=R(1, lo=0.5, hi=2), y=R(2, 2, lo=0.5, hi=2))
        p(name, call, x=R(1, 1, lo=0.5, hi=2), y=1.25)
        p(name, call, x=R(2, lo=0.5, hi=2), y=E(0, 1), want=["value", "vjp", "jvp"])
        p(name, call, x=F32([0.5, 1.5]), y=[0.75, 1.25])
        p(name, call, x=F32([0.5, 1.5]), y=I([2, 3]), wrt=["x"])
    # mixed dtypes and weak numbers
    p("add", "x + 1", x=F32([0.5]))
    p("mul", "2.5 * x", x=F32([0.5]))
    p("mul", "n * 2.5", n=I([1, 2]))
    p("div", "1 / n", n=I([1, 4]))
    p("add", "b + 1", b=B([True, False]))
    p("sum", "sum(b)", b=B([True, True, False]))
    p("mean", "mean(n)", n=I([1, 2, 4]))
    p("pow", "n ** 2", n=I([3, -4]))
    p("pow", "n ** 0.5", n=I([4, 9]))
    p("where", "where(c, x, n)", c=B([True, False]), x=R(2), n=I([5, 6]))
    p("maximum", "maximum(x, n)", x=[1.5, 7.0], n=I([5, 6]))
    # NaN passes through, and stays out of what does not depend on it
    for name in ("exp", "sin", "tanh", "sigmoid", "log1p", "sqrt", "abs", "relu", "floor", "erf", "neg", "square"):
        p(name, f"{name}(x)", want=["value"], x=[NAN, 0.25])
    p("sum", "sum(x * w)", is_={"value": [[NAN]], "vjp": {"x": [2.0, 3.0]}}, ct="ones", x=[NAN, 1.0], w=[2.0, 3.0], wrt=["x"])
    p("cumsum", "cumsum(x, 0)", want=["value"], x=[1.0, NAN, 2.0])
    p("amax", "amax(x, 1)", want=["value"], x=[[1.0, NAN], [2.0, 3.0]])
    p("where", "where(c, x, y)", d={"x": [1, 0], "y": [0, 1]}, c=B([True, False]), x=[1.0, NAN], y=[INF, 2.0])
    p("softmax", "softmax(where(m, x, -inf), -1)", is_={"value": [[0.5, 0.0, 0.5]], "vjp": {"x": [-0.5, 0, 0.5]}}, ct=[[1.0, 5.0, 3.0]],
      m=B([True, False, True]), x=[1.0, 100.0, 1.0])
