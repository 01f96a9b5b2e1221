"""GradBench's default workloads, and for each evaluation an independent check of a tool's answers.

EVALUATIONS[name] has the functions, workloads() -> (description, input) ..., and check(input, value, derivative), which
raises Mismatch. Numbers come from the same distributions as GradBench's, not from the same streams. Checks are written as the
definitions read, in plain Python; derivatives are compared with differences of the value along one random direction, and
where that takes too long (more than MOST operations) with nothing."""
import math
import random

MOST = 3_000_000


class Mismatch(Exception):
    pass


def close(have, want, tolerance, what):
    if not abs(have - want) <= tolerance * max(1, abs(have) + abs(want)):
        raise Mismatch(f'{what}: {have!r}, not {want!r}')


def all_close(have, want, tolerance, what):
    if len(have) != len(want):
        raise Mismatch(f'{what}: {len(have)} numbers, not {len(want)}')
    for i, (x, y) in enumerate(zip(have, want)):
        close(x, y, tolerance, f'{what}[{i}]')


def flat(x):
    return [y for row in x for y in flat(row)] if isinstance(x, list) else [x]


def moved(x, direction, h):
    """x + h direction; direction is a flat iterator."""
    return [moved(row, direction, h) for row in x] if isinstance(x, list) else x + h * next(direction)


def check_slope(f, input, fields, gradient, h=1e-5, tolerance=1e-4):
    """The gradient, a list for each field, against the central difference of f along a random direction."""
    draw = random.Random(7)
    along = {name: [draw.uniform(-1, 1) for _ in flat(input[name])] for name in fields}

    def at(step):
        return f({**input, **{name: moved(input[name], iter(along[name]), step) for name in fields}})
    want = (at(h) - at(-h)) / (2 * h)
    have = sum(g * v for name in fields for g, v in zip(flat(gradient[name]), along[name]))
    size = sum(abs(g * v) for name in fields for g, v in zip(flat(gradient[name]), along[name]))
    for name in fields:
        if len(flat(gradient[name])) != len(along[name]):
            raise Mismatch(f'the gradient by {name} has {len(flat(gradient[name]))} numbers, not {len(along[name])}')
    if not abs(have - want) <= tolerance * max(1, size):
        raise Mismatch(f'slope {have!r}, differences say {want!r}')


def uniform(draw, *shape):
    return [uniform(draw, *shape[1:]) for _ in range(shape[0])] if shape else draw.random()


def normal(draw, *shape):
    return [normal(draw, *shape[1:]) for _ in range(shape[0])] if shape else draw.gauss(0, 1)


def identity(n):
    return [[float(i == j) for j in range(n)] for i in range(n)]


def product(a, b):
    return [[math.fsum(x * y for x, y in zip(row, column)) for column in zip(*b)] for row in a]


# llsq

class llsq:
    functions = 'primal', 'gradient'

    def workloads():
        draw = random.Random(31337)
        for n in [16 << k for k in range(9)] + [8196, 16392]:
            yield f'n={n},m=128', dict(x=uniform(draw, 128), n=n)

    def value(input):
        total = 0
        for i in range(input['n']):
            t, power, r = -1 + 2 * i / (input['n'] - 1), 1.0, 0.0
            for x in input['x']:
                r, power = r + x * power, power * t
            total += ((t > 0) - (t < 0) - r) ** 2
        return total / 2

    def check(input, value, gradient):
        if input['n'] * len(input['x']) > MOST:
            return
        close(value, llsq.value(input), 1e-9, 'value')
        check_slope(llsq.value, input, ['x'], {'x': gradient})


# lse

class lse:
    functions = 'primal', 'gradient'

    def workloads():
        draw = random.Random(31337)
        for k in range(10):
            yield f'n={2500 << k}', dict(x=uniform(draw, 2500 << k))

    def check(input, value, gradient):
        a = max(input['x'])
        want = a + math.log(math.fsum(math.exp(x - a) for x in input['x']))
        close(value, want, 1e-12, 'value')
        n = len(input['x'])
        all_close([n * g for g in gradient], [n * math.exp(x - want) for x in input['x']], 1e-9, 'gradient')


# ode

