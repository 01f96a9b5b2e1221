/* See parallel.h. Threads are made at the first use, wait a moment for the next job and then sleep; without them, because
 * one thread is asked for or no more can be made, the caller does all the work. */
#include "parallel.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "internal.h"

/* How long a thread watches for work before it sleeps: some tens of microseconds, the length of a kernel. */
enum { PATIENCE = 1 << 10, MOST_THREADS = 256, STACK = 1 << 21 };

typedef struct job {
  void (*body)(void *context, int64_t from, int64_t to);
  void *context;
  int64_t n, grain;
  uint32_t blocks;
} job;

struct cr_crew {
  pthread_mutex_t lock;
  pthread_cond_t work, done;
  job job;                  /* read after a block of it was taken, and only then */
  atomic_uint left;         /* blocks of the job that nobody has taken */
  atomic_uint finished;
  atomic_bool stop;
  int sleeping;             /* under lock */
  int n_threads, room;      /* threads made, and places for them */
  pthread_t thread[];
};

static void rest(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

/* Takes and runs one block; false when there is none. */
static bool run_block(cr_crew *p) {
  unsigned left = atomic_load_explicit(&p->left, memory_order_acquire);
  do
    if (!left) return false;
  while (!atomic_compare_exchange_weak_explicit(&p->left, &left, left - 1, memory_order_acq_rel, memory_order_acquire));
  job j = p->job;
  int64_t from = (int64_t)(j.blocks - left) * j.grain, to = from + j.grain;
  j.body(j.context, from, to < j.n ? to : j.n);
  if (atomic_fetch_add_explicit(&p->finished, 1, memory_order_acq_rel) + 1 == j.blocks) {
    pthread_mutex_lock(&p->lock);
    pthread_cond_signal(&p->done);
    pthread_mutex_unlock(&p->lock);
  }
  return true;
}

static void *serve(void *crew) {
  cr_crew *p = crew;
  int idle = 0;
  while (!atomic_load_explicit(&p->stop, memory_order_acquire)) {
    if (run_block(p)) {
      idle = 0;
    } else if (++idle < PATIENCE) {
      rest();
    } else {
      pthread_mutex_lock(&p->lock);
      p->sleeping++;
      while (!atomic_load(&p->left) && !atomic_load(&p->stop)) pthread_cond_wait(&p->work, &p->lock);
      p->sleeping--;
      pthread_mutex_unlock(&p->lock);
      idle = 0;
    }
  }
  return NULL;
}

static int threads_wanted(const cr_tape *t) {
  long n = t->option[CR_THREADS] ? (long)t->option[CR_THREADS] : sysconf(_SC_NPROCESSORS_ONLN);
  return n < 1 ? 1 : n < MOST_THREADS ? (int)n : MOST_THREADS;
}

static size_t crew_size(int threads) { return sizeof(cr_crew) + (size_t)threads * sizeof(pthread_t); }

static cr_crew *new_crew(cr_tape *t) {
  int wanted = threads_wanted(t);
  cr_crew *p = cr__resize(&t->counted, NULL, 0, crew_size(wanted));
  if (!p) return NULL;
  memset(p, 0, sizeof *p);
  pthread_mutex_init(&p->lock, NULL);
  pthread_cond_init(&p->work, NULL);
  pthread_cond_init(&p->done, NULL);
  atomic_init(&p->left, 0);
  atomic_init(&p->finished, 0);
  atomic_init(&p->stop, false);
  p->room = wanted;
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes)) return p;
  pthread_attr_setstacksize(&attributes, STACK);
  while (p->n_threads < wanted - 1 && !pthread_create(&p->thread[p->n_threads], &attributes, serve, p)) p->n_threads++;
  pthread_attr_destroy(&attributes);
  return p;
}

void cr__crew_free(cr_tape *t) {
  cr_crew *p = t->crew;
  if (!p) return;
  pthread_mutex_lock(&p->lock);
  atomic_store(&p->stop, true);
  pthread_cond_broadcast(&p->work);
  pthread_mutex_unlock(&p->lock);
  for (int k = 0; k < p->n_threads; k++) pthread_join(p->thread[k], NULL);
  pthread_cond_destroy(&p->work);
  pthread_cond_destroy(&p->done);
  pthread_mutex_destroy(&p->lock);
  cr__resize(&t->counted, p, crew_size(p->room), 0);
  t->crew = NULL;
}

static void share(cr_crew *p, const job *j) {
  p->job = *j;
  atomic_store(&p->finished, 0);
  pthread_mutex_lock(&p->lock);
  atomic_store_explicit(&p->left, j->blocks, memory_order_release);
  if (p->sleeping) pthread_cond_broadcast(&p->work);
  pthread_mutex_unlock(&p->lock);
  while (run_block(p)) continue;
  for (int k = 0; k < PATIENCE && atomic_load_explicit(&p->finished, memory_order_acquire) < j->blocks; k++) rest();
  if (atomic_load_explicit(&p->finished, memory_order_acquire) == j->blocks) return;
  pthread_mutex_lock(&p->lock);
  while (atomic_load(&p->finished) < j->blocks) pthread_cond_wait(&p->done, &p->lock);
  pthread_mutex_unlock(&p->lock);
}

void cr__parallel(cr_tape *t, int64_t n, int64_t grain, void (*body)(void *context, int64_t from, int64_t to),
                  void *context) {
  if (n <= grain) {
    if (n > 0) body(context, 0, n);
    return;
  }
  if (t->option[CR_THREADS] != 1 && !t->crew) t->crew = new_crew(t);
  if (t->crew && t->crew->n_threads && n / grain < INT32_MAX) {
    share(t->crew, &(job){body, context, n, grain, (uint32_t)((n + grain - 1) / grain)});
    return;
  }
  for (int64_t from = 0; from < n; from += grain) body(context, from, from + grain < n ? from + grain : n);
}

void cr_parallel(cr_tape *t, int64_t n, int64_t grain, void (*body)(void *context, int64_t from, int64_t to),
                 void *context) {
  cr__parallel(t, n, grain, body, context);
}
