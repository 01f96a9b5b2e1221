#!/usr/bin/env python3
"""The C that `chainrule codegen --gradient --main` writes for functions of numbers prints the bits that batch answers.

codegen_test.py COMMAND CC...: each function is compiled by one of the compilers in turn, with warnings as errors."""
import json
import os
import subprocess
import sys
import tempfile

X = {"x": 0.7, "y": -1.3}
P = {"x": 0.7, "y": 1.9}
FUNCTIONS = [(text, X) for text in (
    "x^2*sin(y)", "exp(-x^2/2)/sqrt(2*pi)", "(1 - x)^2 + 100*(y - x^2)^2", "x*exp(y) + y*exp(x)",
    "sin(cos(tan(x*y)))",
    "tanh(x + y)*cosh(x)/sinh(y)", "1/(1 + exp(-x))", "sigmoid(2*x - y)*tanh(y)", "log1p(exp(x)) - softplus(y)", "atan2(y, x)",
    "hypot(x, y)^3", "abs(x - y)^1.5", "maximum(x, y)*minimum(x^2, y^2)", "where(x > y, x*exp(x), sin(y))",
    "x > 0 ? x^2 : -x", "erf(x)*erfc(y)", "exp(erfinv(x))*y", "gelu(x) + silu(y) + mish(x*y)", "floor(3*x) + x*ceil(y)",
    "x % 0.3 + y // 0.4", "relu(x) - leaky_relu(y)", "elu(y) + selu(y)*x", "asin(x)*acos(x)*atan(y)", "asinh(y)*atanh(x)",
    "cbrt(y) + x", "exp2(x)*expm1(y)", "sinc(x) + sinc(y)", "logaddexp(x, y)", "clamp(x*y, -0.5, 0.5) + x*y",
    "f(u) = u^2 + sin(u); f(f(f(x)))*y", "a = x*y; b = a + x; c = sin(b)*a; c/b", "sum([x, y, x*y])", "prod([x, y, x + y])",
    "norm([x, y, 1])", "softmax([x, y, 0.5], dim=0)[1]", "logsumexp([x, y, x*y], dim=0)", "[x, y] @ [[2, 1], [1, 3]] @ [x, y]",
    "grad(x^3*y^2, x)", "grad(grad(sin(x*y), x), y)", "(exp(sin(x))*cos(1/x^3 + x^3))^4", "x^0 + y^1 + x^-2 + y^3",
    "sign(x)*sqrt(abs(y)) + square(x)", "rsqrt(x) + reciprocal(y)", "huber_loss(x, y) + l1_loss(2*x, y)", "lerp(x, y, 0.3)^2",
    "fold = 0.5*x; fold*fold - fold^3/6", "normal_pdf(x) + ndtr(y)", "x*y - y*x + x/y - y/x",
    "-(-x) + (x + 0)*1 - y*0", "sin(x)^2 + cos(x)^2 + 0*y")]
FUNCTIONS += [(text, P) for text in (
    "x^y", "pow(x, y) + pow(y, x)", "log(x)*log2(y)*log10(x + y)", "lgamma(x)*digamma(y)", "gammainc(x, y)", "gammaincc(y, x)",
    "polygamma(1, x)*y", "acosh(y + 1)*sqrt(x)", "xlogy(x, y) + xlog1py(x, y)", "zeta(y + 1, x)", "i0(x) + i1(y)",
    "i0(x)*exp(-y)", "entr(x) + logit(x)*y", "kl_div(x, y)", "x*y*x*y*x*y/(x + y + x*y)", "logit(0.2*x) + ndtri(0.2*y)")]


def call(command, *words):
    run = subprocess.run([command, *words], capture_output=True, text=True, env=os.environ | {"NO_COLOR": "1"})
    return run.stdout if run.returncode == 0 else None, run.stderr


def emitted(source, compiler, folder):
    """What the program prints: numbers by name."""
    path, program = os.path.join(folder, "f.c"), os.path.join(folder, "f")
    open(path, "w").write(source)
    tiny = "tcc" in os.path.basename(compiler)
    flags = [] if tiny else ["-O2", "-ffp-contract=off", "-fno-builtin-pow", "-Wextra", "-Wconversion"]
    subprocess.run([compiler, "-std=c11", "-Wall", "-Werror", *flags, "-o", program, path, "-lm"], check=True)
    lines = subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()
    return {name: float(number) for name, number in (line.split(" = ") for line in lines)}


def main(command, *compilers):
    wrong = checked = 0
    with tempfile.TemporaryDirectory() as folder:
        for k, (text, at) in enumerate(FUNCTIONS):
            values = [f"{name}={value}" for name, value in at.items()]
            source, why = call(command, "codegen", text, *values, "--gradient", "--main")
            if source is None:
                print(f"{text}: {why}")
                wrong += 1
                continue
            inputs = {name: {"dtype": "float64", "shape": [], "data": [value]} for name, value in at.items()}
            request = {"expr": text, "inputs": inputs, "want": ["value", "vjp"]}
            batch = subprocess.run([command, "batch"], input=json.dumps(request), capture_output=True, text=True)
            answer = json.loads(batch.stdout)
            if "error" in answer:
                print(f"{text}: {answer['error']}")
                wrong += 1
                continue
            want = {f"d_{name}": x["data"][0] for name, x in answer["vjp"].items()}
            want["value"] = answer["value"][0]["data"][0]
            got = emitted(source, compilers[k % len(compilers)], folder)
            same = {name: float(x).hex() for name, x in want.items()} == {name: x.hex() for name, x in got.items()}
            checked += 1
            if not same:
                print(f"{text}, {compilers[k % len(compilers)]}: {got}, expected {want}")
                wrong += 1
    print(f"{checked} functions compiled, {wrong} wrong")
    return wrong > 0 or checked < 50


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