class ode:
    functions = 'primal', 'gradient'

    def workloads():
        draw = random.Random(31337)
        for n, s in sorted(((n, s) for n in (1000, 10000, 100000) for s in (1, 10, 100)), key=lambda p: p[0] * p[1]):
            yield f'n={n},s={s}', dict(x=uniform(draw, n), s=s)

    def value(input):
        x, h, y = input['x'], 2 / input['s'], [0.0] * len(input['x'])

        def slope(y):
            return [x[0]] + [a * b for a, b in zip(x[1:], y)]

        def ahead(y, k, h):
            return [a + h * b for a, b in zip(y, k)]
        for _ in range(input['s']):
            k1 = slope(y)
            k2 = slope(ahead(y, k1, h / 2))
            k3 = slope(ahead(y, k2, h / 2))
            k4 = slope(ahead(y, k3, h))
            y = [z + h * (a + 2 * b + 2 * c + d) / 6 for z, a, b, c, d in zip(y, k1, k2, k3, k4)]
        return y

    def check(input, value, gradient):
        if len(input['x']) * input['s'] > MOST / 10:
            return
        all_close(value, ode.value(input), 1e-12, 'value')
        check_slope(lambda i: ode.value(i)[-1], input, ['x'], {'x': gradient})


# kmeans

class kmeans:
    functions = 'cost', 'dir'

    def workloads():
        draw = random.Random(31337)
        sizes = [(k, n, d) for k in (10, 100, 1000) for n in (1000, 10000) for d in (8, 16)]
        for k, n, d in sorted(sizes, key=lambda s: s[0] * s[1] * s[2]):
            points = uniform(draw, n, d)
            yield f'k={k},n={n},d={d}', dict(points=points, centroids=points[-k:])

    def check(input, value, direction):
        points, centroids = input['points'], input['centroids']
        if len(points) * len(centroids) * len(points[0]) > MOST:
            return
        owned, cost = [[] for _ in centroids], 0.0
        for p in points:
            distance = [sum((a - b) ** 2 for a, b in zip(c, p)) for c in centroids]
            cost += min(distance)
            owned[distance.index(min(distance))].append(p)
        close(value, cost, 1e-9, 'cost')
        want = [[c - math.fsum(p[j] for p in own) / len(own) for j, c in enumerate(centroid)]
                for centroid, own in zip(centroids, owned)]
        all_close(flat(direction), flat(want), 1e-9, 'direction')


# gmm

