// ADOL-C as a GradBench tool, for tests/bench/gradbench: the scalar evaluations, written for operator overloading.
// As in GradBench's own tool for it, tapes are recorded before the clock starts, so only values and sweeps are timed.
#include <adolc/adolc.h>

#include <cmath>
#include <vector>

#include "../../graph_examples/gradbench/gradbench.h"

using std::vector;

namespace {

vector<double> copied(const numbers &n) { return vector<double>(n.at, n.at + n.count); }

bool read_list(const json_t *input, const char *name, vector<double> &out, complaint *c, int rank = 1,
               int64_t *dim = nullptr) {
  numbers found = {};
  int64_t any[2] = {-1, -1};
  bool good = read_numbers(input, name, rank, dim ? dim : any, &found, c);
  out = good ? copied(found) : vector<double>();
  free(found.at);
  return good;
}

// A function of x to R^m, recorded on ADOL-C's tape 1.
template <class F> void record(const vector<double> &x, F f) {
  vector<adouble> active(x.size());
  trace_on(1);
  for (size_t i = 0; i < x.size(); i++) active[i] <<= x[i];
  double unused;
  for (adouble &y : f(active)) y >>= unused;
  trace_off();
}

struct scalar_state {
  vector<double> x, result;
  int64_t n, steps;
};

void write_result(const void *memory, int function, text *out) {
  const auto *s = *static_cast<scalar_state *const *>(memory);
  (void)function;
  if (s->result.size() == 1) put_number(out, s->result[0]);
  else put_list(out, s->result.data(), (int64_t)s->result.size());
}

void take_gradient(scalar_state *s) {
  s->result.resize(s->x.size());
  gradient(1, (int)s->x.size(), s->x.data(), s->result.data());
}

// det

template <class T> T det(const vector<T> &a, int ell, int row, const vector<int> &columns) {
  if (columns.size() == 1) return a[row * ell + columns[0]];
  T sum = 0;
  for (size_t j = 0; j < columns.size(); j++) {
    vector<int> rest(columns);
    rest.erase(rest.begin() + (long)j);
    T term = a[row * ell + columns[j]] * det(a, ell, row + 1, rest);
    if (j % 2) sum -= term;
    else sum += term;
  }
  return sum;
}
template <class T> T det(const vector<T> &a, int ell) {
  vector<int> all;
  for (int j = 0; j < ell; j++) all.push_back(j);
  return det(a, ell, 0, all);
}

template <class State> State *state_of(void *memory) {
  auto **s = static_cast<State **>(memory);
  if (!*s) *s = new State();
  return *s;
}
template <class State> void drop(void *memory) { delete *static_cast<State **>(memory); }

bool read_det(void *memory, const json_t *input, complaint *c) {
  auto *s = state_of<scalar_state>(memory);
  if (!read_list(input, "A", s->x, c) || !read_integer(input, "ell", 1, 12, &s->n, c)) return false;
  record(s->x, [&](const vector<adouble> &x) { return vector<adouble>{det(x, (int)s->n)}; });
  return true;
}
void run_det(void *memory, cr_tape *, int function) {
  auto *s = state_of<scalar_state>(memory);
  if (function) take_gradient(s);
  else s->result = {det(s->x, (int)s->n)};
}

// ode

template <class T> vector<T> solve(const vector<T> &x, int64_t steps) {
  size_t n = x.size();
  double h = 2 / (double)steps;
  auto slope = [&](const vector<T> &y) {
    vector<T> k(n);
    k[0] = x[0];
    for (size_t i = 1; i < n; i++) k[i] = x[i] * y[i - 1];
    return k;
  };
  auto ahead = [&](const vector<T> &y, const vector<T> &k, double step) {
    vector<T> z(n);
    for (size_t i = 0; i < n; i++) z[i] = y[i] + step * k[i];
    return z;
  };
  vector<T> y(n);
  for (T &component : y) component = 0;
  for (int64_t s = 0; s < steps; s++) {
    vector<T> k1 = slope(y), k2 = slope(ahead(y, k1, h / 2)), k3 = slope(ahead(y, k2, h / 2)), k4 = slope(ahead(y, k3, h));
    for (size_t i = 0; i < n; i++) y[i] += h * (k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i]) / 6;
  }
  return y;
}

