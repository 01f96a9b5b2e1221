/* Checkpoints: a training that is stopped or killed and goes on ends with the bits of one that was not; damaged files are
 * refused. */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "training_setup.h"

static char folder[] = "checkpoint_test.XXXXXX";
static char file[64], previous[80], logged[64];

static int make_folder(void **state) {
  (void)state;
  if (!mkdtemp(folder)) return -1;
  snprintf(file, sizeof file, "%s/model.safetensors", folder);
  snprintf(previous, sizeof previous, "%s.previous", file);
  snprintf(logged, sizeof logged, "%s/log.csv", folder);
  return 0;
}
static void forget(void) {
  remove(file);
  remove(previous);
  remove(logged);
}
static int remove_folder(void **state) {
  (void)state;
  forget();
  char rest[80];
  snprintf(rest, sizeof rest, "rm -rf %s", folder);
  return system(rest);
}

typedef struct plan { /* a training in all that matters to going on */
  const char *optimizer, *schedule;
  int drops, normalizes, drop_last, in_order;
  const char *augment;
  double clip_norm;
  int64_t epochs, patience;
} plan;

static const plan plans[] = {
  {.optimizer = "sgd(lr=0.05, momentum=0.9)", .epochs = 4, .clip_norm = 0.5},
  {.optimizer = "adam(lr=0.02)", .epochs = 4, .drops = 1, .augment = "noise(0.1), mixup(0.4)"},
  {.optimizer = "sgd(lr=5)", .schedule = "plateau(factor=0.5, patience=1)", .epochs = 8, .normalizes = 1, .drop_last = 1},
  {.optimizer = "adam(lr=0.3)", .schedule = "cosine()", .epochs = 12, .patience = 2, .in_order = 1},
  {.optimizer = "lbfgs()", .epochs = 3}};
enum { N_PLANS = sizeof plans / sizeof *plans };

static void set_up_plan(setup *s, const plan *p) {
  set_up(s, p->optimizer, p->schedule);
  s->drops = p->drops;
  s->normalizes = p->normalizes;
  s->k.validation = &s->validation;
  s->k.epochs = p->epochs;
  s->k.patience = p->patience;
  s->k.drop_last = p->drop_last;
  s->k.in_order = p->in_order;
  s->k.augment = p->augment;
  s->k.clip_norm = p->clip_norm;
  s->k.metrics = "accuracy, f1";
}

/* Of the parameters and of all that is known of the epochs but the time they took. */
static uint64_t fingerprint(const cr_training *k) {
  uint64_t hash = k->run_hash;
  for (int64_t i = 0; i < k->n_history; i++) {
    const cr_epoch *e = &k->history[i];
    double number[] = {(double)e->steps, e->rate,      e->train_loss, e->validation_loss,
                       e->gradient_norm, e->metric[0], e->metric[1]};
    for (size_t j = 0; j < sizeof number / sizeof *number; j++) {
      uint64_t bits;
      memcpy(&bits, &number[j], sizeof bits);
      hash = (hash ^ bits) * 1099511628211u;
    }
  }
  return hash;
}

static uint64_t uninterrupted(const plan *p, cr_reason *reason) {
  setup s;
  set_up_plan(&s, p);
  assert_ok(&s, cr_train(&s.k));
  uint64_t hash = fingerprint(&s.k);
  *reason = s.k.reason;
  tear_down(&s);
  return hash;
}

static volatile sig_atomic_t stop_now;
static int64_t stop_at;
static void stop_after(cr_training *k, int64_t step, int64_t steps) {
  (void)step, (void)steps;
  stop_now = k->step == stop_at;
}

static void stopped_and_resumed_after_every_step(void **state) {
  (void)state;
  for (int i = 0; i < N_PLANS; i++) {
    cr_reason reason, ended = CR_ENDED_INTERRUPTED;
    uint64_t hash = uninterrupted(&plans[i], &reason), got = 0;
    forget();
    for (stop_at = 1; ended == CR_ENDED_INTERRUPTED; stop_at++) {
      setup s; /* all of it anew, as in another process */
      set_up_plan(&s, &plans[i]);
      s.k.checkpoint = file;
      s.k.resume = 1;
      s.k.interrupt = &stop_now;
      s.k.progress = stop_after;
      stop_now = 0;
      assert_ok(&s, cr_train(&s.k));
      ended = s.k.reason;
      got = fingerprint(&s.k);
      if (ended == CR_ENDED_INTERRUPTED) assert_int_equal(s.k.step, stop_at);
      tear_down(&s);
    }
    assert_int_equal(ended, reason);
    assert_true(got == hash);
  }
}