class gmm:
    functions = 'objective', 'jacobian'

    def workloads():
        for d, k in sorted(((d, k) for d in (2, 10, 20, 32, 64) for k in (5, 10, 25, 50, 100)), key=lambda s: s[0] * s[1]):
            draw = random.Random(31337)
            x, alpha, mu = normal(draw, 1000, d), normal(draw, k), uniform(draw, k, d)
            q, l = normal(draw, k, d), normal(draw, k, d * (d - 1) // 2)
            yield f'{d}_{k}_1000', dict(d=d, k=k, n=1000, x=x, m=0, gamma=1.0, alpha=alpha, mu=mu, q=q, l=l)

    def log_sum_exp(x):
        return max(x) + math.log(math.fsum(math.exp(y - max(x)) for y in x))

    def beta(x, alpha, mu, q, l):
        y = [math.exp(a) * (b - c) for a, b, c in zip(q, x, mu)]
        at = 0
        for column in range(len(x)):
            for row in range(column + 1, len(x)):
                y[row] += l[at] * (x[column] - mu[column])
                at += 1
        return alpha + sum(q) - sum(z * z for z in y) / 2

    def value(input):
        d, k, n, m, gamma = (input[name] for name in ('d', 'k', 'n', 'm', 'gamma'))
        components = list(zip(input['alpha'], input['mu'], input['q'], input['l']))
        points = math.fsum(gmm.log_sum_exp([gmm.beta(x, *c) for c in components]) for x in input['x'])
        nu = d + m + 1
        gammas = d * (d - 1) / 4 * math.log(math.pi) + sum(math.lgamma((nu + 1 - j) / 2) for j in range(1, d + 1))
        prior = k * (nu * d * (math.log(gamma) - math.log(2) / 2) - gammas)
        for _, _, q, l in components:
            prior -= gamma ** 2 / 2 * (sum(math.exp(2 * a) for a in q) + sum(a * a for a in l)) - m * sum(q)
        return points - n * gmm.log_sum_exp(input['alpha']) - n * d / 2 * math.log(2 * math.pi) + prior

    def check(input, value, gradient):
        if input['n'] * input['k'] * input['d'] ** 2 > MOST:
            return
        close(value, gmm.value(input), 1e-9, 'value')
        if set(gradient) != {'alpha', 'mu', 'q', 'l'}:
            raise Mismatch(f'gradient has the parts {sorted(gradient)}')
        check_slope(gmm.value, input, ['alpha', 'mu', 'q', 'l'], gradient)


# lstm

class lstm:
    functions = 'objective', 'jacobian'

    def workloads():
        draw, bits = random.Random(31337), 14
        for layers, length in sorted(((l, c) for l in (2, 4, 6) for c in (1024, 4096, 8192)), key=lambda s: s[0] * s[1]):
            yield f'l={layers},c={length}', dict(
                main_params=uniform(draw, 2 * layers, 4 * bits), extra_params=uniform(draw, 3, bits),
                state=uniform(draw, 2 * layers, bits),
                sequence=[[float(draw.getrandbits(1)) for _ in range(bits)] for _ in range(length)])

    def value(input):
        main, (w_in, w_out, b_out) = input['main_params'], input['extra_params']
        state, bits, total = [list(row) for row in input['state']], len(w_in), 0.0

        def sigmoid(x):
            return 1 / (1 + math.exp(-x))
        for now, after in zip(input['sequence'], input['sequence'][1:]):
            u = [a * b for a, b in zip(now, w_in)]
            for w, b, h, c in zip(main[::2], main[1::2], state[::2], state[1::2]):
                for j in range(bits):
                    forget = sigmoid(u[j] * w[j] + b[j])
                    ingate = sigmoid(h[j] * w[bits + j] + b[bits + j])
                    outgate = sigmoid(u[j] * w[2 * bits + j] + b[2 * bits + j])
                    change = math.tanh(h[j] * w[3 * bits + j] + b[3 * bits + j])
                    c[j] = c[j] * forget + ingate * change
                    h[j] = u[j] = outgate * math.tanh(c[j])
            y = [a * b + c for a, b, c in zip(u, w_out, b_out)]
            z = math.log(2 + math.fsum(map(math.exp, y)))
            total += math.fsum(s * (a - z) for s, a in zip(after, y))
        return -total / ((len(input['sequence']) - 1) * bits)

    def check(input, value, gradient):
        if len(input['sequence']) * len(flat(input['state'])) > MOST / 10:
            return
        close(value, lstm.value(input), 1e-9, 'value')
        fields, main = ['main_params', 'extra_params'], len(flat(input['main_params']))
        check_slope(lstm.value, input, fields, {fields[0]: gradient[:main], fields[1]: gradient[main:]})


# det

class det:
    functions = 'primal', 'gradient'

    def workloads():
        draw = random.Random(31337)
        for ell in range(5, 12):
            yield f'{ell}', dict(A=uniform(draw, ell * ell), ell=ell)

    def value(input):
        """By elimination, which has nothing in common with an expansion."""
        n, result = input['ell'], 1.0
        a = [list(input['A'][i * n:(i + 1) * n]) for i in range(n)]
        for i in range(n):
            pivot = max(range(i, n), key=lambda r: abs(a[r][i]))
            a[i], a[pivot] = a[pivot], a[i]
            result *= a[i][i] if pivot == i else -a[i][i]
            for row in a[i + 1:]:
                factor = row[i] / a[i][i]
                for j in range(i, n):
                    row[j] -= factor * a[i][j]
        return result

    def check(input, value, gradient):
        n = input['ell']
        close(value, det.value(input), 1e-9, 'value')
        rows = [input['A'][i * n:(i + 1) * n] for i in range(n)]

        def cofactor(i, j):
            rest = flat([row[:j] + row[j + 1:] for row in rows[:i] + rows[i + 1:]])
            return (-1) ** (i + j) * det.value(dict(ell=n - 1, A=rest))
        all_close(gradient, [cofactor(i, j) for i in range(n) for j in range(n)], 1e-9, 'gradient')


# ba

def cross(a, b):
    return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


class ba:
    functions = 'objective', 'jacobian'
    sizes = [(49, 7776, 31843), (21, 11315, 36455), (161, 48126, 182072), (372, 47423, 204472), (257, 65132, 225911),
             (539, 65220, 277273), (93, 61203, 287451), (88, 64298, 383937), (810, 88814, 393775), (1197, 126327, 563734),
             (1723, 156502, 678718), (253, 163691, 899155), (245, 198739, 1091386), (356, 226730, 1255268)]

    def workloads():
        """All with the numbers of file 1."""
        for i, (n, m, p) in enumerate(ba.sizes, 1):
            yield f'ba{i}_n{n}_m{m}_p{p}', dict(
                n=n, m=m, p=p, x=[7.203245, 0.001144, 3.023326], w=0.417022, feat=[271.760969, 834.209256],
                cam=[-0.758453, -1.109613, -0.845551, 34.556073, 39.676747, 53.881673, 419.194514, 5.864426, -8.51887,
                     0.087812, 0.002739])

    def residual(input):
        r, centre, (f, u, v, k1, k2) = input['cam'][:3], input['cam'][3:6], input['cam'][6:]
        x, th = [a - b for a, b in zip(input['x'], centre)], math.sqrt(dot(r, r))
        if th:
            a = [c / th for c in r]
            along = dot(a, x) * (1 - math.cos(th))
            x = [c * math.cos(th) + s * math.sin(th) + b * along for c, s, b in zip(x, cross(a, x), a)]
        else:
            x = [c + s for c, s in zip(x, cross(r, x))]
        p = [x[0] / x[2], x[1] / x[2]]
        rsq = dot(p, p)
        scale = f * (1 + k1 * rsq + k2 * rsq ** 2)
        return [input['w'] * (scale * c + o - z) for c, o, z in zip(p, (u, v), input['feat'])]

    def check(input, value, jacobian):
        n, m, p = input['n'], input['m'], input['p']
        if set(value) != {'reproj_error', 'w_err'} or [value[part]['repeated'] for part in sorted(value)] != [p, p]:
            raise Mismatch('the objective has other keys or counts')
        all_close(value['reproj_error']['elements'], ba.residual(input), 1e-9, 'residual')
        close(value['w_err']['element'], 1 - input['w'] ** 2, 1e-12, 'w_err')
        pointers = list(range(0, 30 * p, 15)) + list(range(30 * p, 31 * p + 1))
        if jacobian['rows'] != pointers[:30] + pointers[-1:]:
            raise Mismatch('rows')
        row = list(range(11)) + [11 * n + j for j in range(3)] + [11 * n + 3 * m]
        if jacobian['cols'] != row + row + [11 * n + 3 * m + p - 1]:
            raise Mismatch('cols')
        close(jacobian['vals'][30], -2 * input['w'], 1e-12, 'vals[30]')
        for k in range(2):
            vals = jacobian['vals'][15 * k:15 * k + 15]
            slopes = {'cam': vals[:11], 'x': vals[11:14], 'w': vals[14]}
            check_slope(lambda i: ba.residual(i)[k], input, list(slopes), slopes, h=1e-6)


# ht

class ht:
    functions = 'objective', 'jacobian'
    parents = [-1, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19, 0]

    def matrix(draw):
        a = [[draw.uniform(-1, 1) + (i == j) for j in range(4)] for i in range(3)]
        return a + [[0.0, 0.0, 0.0, 1.0]]

    def model(draw, bones=22, vertices=10000, triangles=1084):
        weights = []
        for _ in range(vertices):
            row, chosen = [0.0] * bones, draw.sample(range(bones), 4)
            for b in chosen:
                row[b] = 0.25
            weights.append(row)
        return dict(bone_count=bones, bone_names=[f'bone{b}' for b in range(bones)], parents=ht.parents,
                    base_relatives=[ht.matrix(draw) for _ in range(bones)],
                    inverse_base_absolutes=[ht.matrix(draw) for _ in range(bones)], weights=weights,
                    base_positions=[[draw.uniform(-1, 1) for _ in range(3)] + [1.0] for _ in range(vertices)],
                    triangles=[[draw.randrange(vertices) for _ in range(3)] for _ in range(triangles)], is_mirrored=False)

    def workloads():
        draw = random.Random(31337)
        model, theta = ht.model(draw), [draw.uniform(-0.5, 0.5) for _ in range(26)]
        for i, p in enumerate((100, 192, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 100000), 1):
            yield f'hand{i}_t26_c{p}', dict(theta=theta, us=uniform(draw, p, 2), data=dict(
                model=model, correspondences=[draw.randrange(1084) for _ in range(p)], points=uniform(draw, p, 3)))

    def rotation(angles):
        x, z, y = angles
        rx = [[1, 0, 0], [0, math.cos(x), -math.sin(x)], [0, math.sin(x), math.cos(x)]]
        ry = [[math.cos(y), 0, math.sin(y)], [0, 1, 0], [-math.sin(y), 0, math.cos(y)]]
        rz = [[math.cos(z), -math.sin(z), 0], [math.sin(z), math.cos(z), 0], [0, 0, 1]]
        r = product(rz, product(ry, rx))
        return [row + [0] for row in r] + [[0, 0, 0, 1]]

    def about(axis):
        angle = math.sqrt(dot(axis, axis))
        if angle < 1e-4:
            return identity(3)
        a, s, c = [x / angle for x in axis], math.sin(angle), math.cos(angle)
        skew = [[0, -a[2], a[1]], [a[2], 0, -a[0]], [-a[1], a[0], 0]]
        return [[a[i] * a[j] * (1 - c) + (c if i == j else 0) + s * skew[i][j] for j in range(3)] for i in range(3)]

    def positions(input, wanted):
        model, theta = input['data']['model'], input['theta']
        pose = [[0.0] * 3 for _ in range(model['bone_count'])]
        for finger in range(5):
            t, b = theta[6 + 4 * finger:10 + 4 * finger], 4 * finger + 2
            pose[b][0], pose[b][1], pose[b + 1][0], pose[b + 2][0] = t
        absolute, transform = [], []
        for b, parent in enumerate(model['parents']):
            relative = product(model['base_relatives'][b], ht.rotation(pose[b]))
            absolute.append(relative if parent < 0 else product(absolute[parent], relative))
            transform.append(product(absolute[b], model['inverse_base_absolutes'][b]))
        turn, result = ht.about(theta[:3]), {}
        for v in wanted:
            at = [sum(w * dot(transform[b][i], model['base_positions'][v]) for b, w in enumerate(model['weights'][v]) if w)
                  for i in range(3)]
            result[v] = [dot(turn[i], at) + theta[3 + i] for i in range(3)]
        return result

    def value(input, some):
        """The errors of the correspondences in some."""
        data = input['data']
        corners = {i: data['model']['triangles'][data['correspondences'][i]] for i in some}
        at, errors = ht.positions(input, {v for c in corners.values() for v in c}), []
        for i in some:
            share = input['us'][i] + [1 - sum(input['us'][i])]
            errors += [p - sum(s * at[v][k] for s, v in zip(share, corners[i])) for k, p in enumerate(data['points'][i])]
        return errors

    def check(input, value, jacobian):
        p = len(input['us'])
        if len(value) != 3 * p or len(jacobian) != 3 * p or {len(row) for row in jacobian} != {28}:
            raise Mismatch('shapes')
        some = [0, p // 2, p - 1]
        all_close([value[3 * i + k] for i in some for k in range(3)], ht.value(input, some), 1e-9, 'errors')
        for i in some:
            for k in range(3):
                def error(point):
                    us = list(input['us'])
                    us[i] = point['u']
                    return ht.value({**input, 'us': us, 'theta': point['theta']}, [i])[k]
                row = jacobian[3 * i + k]
                point = dict(u=input['us'][i], theta=input['theta'])
                check_slope(error, point, ['u', 'theta'], dict(u=row[:2], theta=row[2:]))


# particle, saddle: the answers are known

class particle:
    functions = 'rr', 'ff', 'fr', 'rf'

    def workloads():
        yield '', dict(w=0.0)

    def check(input, *values):
        all_close(values, [0.2071918746486116] * 4, 1e-4, 'w')


class saddle:
    functions = 'rr', 'ff', 'fr', 'rf'

    def workloads():
        yield '', dict(start=[1.0, 1.0])

    def check(input, *values):
        for value in values:
            all_close(value, [8.246324826140356e-06] * 4, 1e-4, 'p')


EVALUATIONS = {e.__name__: e for e in (llsq, lse, ode, kmeans, gmm, lstm, det, ba, ht, particle, saddle)}
