/* Products of matrices against the machine's limit: GFLOP/s of layers' shapes in the forms of a training step, one thread
 * and two, beside OpenBLAS and beside multiply-adds on registers alone; nanoseconds of small ones. The best of some
 * repetitions, which other load on the machine disturbs least. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gemm.h"
#include "ops.h"
#if HAVE_BLAS
#include <cblas.h>
#endif

enum { LONGEST = 4096 * 4096 };
static float *left, *right, *result;
static cr_tape *tapes[2]; /* of one thread and of two */

static double now(int threads) {
  struct timespec t;
  clock_gettime(threads > 1 ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The shortest time of a call, over at least a twentieth of a second and five calls: the processor's for one thread. */
static double best_of(void (*call)(const void *what), const void *what, int calls, int threads) {
  double best = 1e9, begin = now(threads);
  for (int k = 0; k < 5 || now(threads) - begin < 0.05; k++) {
    double start = now(threads);
    for (int i = 0; i < calls; i++) call(what);
    double each = (now(threads) - start) / calls;
    if (each < best) best = each;
  }
  return best;
}

typedef struct form {
  int64_t m, n, k;
  bool a_across, b_across; /* a stored (k, m); b stored (n, k) */
  int threads;
  cr_array a, b, c; /* made by prepare */
} form;

static cr_array matrix(float *data, int64_t rows, int64_t cols, bool across) {
  cr_array a;
  cr_array_init(&a, CR_FLOAT32, 2, (int64_t[]){rows, cols});
  a.data = data;
  if (across) a.stride[0] = 1, a.stride[1] = rows, a.contiguous = 0;
  return a;
}

static void prepare(form *f) {
  f->a = matrix(left, f->m, f->k, f->a_across), f->b = matrix(right, f->k, f->n, f->b_across);
  f->c = matrix(result, f->m, f->n, false);
}

static void ours(const void *what) {
  const form *f = what;
  cr_array c = f->c;
  cr__matrix_product(tapes[f->threads - 1], &f->a, &f->b, &c, NULL);
}

static void openblas(const void *what) {
#if HAVE_BLAS
  const form *f = what;
  int m = (int)f->m, n = (int)f->n, k = (int)f->k;
  cblas_sgemm(CblasRowMajor, f->a_across ? CblasTrans : CblasNoTrans, f->b_across ? CblasTrans : CblasNoTrans, m, n, k, 1,
              left, f->a_across ? m : k, right, f->b_across ? k : n, 0, result, n);
#else
  (void)what;
#endif
}

static double rate(const form *f, void (*call)(const void *what)) {
  double work = 2.0 * (double)f->m * (double)f->n * (double)f->k;
  int calls = work < 1e8 ? (int)(1e8 / work) + 1 : 1;
  return work / best_of(call, f, calls, f->threads) / 1e9;
}

/* Forward, the input's cotangent and the weight's of y = x W with x (m, k) and W (k, n). */
static void row(int64_t m, int64_t n, int64_t k) {
  form forms[] = {{.m = m, .n = n, .k = k, .threads = 1},
                  {.m = m, .n = k, .k = n, .b_across = true, .threads = 1},
                  {.m = k, .n = n, .k = m, .a_across = true, .threads = 1}};
  char name[64];
  snprintf(name, sizeof name, "%lldx%lldx%lld", (long long)m, (long long)n, (long long)k);
  printf("%-16s", name);
  for (int i = 0; i < 3; i++) {
    prepare(&forms[i]);
    double one = rate(&forms[i], ours), peer = rate(&forms[i], openblas);
    forms[i].threads = 2;
    double two = rate(&forms[i], ours);
    printf("  %6.1f %6.1f %6.1f", one, two, HAVE_BLAS ? peer : 0.0);
  }
  printf("\n");
  fflush(stdout);
}

static void small(int64_t m, int64_t n, int64_t k) {
  form f = {.m = m, .n = n, .k = k, .threads = 1};
  char name[64];
  snprintf(name, sizeof name, "%lldx%lldx%lld", (long long)m, (long long)n, (long long)k);
  prepare(&f);
  double own = best_of(ours, &f, 10000, 1) * 1e9, peer = HAVE_BLAS ? best_of(openblas, &f, 10000, 1) * 1e9 : 0;
  printf("%-16s  %7.1f ns   OpenBLAS %7.1f ns\n", name, own, peer);
}

#if defined(__AVX512F__)
enum { LANES = 16 };
#elif defined(__AVX__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif
typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
enum { STEPS = 1 << 20, CHAINS = 12 };

/* Multiply-adds on registers: as many chains as hide their latency. */
static void registers(const void *what) {
  lanes x = {0}, a[CHAINS];
  x += *(const float *)what;
  for (int i = 0; i < CHAINS; i++) a[i] = x * (float)i;
  lanes a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3], a4 = a[4], a5 = a[5], a6 = a[6], a7 = a[7], a8 = a[8], a9 = a[9],
        aa = a[10], ab = a[11];
  for (int k = 0; k < STEPS; k++) {
    a0 = a0 * x + x, a1 = a1 * x + x, a2 = a2 * x + x, a3 = a3 * x + x, a4 = a4 * x + x, a5 = a5 * x + x;
    a6 = a6 * x + x, a7 = a7 * x + x, a8 = a8 * x + x, a9 = a9 * x + x, aa = aa * x + x, ab = ab * x + x;
  }
  lanes all = a0 + a1 + a2 + a3 + a4 + a5 + a6 + a7 + a8 + a9 + aa + ab;
  for (int i = 0; i < LANES; i++) result[i] = all[i];
}

int main(int argc, char **argv) {
  static const int64_t shapes[][3] = {
      {64, 128, 784},    {64, 256, 784},     {128, 256, 784},    {64, 512, 784},    {64, 512, 512},  {64, 10, 128},
      {64, 10, 512},     {32, 512, 128},     {256, 512, 128},    {256, 4096, 128},  {1600, 512, 64}, {1024, 384, 384},
      {1024, 1152, 384}, {1024, 1536, 384},  {1024, 384, 1536},  {1024, 4096, 384}, {256, 64, 256},  {256, 256, 64},
      {512, 512, 512},   {1024, 1024, 1024}, {2048, 2048, 2048}, {4096, 4096, 4096}};
  static const int64_t little[][3] = {{1, 16, 2},   {1, 16, 16}, {1, 1, 16},   {4, 4, 4},   {8, 8, 8},
                                      {16, 16, 16}, {32, 16, 2}, {32, 16, 16}, {32, 1, 16}, {32, 32, 32}};
  float factor = 0.5f;
  left = malloc(LONGEST * sizeof *left), right = malloc(LONGEST * sizeof *right), result = malloc(LONGEST * sizeof *result);
  if (!left || !right || !result) return 1;
  for (int64_t i = 0; i < LONGEST; i++) left[i] = (float)(i % 17) * 0.1f, right[i] = (float)(i % 13) * 0.1f, result[i] = 0;
  for (int i = 0; i < 2; i++) {
    if (!(tapes[i] = cr_new())) return 1;
    cr_set(tapes[i], CR_THREADS, i + 1);
  }
#if HAVE_BLAS
  openblas_set_num_threads(1);
#endif
  printf("multiply-adds on registers: %.1f GFLOP/s\n",
         2.0 * STEPS * CHAINS * LANES / best_of(registers, &factor, 1, 1) / 1e9);
  if (argc == 4) {
    row(atol(argv[1]), atol(argv[2]), atol(argv[3]));
    return 0;
  }
  for (size_t i = 0; i < sizeof little / sizeof *little; i++) small(little[i][0], little[i][1], little[i][2]);
  printf("%-16s  %20s  %20s  %20s\n", "m x n x k", "forward: 1 2 BLAS", "dX: 1 2 BLAS", "dW: 1 2 BLAS");
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) row(shapes[i][0], shapes[i][1], shapes[i][2]);
  for (int i = 0; i < 2; i++) cr_free(tapes[i]);
  free(left);
  free(right);
  free(result);
  return 0;
}