bool read_ode(void *memory, const json_t *input, complaint *c) {
  auto *s = state_of<scalar_state>(memory);
  if (!read_list(input, "x", s->x, c) || !read_integer(input, "s", 1, 1 << 20, &s->steps, c)) return false;
  record(s->x, [&](const vector<adouble> &x) { return vector<adouble>{solve(x, s->steps).back()}; });
  return true;
}
void run_ode(void *memory, cr_tape *, int function) {
  auto *s = state_of<scalar_state>(memory);
  if (function) take_gradient(s);
  else s->result = solve(s->x, s->steps);
}

// llsq

template <class T> T polynomial_error(const vector<T> &x, int64_t n) {
  T total = 0;
  for (int64_t i = 0; i < n; i++) {
    double t = -1 + 2 * (double)i / (double)(n - 1), power = 1;
    T r = t > 0 ? 1 : t < 0 ? -1 : 0;
    for (const T &c : x) {
      r -= c * power;
      power *= t;
    }
    total += r * r;
  }
  return total / 2;
}

bool read_llsq(void *memory, const json_t *input, complaint *c) {
  auto *s = state_of<scalar_state>(memory);
  if (!read_list(input, "x", s->x, c) || !read_integer(input, "n", 2, 1 << 24, &s->n, c)) return false;
  record(s->x, [&](const vector<adouble> &x) { return vector<adouble>{polynomial_error(x, s->n)}; });
  return true;
}
void run_llsq(void *memory, cr_tape *, int function) {
  auto *s = state_of<scalar_state>(memory);
  if (function) take_gradient(s);
  else s->result = {polynomial_error(s->x, s->n)};
}

// lse

double number(double x) { return x; }
double number(const adouble &x) { return x.value(); }

template <class T> T log_sum_exp(const vector<T> &x) {
  double a = number(x[0]); // on which the sum does not depend
  for (const T &y : x) a = fmax(a, number(y));
  T sum = 0;
  for (const T &y : x) sum += exp(y - a);
  return a + log(sum);
}

bool read_lse(void *memory, const json_t *input, complaint *c) {
  auto *s = state_of<scalar_state>(memory);
  if (!read_list(input, "x", s->x, c)) return false;
  record(s->x, [](const vector<adouble> &x) { return vector<adouble>{log_sum_exp(x)}; });
  return true;
}
void run_lse(void *memory, cr_tape *, int function) {
  auto *s = state_of<scalar_state>(memory);
  if (function) take_gradient(s);
  else s->result = {log_sum_exp(s->x)};
}

// lstm

struct lstm_state : scalar_state {
  vector<double> start, sequence;
  int64_t layers, bits, length;
};

// x: the main parameters, then the extra ones.
template <class T> T text_loss(const vector<T> &x, const lstm_state &s) {
  auto sigmoid = [](const T &z) -> T { return 1 / (1 + exp(-z)); };
  int64_t B = s.bits;
  vector<T> state(s.start.begin(), s.start.end()), u((size_t)B);
  const T *extra = x.data() + 8 * s.layers * B;
  T total = 0;
  for (int64_t t = 0; t + 1 < s.length; t++) {
    for (int64_t j = 0; j < B; j++) u[j] = s.sequence[t * B + j] * extra[j];
    for (int64_t i = 0; i < s.layers; i++) {
      const T *w = x.data() + 8 * i * B, *b = w + 4 * B;
      T *h = state.data() + 2 * i * B, *c = h + B;
      for (int64_t j = 0; j < B; j++) {
        T forget = sigmoid(u[j] * w[j] + b[j]), in = sigmoid(h[j] * w[B + j] + b[B + j]);
        T out = sigmoid(u[j] * w[2 * B + j] + b[2 * B + j]), change = tanh(h[j] * w[3 * B + j] + b[3 * B + j]);
        c[j] = c[j] * forget + in * change;
        u[j] = h[j] = out * tanh(c[j]);
      }
    }
    T sum = 2;
    for (int64_t j = 0; j < B; j++) {
      u[j] = u[j] * extra[B + j] + extra[2 * B + j];
      sum += exp(u[j]);
    }
    T z = log(sum);
    for (int64_t j = 0; j < B; j++) total += s.sequence[(t + 1) * B + j] * (u[j] - z);
  }
  return -total / (double)((s.length - 1) * B);
}

