/* gradbench: a tool for GradBench, the benchmark of automatic differentiation. It answers messages, JSON objects one a line;
 * whatever a line holds, it is answered. Usage: gradbench [--multithreaded] */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef __SSE2__
#include <pmmintrin.h>
#endif

#include "../gradbench/gradbench.h"

enum { MAX_MIB = 4096 - 256 };

/* The evaluation at work, of all messages since its first. */
typedef struct bench {
  const evaluation *evaluation;
  void *state;
  cr_tape *tape;
  int64_t threads;
  integers times; /* nanoseconds of each run */
} bench;

static void close_evaluation(bench *b) {
  if (b->evaluation && b->evaluation->release) b->evaluation->release(b->state);
  free(b->state);
  cr_free(b->tape);
  b->evaluation = NULL;
  b->state = NULL;
  b->tape = NULL;
}

static bool open_evaluation(bench *b, const json_t *message, complaint *c) {
  const char *name = json_string_value(json_object_get(message, "module"));
  const evaluation *e = NULL;
  for (int k = 0; name && evaluations[k]; k++)
    if (!strcmp(name, evaluations[k]->name)) e = evaluations[k];
  if (!name) return complain(c, "field module is missing, or not a string");
  if (!e) return complain(c, "there is no module %.100s", name);
  if (e == b->evaluation) return true;
  close_evaluation(b);
  b->state = calloc(1, e->size);
  b->tape = cr_new();
  if (!b->state || !b->tape) {
    close_evaluation(b);
    return complain(c, "no memory");
  }
  b->evaluation = e;
  cr_set(b->tape, CR_THREADS, b->threads);
  cr_set(b->tape, CR_MAX_BYTES, MAX_MIB);
  return true;
}

/* Evaluate */

/* How often to run: both must be reached. */
typedef struct repetition {
  int64_t runs;
  double seconds;
} repetition;

static bool read_repetition(const json_t *input, repetition *r, complaint *c) {
  *r = (repetition){1, 0};
  return (!json_object_get(input, "min_runs") || read_integer(input, "min_runs", 1, INT64_C(1) << 32, &r->runs, c)) &&
         (!json_object_get(input, "min_seconds") || read_number(input, "min_seconds", &r->seconds, c)) &&
         ((r->seconds >= 0 && r->seconds <= 1e6) || complain(c, "field min_seconds is not from 0 to 10^6"));
}

static int64_t nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool note_time(integers *times, int64_t time, complaint *c) {
  if (times->count == times->room) {
    int64_t room = 2 * times->room + 64, *at = realloc(times->at, (size_t)room * sizeof *at);
    if (!at) return complain(c, "no memory for the times of %" PRId64 " runs", times->count);
    times->at = at;
    times->room = room;
  }
  times->at[times->count++] = time;
  return true;
}

static bool run_once(bench *b, int function, complaint *c) {
  cr_mark start = cr_mark_here(b->tape);
  int64_t began = nanoseconds();
  b->evaluation->run(b->state, b->tape, function);
  cr_reset(b->tape, start);
  int64_t time = nanoseconds() - began;
  if (cr_error(b->tape) == CR_OK) return note_time(&b->times, time, c);
  complain(c, "%s", cr_error_text(b->tape));
  cr_clear_error(b->tape);
  return false;
}

static bool find_function(const evaluation *e, const char *name, int *function, complaint *c) {
  if (!name) return complain(c, "field function is missing, or not a string");
  for (*function = 0; e->function[*function]; ++*function)
    if (!strcmp(name, e->function[*function])) return true;
  return complain(c, "module %s has no function %.100s", e->name, name);
}

static bool evaluate(bench *b, const json_t *message, int *function, complaint *c) {
  const json_t *input = json_object_get(message, "input");
  repetition r;
  if (!open_evaluation(b, message, c)) return false;
  const evaluation *e = b->evaluation;
  if (!find_function(e, json_string_value(json_object_get(message, "function")), function, c)) return false;
  if (!input) return complain(c, "field input is missing");
  if (!read_repetition(input, &r, c) || !e->read(b->state, input, c)) return false;
  double elapsed = 0;
  b->times.count = 0;
  while (b->times.count < r.runs || elapsed < r.seconds) {
    if (!run_once(b, *function, c)) return false;
    elapsed += (double)b->times.at[b->times.count - 1] * 1e-9;
  }
  return true;
}