static void a_finished_training_resumes_to_its_end(void **state) {
  (void)state;
  for (int i = 0; i < N_PLANS; i++) {
    cr_reason reason;
    uint64_t hash = uninterrupted(&plans[i], &reason), parameters = 0;
    forget();
    for (int again = 0; again < 3; again++) {
      setup s;
      set_up_plan(&s, &plans[i]);
      s.k.checkpoint = file;
      s.k.resume = 1;
      assert_ok(&s, cr_train(&s.k));
      assert_true(fingerprint(&s.k) == hash);
      assert_int_equal(s.k.reason, reason);
      parameters = s.k.run_hash;
      tear_down(&s);
    }
    setup s; /* the file's parameters are those that training ended with */
    set_up_plan(&s, &plans[i]);
    cr_problem p = {0};
    assert_int_equal(cr_checkpoint_read(&s.k, file, &p), CR_OK);
    assert_true(cr_model_hash(s.k.model) == parameters);
    assert_string_equal(p.text, "");
    tear_down(&s);
  }
}

/* A few more epochs after the end are as if they had been asked for at first. */
static void more_epochs_later(void **state) {
  (void)state;
  plan longer = plans[1], shorter = plans[1];
  cr_reason reason;
  longer.epochs = 7;
  uint64_t hash = uninterrupted(&longer, &reason);
  forget();
  for (int again = 0; again < 2; again++) {
    setup s;
    set_up_plan(&s, again ? &longer : &shorter);
    s.k.checkpoint = file;
    s.k.resume = again;
    assert_ok(&s, cr_train(&s.k));
    if (again) assert_true(fingerprint(&s.k) == hash);
    assert_int_equal(s.k.n_history, again ? 7 : 4);
    tear_down(&s);
  }
}

/* Killing */

static void slow_down(cr_training *k, int64_t step, int64_t steps) {
  (void)k, (void)step, (void)steps;
  nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
}

static void train_in_child(const plan *p) {
  setup s;
  set_up_plan(&s, p);
  s.k.checkpoint = file;
  s.k.checkpoint_every = 2;
  s.k.resume = 1;
  s.k.log = logged;
  s.k.progress = slow_down;
  cr_status status = cr_train(&s.k);
  if (s.k.problem.text[0]) fprintf(stderr, "%s\n", s.k.problem.text);
  _exit(status == CR_OK && !s.k.problem.text[0] ? 0 : 1);
}

/* Runs a child and kills it after that many microseconds; 1 when it had finished. */
static int run_and_kill(const plan *p, long microseconds) {
  int status = 0;
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) train_in_child(p);
  for (long waited = 0; waited < microseconds; waited += 100) {
    if (waitpid(child, &status, WNOHANG) == child) {
      assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
      return 1;
    }
    nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
  }
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  return WIFEXITED(status);
}

static int64_t steps_in_file(const plan *p) {
  setup s;
  set_up_plan(&s, p);
  s.k.checkpoint = file;
  s.k.resume = 1;
  stop_now = 1;
  s.k.interrupt = &stop_now;
  assert_ok(&s, cr_train(&s.k));
  assert_string_equal(s.k.problem.text, "");
  int64_t steps = s.k.step;
  tear_down(&s);
  return steps;
}

static int lines_of(const char *path) {
  FILE *f = fopen(path, "r");
  assert_non_null(f);
  int n = 0;
  for (int c; (c = getc(f)) != EOF;) n += c == '\n';
  fclose(f);
  return n;
}

static void killed_at_fifty_moments(void **state) {
  (void)state;
  plan p = plans[1];
  cr_reason reason;
  cr_random r = {12, 0};
  int64_t steps = 0;
  p.epochs = 60; /* 420 steps */
  uint64_t hash = uninterrupted(&p, &reason);
  forget();
  int kills = 0, finished = 0;
  while (kills < 50) {
    finished = run_and_kill(&p, (long)(1000 + 40000 * cr_random_uniform(&r)));
    kills += !finished;
    int64_t now = access(file, F_OK) == 0 || kills > 25 ? steps_in_file(&p) : 0;
    assert_true(now >= steps); /* nothing that was saved is lost */
    steps = now;
    if (finished) { /* it was faster than the kills: once more from the start */
      forget();
      steps = 0;
    }
  }
  while (!finished) finished = run_and_kill(&p, 60000000);
  setup s;
  set_up_plan(&s, &p);
  s.k.checkpoint = file;
  s.k.resume = 1;
  assert_ok(&s, cr_train(&s.k));
  assert_true(fingerprint(&s.k) == hash);
  assert_int_equal(s.k.n_history, 60);
  assert_int_equal(lines_of(logged), 61); /* none twice, none missing */
  tear_down(&s);
}

/* Damage */

static void write_bytes(const char *path, const char *bytes, size_t n) {
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(bytes, 1, n, f), n);
  assert_int_equal(fclose(f), 0);
}

static void make_checkpoint(const plan *p) {
  setup s;
  forget();
  set_up_plan(&s, p);
  s.k.checkpoint = file;
  assert_ok(&s, cr_train(&s.k));
  assert_int_equal(access(previous, F_OK), 0);
  tear_down(&s);
}

/* Both files are there; FILE has been damaged. */
static void assert_previous_serves(setup *s, const char *how, size_t at) {
  cr_problem p = {0};
  if (cr_checkpoint_read(&s->k, file, &p)) fail_msg("%s at %zu: %s", how, at, p.text);
  if (!strstr(p.text, "the checkpoint before it is used")) fail_msg("%s at %zu was not noticed: '%s'", how, at, p.text);
  if (strncmp(p.text, file, strlen(file))) fail_msg("%s at %zu: no file name in '%s'", how, at, p.text);
}

