/* Rows over a few dense numbers, for the file that includes this: no strides, no vectors to be filled up. Of tiny tensors
 * the loop around an operation costs more than the operation. HAS_FEW_float and HAS_FEW_double say which rows. */
/* The result may be an operand. */
#ifdef __clang__
#define EACH_FOR_ITSELF _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define EACH_FOR_ITSELF _Pragma("GCC ivdep")
#else
#define EACH_FOR_ITSELF
#endif

/* One number needs no loop. */
#define FEW_EACH(...)                      \
  if (n == 1) {                            \
    const int64_t i = 0;                   \
    __VA_ARGS__                            \
  } else {                                 \
    EACH_FOR_ITSELF                        \
    for (int64_t i = 0; i < n; i++) {      \
      __VA_ARGS__                          \
    }                                      \
  }
#define FEW_LOOP(T, name, value)                                                   \
  static void name##_##T(int64_t n, const void *pa, const void *pb, void *py) {    \
    const T *p = pa, *q = pb;                                                      \
    T *out = py;                                                                   \
    FEW_EACH(const T a = p[i], b = q[i]; (void)a, (void)b; out[i] = (T)(value);)   \
  }
/* A partial of 1 hands the cotangent on as it is. */
#define FEW_PULL_PUT(T, name, put, partial)                                                                       \
  static void name##_##T(int64_t n, const void *restrict pa, const void *restrict pb, const void *restrict py,    \
                         const void *restrict pg, void *restrict to) {                                            \
    const T *p = pa, *q = pb, *r = py, *s = pg;                                                                   \
    T *out = to;                                                                                                  \
    FEW_EACH(const T a = p[i], b = q[i], y = r[i], g = s[i]; (void)a, (void)b, (void)y;                           \
             const T d = g * (T)(partial); out[i] put (IS_ONE(#partial) ? g : g == 0 ? 0 : d);)                   \
  }
#define FEW_PULL(T, name, k, partial) \
  FEW_PULL_PUT(T, name##_to_##k, =, partial) FEW_PULL_PUT(T, name##_more_##k, +=, partial)
#define FEW_UNARY(T, name, value, da) FEW_LOOP(T, name, value) FEW_PULL(T, name, a, da)
#define FEW_BINARY(T, name, value, da, db) FEW_UNARY(T, name, value, da) FEW_PULL(T, name, b, db)

#define INT_UNARY UNARY
#define INT_BINARY BINARY
#define UNARY(name, value, da, domain, ...) FEW_UNARY(double, name, value, da)
#define BINARY(name, infix, value, da, db, domain, ...) FEW_BINARY(double, name, value, da, db)
#define COMPARE(...)
#define COMPARE1(...)
#include "elementwise.def"
FEW_LOOP(double, guarded_mul, a == 0 ? 0 : a * b)
#undef UNARY
#undef BINARY
#undef COMPARE
#undef COMPARE1

#define SINGLE_UNARY(name, value, da) FEW_UNARY(float, name, value, da)
#define SINGLE_BINARY(name, value, da, db) FEW_BINARY(float, name, value, da, db)
#define DOUBLE_UNARY(...)
#define DOUBLE_BINARY(...)
#define COMPARISON(...)
#include "singlerows.h"
FEW_LOOP(float, guarded_mul, a == 0 ? 0 : a * b)
#undef SINGLE_UNARY
#undef SINGLE_BINARY

#define IF(T, name, f) (HAS_FEW_##T(ROW_##name) ? (f) : NULL)
#define PULLS(T, name, k) {IF(T, name, name##_to_##k##_##T), IF(T, name, name##_more_##k##_##T)}
#define OF_UNARY(T, name) \
  [ROW_##name - CR__FIRST_ROW].of[sizeof(T) == 8] = {IF(T, name, name##_##T), {PULLS(T, name, a), {NULL, NULL}}},
#define OF_BINARY(T, name) \
  [ROW_##name - CR__FIRST_ROW].of[sizeof(T) == 8] = {IF(T, name, name##_##T), {PULLS(T, name, a), PULLS(T, name, b)}},
static const cr_few_row rows[] = {
#define UNARY(name, ...) OF_UNARY(double, name)
#define BINARY(name, ...) OF_BINARY(double, name)
#define COMPARE(...)
#define COMPARE1(...)
#include "elementwise.def"
#define SINGLE_UNARY(name, ...) OF_UNARY(float, name)
#define SINGLE_BINARY(name, ...) OF_BINARY(float, name)
#include "singlerows.h"
  [ROW_guarded_mul - CR__FIRST_ROW] = {.of = {[0].loop = guarded_mul_float, [1].loop = guarded_mul_double}}
};