/* Answers */

/* The members of an answer follow its id, which a line that is not JSON may hold all the same. */
static void begin_answer(text *out, const json_t *message, const char *line) {
  const json_t *id = json_object_get(message, "id");
  const char *found = message ? NULL : strstr(line, "\"id\"");
  long long number = json_integer_value(id);
  int known = json_is_integer(id) || (found && sscanf(found, "\"id\" : %lld", &number) == 1);
  out->length = 0;
  put_text(out, "{\"id\": ");
  if (known) put_integer(out, number);
  else put_text(out, "null");
}

static void put_failure(text *out, const complaint *c) {
  put_text(out, ", \"success\": false, \"error\": ");
  put_string(out, c->text);
}

static void put_success(text *out, const bench *b, int function) {
  put_text(out, ", \"success\": true, \"output\": ");
  b->evaluation->write(b->state, function, out);
  put_text(out, ", \"timings\": [");
  for (int64_t k = 0; k < b->times.count; k++) {
    put_text(out, k ? ", " : "");
    put_text(out, "{\"name\": \"evaluate\", \"nanoseconds\": ");
    put_integer(out, b->times.at[k]);
    put_text(out, "}");
  }
  put_text(out, "]");
}

static void answer_evaluate(text *out, bench *b, const json_t *message) {
  complaint c;
  int function = 0;
  size_t head = out->length;
  bool good = evaluate(b, message, &function, &c);
  if (good) put_success(out, b, function);
  if (good && !out->no_memory && !out->not_finite) return;
  if (good) complain(&c, out->no_memory ? "no memory for the answer" : "the result is not finite");
  out->length = head;
  out->no_memory = out->not_finite = false;
  put_failure(out, &c);
}

static void answer(text *out, bench *b, const json_t *message, const char *line, const char *syntax) {
  const char *kind = json_string_value(json_object_get(message, "kind"));
  complaint c;
  begin_answer(out, message, line);
  if (!json_is_object(message)) {
    complain(&c, "%s", syntax);
    put_failure(out, &c);
  } else if (!kind) {
    complain(&c, "field kind is missing, or not a string");
    put_failure(out, &c);
  } else if (!strcmp(kind, "start")) {
    put_text(out, ", \"tool\": ");
    put_string(out, tool_name);
  } else if (!strcmp(kind, "define")) {
    if (open_evaluation(b, message, &c)) put_text(out, ", \"success\": true");
    else put_failure(out, &c);
  } else if (!strcmp(kind, "evaluate")) {
    answer_evaluate(out, b, message);
  }
  put_text(out, "}\n");
}

/* Numbers below 1e-308, as the weights of far points may be, make arithmetic a hundred times slower: here they are 0. */
static void flush_tiny_numbers(void) {
#ifdef __SSE2__
  _mm_setcsr(_mm_getcsr() | _MM_FLUSH_ZERO_ON | _MM_DENORMALS_ZERO_ON);
#endif
}

int main(int n, char **arguments) {
  bench b = {.threads = n > 1 && !strcmp(arguments[1], "--multithreaded") ? 0 : 1};
  if (n > 2 - (int)b.threads) {
    fprintf(stderr, "Usage: %s [--multithreaded]\nAnswers messages of GradBench, one a line.\n", arguments[0]);
    return 2;
  }
  flush_tiny_numbers();
  char *line = NULL;
  size_t room = 0;
  text out = {0};
  for (ssize_t length; (length = getline(&line, &room, stdin)) > 0;) {
    json_error_t e;
    char syntax[sizeof e.text + 64] = "the message is not an object";
    json_t *message = json_loadb(line, (size_t)length, 0, &e);
    if (!message) snprintf(syntax, sizeof syntax, "the message is not JSON: %s, at byte %d", e.text, e.position);
    answer(&out, &b, message, line, syntax);
    json_decref(message);
    if (fwrite(out.at, 1, out.length, stdout) < out.length || fflush(stdout)) break;
  }
  close_evaluation(&b);
  free(b.times.at);
  free(out.at);
  free(line);
  return ferror(stdout) ? 1 : 0;
}