static void every_damaged_byte_is_noticed(void **state) {
  (void)state;
  const plan p = {.optimizer = "sgd(lr=0.1)", .epochs = 2};
  make_checkpoint(&p);
  char *bytes;
  size_t n;
  assert_int_equal(cr_read_text(&bytes, &n, file, NULL), CR_OK);
  setup s;
  set_up_plan(&s, &p);
  for (size_t at = 0; at < n; at++) {
    bytes[at] = (char)(bytes[at] ^ (at % 3 == 0 ? 1 : at % 3 == 1 ? 0x80 : 0xff));
    write_bytes(file, bytes, n);
    assert_previous_serves(&s, "a changed byte", at);
    bytes[at] = (char)(bytes[at] ^ (at % 3 == 0 ? 1 : at % 3 == 1 ? 0x80 : 0xff));
  }
  for (size_t length = 0; length < n; length++) {
    write_bytes(file, bytes, length);
    assert_previous_serves(&s, "the end", length);
  }
  bytes[n - 1] ^= 1; /* both of them damaged */
  write_bytes(file, bytes, n);
  write_bytes(previous, bytes, n / 2);
  cr_problem why = {0};
  assert_int_not_equal(cr_checkpoint_read(&s.k, file, &why), CR_OK);
  assert_non_null(strstr(why.text, file));
  assert_non_null(strstr(why.text, ".previous"));
  forget();
  why = (cr_problem){0};
  assert_int_not_equal(cr_checkpoint_read(&s.k, file, &why), CR_OK);
  assert_non_null(strstr(why.text, file));
  tear_down(&s);
  free(bytes);
}

static void a_damaged_file_is_not_kept_as_the_previous_one(void **state) {
  (void)state;
  make_checkpoint(&plans[0]);
  write_bytes(file, "damaged", 7);
  setup s;
  set_up_plan(&s, &plans[0]);
  s.k.checkpoint = file;
  s.k.resume = 1;
  cr_reason reason;
  assert_ok(&s, cr_train(&s.k));
  assert_non_null(strstr(s.k.problem.text, "the checkpoint before it is used"));
  assert_true(fingerprint(&s.k) == uninterrupted(&plans[0], &reason));
  cr_problem p = {0};
  assert_int_equal(cr_checkpoint_read(&s.k, previous, &p), CR_OK);
  assert_string_equal(p.text, "");
  tear_down(&s);
}

static void another_training_is_refused(void **state) {
  (void)state;
  make_checkpoint(&plans[0]);
  setup s;
  set_up_plan(&s, &plans[0]);
  s.normalizes = 1;
  s.k.checkpoint = file;
  s.k.resume = 1;
  assert_int_not_equal(cr_train(&s.k), CR_OK);
  assert_non_null(strstr(s.k.problem.text, file));
  assert_non_null(strstr(s.k.problem.text, "batch"));
  tear_down(&s);
  set_up_plan(&s, &plans[0]);
  s.k.checkpoint = file;
  s.k.resume = 1;
  s.k.batch = 16;
  assert_int_equal(cr_train(&s.k), CR_MISMATCH);
  assert_non_null(strstr(s.k.problem.text, "batch was 8 and is 16 now"));
  s.k.batch = 8;
  s.k.seed++;
  assert_int_equal(cr_train(&s.k), CR_MISMATCH);
  s.k.seed--;
  assert_ok(&s, cr_train(&s.k));
  tear_down(&s);
  set_up_plan(&s, &plans[1]);
  s.k.checkpoint = file;
  s.k.resume = 1;
  assert_int_not_equal(cr_train(&s.k), CR_OK); /* another optimizer's state */
  tear_down(&s);
}

/* Told before the first step; and a device is not renamed, nor given a second name. */
static void a_file_that_cannot_be_made(void **state) {
  (void)state;
  static const char *const wrong[][2] = {{".", "Is a directory"}, {"nowhere/c", "No such file"}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    setup s;
    set_up_plan(&s, &plans[0]);
    s.k.checkpoint = wrong[i][0];
    assert_int_not_equal(cr_train(&s.k), CR_OK);
    assert_non_null(strstr(s.k.problem.text, wrong[i][1]));
    assert_int_equal(s.k.step, 0);
    tear_down(&s);
  }
  setup s;
  set_up_plan(&s, &plans[0]);
  s.k.checkpoint = "/dev/null";
  assert_ok(&s, cr_train(&s.k));
  assert_int_not_equal(access("/dev/null.previous", F_OK), 0);
  tear_down(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_file_that_cannot_be_made),
    cmocka_unit_test(stopped_and_resumed_after_every_step),
    cmocka_unit_test(a_finished_training_resumes_to_its_end),
    cmocka_unit_test(more_epochs_later),
    cmocka_unit_test(killed_at_fifty_moments),
    cmocka_unit_test(every_damaged_byte_is_noticed),
    cmocka_unit_test(a_damaged_file_is_not_kept_as_the_previous_one),
    cmocka_unit_test(another_training_is_refused)};
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