bool read_lstm(void *memory, const json_t *input, complaint *c) {
  auto *s = state_of<lstm_state>(memory);
  vector<double> extra;
  int64_t main[2] = {-1, -1}, more[2] = {3, -1}, start[2] = {-1, -1}, text[2] = {-1, -1};
  if (!read_list(input, "main_params", s->x, c, 2, main) || !read_list(input, "extra_params", extra, c, 2, more) ||
      !read_list(input, "state", s->start, c, 2, start) || !read_list(input, "sequence", s->sequence, c, 2, text))
    return false;
  s->layers = main[0] / 2;
  s->bits = more[1];
  s->length = text[0];
  s->x.insert(s->x.end(), extra.begin(), extra.end());
  record(s->x, [&](const vector<adouble> &x) { return vector<adouble>{text_loss(x, *s)}; });
  return true;
}
void run_lstm(void *memory, cr_tape *, int function) {
  auto *s = state_of<lstm_state>(memory);
  if (function) take_gradient(s);
  else s->result = {text_loss(s->x, *s)};
}

// ba

struct ba_state {
  vector<double> x, feature, jacobian; // x: camera, point, weight
  vector<int64_t> rows, cols;
  int64_t n, m, p;
  double error[3];
};

template <class T> vector<T> residual(const vector<T> &x, const vector<double> &feature) {
  const T *r = x.data(), *centre = r + 3, *k = r + 9, *point = r + 11;
  T v[3], c[3], square = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
  for (int i = 0; i < 3; i++) v[i] = point[i] - centre[i];
  if (square != 0) {
    T th = sqrt(square), cosine = cos(th), sine = sin(th), a[3], along = 0;
    for (int i = 0; i < 3; i++) a[i] = r[i] / th;
    for (int i = 0; i < 3; i++) along += a[i] * v[i];
    for (int i = 0; i < 3; i++) {
      int j = (i + 1) % 3, l = (i + 2) % 3;
      c[i] = v[i] * cosine + (a[j] * v[l] - a[l] * v[j]) * sine + a[i] * along * (1 - cosine);
    }
  } else {
    for (int i = 0; i < 3; i++) c[i] = v[i] + r[(i + 1) % 3] * v[(i + 2) % 3] - r[(i + 2) % 3] * v[(i + 1) % 3];
  }
  T p[2] = {c[0] / c[2], c[1] / c[2]}, rsq = p[0] * p[0] + p[1] * p[1], scale = 1 + k[0] * rsq + k[1] * rsq * rsq;
  vector<T> error(2);
  for (int i = 0; i < 2; i++) error[i] = x[14] * (p[i] * scale * r[6] + r[7 + i] - feature[i]);
  return error;
}

bool read_ba(void *memory, const json_t *input, complaint *c) {
  auto *s = state_of<ba_state>(memory);
  vector<double> point;
  double weight;
  if (!read_integer(input, "n", 1, 1 << 24, &s->n, c) || !read_integer(input, "m", 1, 1 << 24, &s->m, c) ||
      !read_integer(input, "p", 1, 1 << 24, &s->p, c) || !read_list(input, "cam", s->x, c) ||
      !read_list(input, "x", point, c) || !read_number(input, "w", &weight, c) || !read_list(input, "feat", s->feature, c))
    return false;
  s->x.insert(s->x.end(), point.begin(), point.end());
  s->x.push_back(weight);
  s->jacobian.resize((size_t)(31 * s->p));
  s->cols.resize((size_t)(31 * s->p));
  s->rows.resize((size_t)(3 * s->p + 1));
  record(s->x, [&](const vector<adouble> &x) { return residual(x, s->feature); });
  return true;
}
void run_ba(void *memory, cr_tape *, int function) {
  auto *s = state_of<ba_state>(memory);
  for (int64_t i = 0; i < s->p && !function; i++) {
    vector<double> e = residual(s->x, s->feature);
    s->error[0] = e[0], s->error[1] = e[1], s->error[2] = 1 - s->x[14] * s->x[14];
  }
  for (int64_t i = 0; i < s->p && function; i++) {
    double *at = &s->jacobian[(size_t)(30 * i)], *two[2] = {at, at + 15};
    jacobian(1, 2, 15, s->x.data(), two);
    for (int64_t j = 0; j < 30; j++) {
      int64_t k = j % 15, camera = i % s->n, point = i % s->m;
      int64_t weight = 11 * s->n + 3 * s->m + i, place = 11 * s->n + 3 * point + k - 11;
      s->cols[(size_t)(30 * i + j)] = k < 11 ? 11 * camera + k : k < 14 ? place : weight;
    }
    s->rows[(size_t)(2 * i)] = 30 * i;
    s->rows[(size_t)(2 * i + 1)] = 30 * i + 15;
    s->rows[(size_t)(2 * s->p + i)] = 30 * s->p + i;
    s->cols[(size_t)(30 * s->p + i)] = 11 * s->n + 3 * s->m + i;
    s->jacobian[(size_t)(30 * s->p + i)] = -2 * s->x[14];
  }
  s->rows.back() = 31 * s->p;
}
void write_ba(const void *memory, int function, text *out) {
  const auto *s = *static_cast<ba_state *const *>(memory);
  auto ends = [](auto all) {
    all.erase(all.begin() + 30, all.end() - 1);
    return all;
  };
  if (function) {
    put_text(out, "{\"rows\": ");
    put_integers(out, ends(s->rows).data(), 31);
    put_text(out, ", \"cols\": ");
    put_integers(out, ends(s->cols).data(), 31);
    put_text(out, ", \"vals\": ");
    put_list(out, ends(s->jacobian).data(), 31);
  } else {
    put_text(out, "{\"reproj_error\": {\"elements\": ");
    put_list(out, s->error, 2);
    put_text(out, ", \"repeated\": ");
    put_integer(out, s->p);
    put_text(out, "}, \"w_err\": {\"element\": ");
    put_number(out, s->error[2]);
    put_text(out, ", \"repeated\": ");
    put_integer(out, s->p);
    put_text(out, "}");
  }
  put_text(out, "}");
}

const evaluation
  adolc_ba = {"ba", {"objective", "jacobian"}, sizeof(void *), read_ba, run_ba, write_ba, drop<ba_state>},
  adolc_det = {"det", {"primal", "gradient"}, sizeof(void *), read_det, run_det, write_result, drop<scalar_state>},
  adolc_llsq = {"llsq", {"primal", "gradient"}, sizeof(void *), read_llsq, run_llsq, write_result, drop<scalar_state>},
  adolc_lse = {"lse", {"primal", "gradient"}, sizeof(void *), read_lse, run_lse, write_result, drop<scalar_state>},
  adolc_lstm = {"lstm", {"objective", "jacobian"}, sizeof(void *), read_lstm, run_lstm, write_result, drop<lstm_state>},
  adolc_ode = {"ode", {"primal", "gradient"}, sizeof(void *), read_ode, run_ode, write_result, drop<scalar_state>};

} // namespace

const char tool_name[] = "ADOL-C";
const evaluation *const evaluations[] = {&adolc_ba, &adolc_det, &adolc_llsq, &adolc_lse, &adolc_lstm, &adolc_ode, nullptr};
