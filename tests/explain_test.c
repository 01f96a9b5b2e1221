/* Explanations: what is written down is what the tape computed, adds up, and is the same in every format. */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "trace.h"

/* A trace of the source's last value with respect to its inputs. */
typedef struct story {
  cr_tape *tape;
  cr_program *program;
  trace *t;
} story;

static story tell(const char *source, int decimals) {
  story s = {.tape = cr_new()};
  s.program = cr_program_new(s.tape, CR_FLOAT64);
  cr_results r;
  cr_syntax_error e;
  cr_var x[16];
  int n = 0;
  const char *name;
  cr_set(s.tape, CR_ROUND_DIGITS, decimals);
  cr_status status = cr_program_run(s.program, source, strlen(source), &r, &e);
  if (status != CR_OK) print_error("%s: %s\n", source, cr_error_text(s.tape));
  assert_int_equal(status, CR_OK);
  for (int k = 0; (name = cr_program_name(s.program, k)) && n < 16; k++) {
    cr_var v = cr_program_value(s.program, name);
    if (!cr_is_poison(v) && cr_is_input(v) && cr_dtype_of(v) >= CR_FLOAT32) x[n++] = v;
  }
  trace_options o = {.digits = 6, .decimals = decimals, .check = true};
  s.t = trace_make(r.value[0], n, x, &o);
  if (!s.t) print_error("%s: %s\n", source, cr_error_text(s.tape));
  assert_non_null(s.t);
  return s;
}

static void end(story *s) {
  trace_free(s->t);
  cr_free(s->tape);
}

static char *written(const story *s, void (*write)(const trace *, cr_buffer *)) {
  cr_buffer b = {.tape = s->tape};
  write(s->t, &b);
  assert_false(b.failed);
  char *text = strdup(b.text);
  cr_buffer_free(&b);
  return text;
}

static void as_text(const trace *t, cr_buffer *b) { trace_text(t, NULL, b, false); }

static const char *const stories[] = {
    "x = 1.5; sin(x^2)",
    "x = 0.7; y = -1.2; x*y + x^2*sin(y) - x/y",
    "x = 1.1; (exp(sin(x))*cos(1/x^3 + x^3))^4",
    "x = -0.4; exp(-x^2)*tanh(3*x) + log(1 + x^2)/sqrt(2 + x) - atan(x)",
    "w = 0.5; v = 1; x = 2; h = sigmoid(w*x); J = (v*h - 3)^2/2; J",
    "a = 0.3; b = 0.8; a^b + b^a + 2^a",
    "x = 0.3; z = x*x; z*z + x",
    "X = [[1, 0.5], [2, 1], [0, 1]]; W = [[0.5, 2.3], [1.5, 3]]; b = [0.1, -0.2]; H = sigmoid(X @ W + b); sum((H - 1)^2)/6",
    "A = [[1, 2], [3, 4]]; sum(A @ A) + sum(A.T*A)",
    "x = [0.1, 0.2, 0.3]; s = sum(x); sum(exp(x)*s)",
    "x = [1, -2, 0.5]; sum(softmax(x)*x)",
    "x = 2; y = x; relu(y - 1)*3 + abs(x)",
};
enum { N_STORIES = sizeof stories / sizeof *stories };

static void contributions_add_up_to_the_adjoints(void **state) {
  (void)state;
  for (int i = 0; i < N_STORIES; i++) {
    story s = tell(stories[i], 0);
    for (int k = 0; k < s.t->n_nodes - 1; k++) {
      const trace_node *n = &s.t->node[k];
      for (int64_t j = 0; n->n_terms && j < n->adjoint.count; j++) {
        double sum = 0, size = 1e-300;
        for (int u = 0; u < n->n_terms; u++) {
          assert_non_null(n->term[u].share.data);
          sum += n->term[u].share.data[j];
          size += fabs(n->term[u].share.data[j]);
        }
        assert_true(fabs(sum - n->adjoint.data[j]) <= 1e-14 * size);
      }
    }
    end(&s);
  }
}

static void gradients_equal_the_sweep(void **state) {
  (void)state;
  for (int i = 0; i < N_STORIES; i++) {
    story s = tell(stories[i], 0);
    cr_sweep *sweep = cr_backward(s.t->node[s.t->n_nodes - 1].var);
    for (int k = 0; k < s.t->n_inputs; k++) {
      double want[64];
      const trace_input *in = &s.t->input[k];
      assert_true(in->adjoint.count <= 64);
      assert_int_equal(cr_adjoint_read(sweep, s.t->node[in->node].var, want, in->adjoint.count), CR_OK);
      for (int64_t j = 0; j < in->adjoint.count; j++) assert_true(want[j] == in->adjoint.data[j]);
    }
    end(&s);
  }
}

/* The formulas, read again by the language, give the numbers they stand for. */
static void formulas_give_the_gradients(void **state) {
  (void)state;
  int n = 0;
  for (int i = 0; i < N_STORIES; i++) {
    story s = tell(stories[i], 0);
    for (int k = 0; k < s.t->n_inputs; k++) {
      const trace_input *in = &s.t->input[k];
      if (!in->gradient) continue;
      cr_mark mark = cr_mark_here(s.tape);
      cr_var v = cr_program_eval(s.program, in->gradient);
      if (cr_is_poison(v)) { /* formulas of tensors may refer to v1, v2, ... of the explanation */
        cr_clear_error(s.tape);
        cr_reset(s.tape, mark);
        continue;
      }
      cr_array a = cr_view(v);
      assert_true(a.count == in->adjoint.count || a.count == 1);
      for (int64_t j = 0; j < in->adjoint.count; j++) {
        double got = cr_array_get(&a, a.count == 1 ? 0 : j), want = in->adjoint.data[j];
        if (!(fabs(got - want) <= 1e-12 * fmax(1, fabs(want))))
          print_error("%s: d/d%s: %.17g, not %.17g\n", stories[i], in->name, got, want);
        assert_true(fabs(got - want) <= 1e-12 * fmax(1, fabs(want)));
      }
      n++;
      cr_reset(s.tape, mark);
    }
    end(&s);
  }
  assert_true(n >= 15);
}

static void paths_add_up(void **state) {
  (void)state;
  story s = tell("x = 0.7; y = -1.2; x*y + x^2*sin(y) - x/y", 0);
  for (int k = 0; k < s.t->n_inputs; k++) {
    const trace_input *in = &s.t->input[k];
    double sum = 0;
    assert_int_equal(in->n_listed, 3);
    for (int i = 0; i < in->n_listed; i++) sum += in->path[i].product;
    assert_true(fabs(sum - in->adjoint.data[0]) < 1e-14);
  }
  end(&s);
}

/* Where the explanation shows a textbook's derivative, it is that of the op. */
static void taught_derivatives_are_those_of_the_ops(void **state) {
  (void)state;
  for (const trace_form *f = trace_forms(); f->op; f++)
    for (double a = 0.15; a < 0.9; a += 0.2) {
      cr_tape *t = cr_new();
      double at = strcmp(f->op, "acosh") ? a : 1 + a;
      cr_var x = cr_input(t, at), y = cr_poison(t);
      char text[100];
      snprintf(text, sizeof text, "%s(a)", f->op);
      y = cr_formula(t, text, "a", x);
      assert_false(cr_is_poison(y));
      cr_sweep *sweep = cr_backward(y);
      double want = cr_adjoint(sweep, x);
      cr_var d = cr_formula(t, f->taught, "a", x, "y", y);
      assert_false(cr_is_poison(d));
      assert_true(fabs(cr_value(d) - want) <= 1e-13 * fmax(1, fabs(want)));
      cr_free(t);
    }
}

static void rules_are_named(void **state) {
  (void)state;
  static const struct {
    const char *source, *rule;
  } known[] = {{"x = 2; x + sin(x)", "sum rule"},    {"x = 2; x*sin(x)", "product rule"},
               {"x = 2; x/sin(x)", "quotient rule"}, {"x = 2; sin(x)^3", "power rule"},
               {"x = 2; 3*x", "constant factor"},    {"x = 2; sin(x^2)", "chain rule"},
               {"x = 2; 2^x", "exponential rule"},   {"x = 2; sin(x)", "derivative of sin"}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    story s = tell(known[i].source, 0);
    assert_string_equal(s.t->node[s.t->n_nodes - 1].rule, known[i].rule);
    end(&s);
  }
}

static void warnings_are_given(void **state) {
  (void)state;
  static const struct {
    const char *source, *warning;
  } known[] = {{"x = 20; sigmoid(x)", "saturation"}, {"x = 1.00000001; x - 1", "cancellation"},
               {"x = 0; relu(x)", "kink"},           {"x = 1.5; floor(x)*2", "dead path"},
               {"x = -3; relu(x)", "dead path"},     {"x = 800; exp(x)", "not finite"},
               {"x = 1; y = 2; y^2", "dead path"}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    story s = tell(known[i].source, 0);
    bool found = false;
    for (int k = 0; k < s.t->n_warnings; k++) found |= !strncmp(s.t->warning[k], known[i].warning, strlen(known[i].warning));
    if (!found) print_error("%s: no warning of %s\n", known[i].source, known[i].warning);
    assert_true(found);
    end(&s);
  }
  story quiet = tell(stories[1], 0);
  assert_int_equal(quiet.t->n_warnings, 0);
  end(&quiet);
}

/* (1.755 - 4) * 0.777 = -1.744, as on paper. */
static void lecture_arithmetic_rounds_every_step(void **state) {
  (void)state;
  story s = tell(
      "w11 = 0.5; w21 = 1.5; w12 = 2.3; w22 = 3; v1 = 1; v2 = 1; x1 = 1; x2 = 0.5; y = 4; h1 = sigmoid(w11*x1 + w21*x2);"
      "h2 = sigmoid(w12*x1 + w22*x2); yhat = v1*h1 + v2*h2; J = (yhat - y)^2/2; J",
      3);
  for (int k = 0; k < s.t->n_inputs; k++) {
    const trace_input *in = &s.t->input[k];
    if (!strcmp(in->name, "v1")) assert_true(in->adjoint.data[0] == -1.744);
    if (!strcmp(in->name, "v2")) assert_true(in->adjoint.data[0] == -2.196);
  }
  for (int k = 0; k < s.t->n_nodes; k++) {
    const trace_node *n = &s.t->node[k];
    assert_true(fabs(n->value.data[0] * 1000 - round(n->value.data[0] * 1000)) < 1e-9);
    for (int j = 0; j < n->n_terms; j++)
      assert_true(fabs(n->term[j].share.data[0] * 1000 - round(n->term[j].share.data[0] * 1000)) < 1e-9);
  }
  end(&s);
}

/* Formats */

static int count(const char *text, const char *part) {
  int n = 0;
  for (; (text = strstr(text, part)) != NULL; text += strlen(part)) n++;
  return n;
}

static void numbers_are_the_same_in_every_format(void **state) {
  (void)state;
  story s = tell("x = 0.7; y = -1.2; x*y + x^2*sin(y) - x/y", 0);
  char *text = written(&s, as_text), *latex = written(&s, trace_latex), *html = written(&s, trace_html),
       *json = written(&s, trace_json), *dot = written(&s, trace_dot);
  for (int k = 0; k < s.t->n_nodes; k++) {
    const trace_node *n = &s.t->node[k];
    for (int what = 0; what < 2; what++) {
      char number[40], full[40];
      double x = what ? n->adjoint.data[0] : n->value.data[0];
      trace_number(s.t, fabs(x), number);
      assert_non_null(strstr(text, number));
      assert_non_null(strstr(latex, number));
      assert_non_null(strstr(html, number));
      assert_non_null(strstr(dot, number));
      assert_non_null(strstr(json, cr_number_text(x, 0, full)));
    }
  }
  free(text), free(latex), free(html), free(json), free(dot);
  end(&s);
}

static void latex_is_closed_and_needs_amsmath_only(void **state) {
  (void)state;
  for (int i = 0; i < N_STORIES; i++) {
    story s = tell(stories[i], 0);
    char *latex = written(&s, trace_latex);
    int depth = 0;
    for (const char *c = latex; *c; c++) {
      if (*c == '\\' && (c[1] == '{' || c[1] == '}' || c[1] == '\\')) c++;
      else depth += (*c == '{') - (*c == '}');
      assert_true(depth >= 0);
    }
    assert_int_equal(depth, 0);
    assert_int_equal(count(latex, "\\begin{"), count(latex, "\\end{"));
    assert_int_equal(count(latex, "\\left"), count(latex, "\\right"));
    assert_int_equal(count(latex, "\\usepackage"), 1);
    free(latex);
    end(&s);
  }
}

static void html_loads_nothing(void **state) {
  (void)state;
  for (int i = 0; i < N_STORIES; i++) {
    story s = tell(stories[i], 0);
    char *html = written(&s, trace_html);
    assert_int_equal(count(html, "src="), 0);
    assert_int_equal(count(html, "<link"), 0);
    assert_int_equal(count(html, "@import"), 0);
    assert_int_equal(count(html, "http"), count(html, "\"http://www.w3.org/")); /* names of namespaces */
    assert_int_equal(count(html, "<mrow>"), count(html, "</mrow>"));
    assert_int_equal(count(html, "<math>"), count(html, "</math>"));
    assert_int_equal(count(html, "<mtable"), count(html, "</mtable>"));
    assert_int_equal(count(html, "<div"), count(html, "</div>"));
    free(html);
    end(&s);
  }
}

static void text_fits_the_page(void **state) {
  (void)state;
  for (int i = 0; i < N_STORIES; i++) {
    story s = tell(stories[i], 0);
    char *text = written(&s, as_text);
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1) {
      if (strcspn(line, "\n") > 80) print_error("%.*s\n", (int)strcspn(line, "\n"), line);
      assert_true(strcspn(line, "\n") <= 80);
    }
    free(text);
    end(&s);
  }
}

static void large_graphs_fold(void **state) {
  (void)state;
  char source[8192] = "x = 0.01; s0 = x";
  for (int k = 1; k <= 200; k++) {
    char step[40];
    snprintf(step, sizeof step, "; s%d = sin(s%d)", k, k - 1);
    strcat(source, step);
  }
  strcat(source, "; s200");
  story s = tell(source, 0);
  assert_true(s.t->n_folded > 100);
  char *text = written(&s, as_text);
  assert_non_null(strstr(text, "folded"));
  assert_true(count(text, "\n") < 240);
  free(text);
  trace_options o = {.digits = 6, .focus = "s190"};
  cr_var x = cr_program_value(s.program, "x");
  trace *near = trace_make(s.t->node[s.t->n_nodes - 1].var, 1, &x, &o);
  assert_non_null(near);
  assert_int_equal(near->n_folded, 189);
  trace_free(near);
  o.focus = "nothing";
  assert_null(trace_make(s.t->node[s.t->n_nodes - 1].var, 1, &x, &o));
  assert_non_null(strstr(cr_error_text(s.tape), "nothing"));
  end(&s);
}

static void the_tape_is_left_as_it_was(void **state) {
  (void)state;
  story s = tell(stories[7], 0);
  uint32_t before = cr_node_count(s.tape);
  trace_options o = {.digits = 6, .check = true};
  cr_var x = cr_program_value(s.program, "W");
  trace *again = trace_make(s.t->node[s.t->n_nodes - 1].var, 1, &x, &o);
  assert_non_null(again);
  assert_int_equal(cr_node_count(s.tape), before);
  trace_free(again);
  end(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(contributions_add_up_to_the_adjoints),
                                     cmocka_unit_test(gradients_equal_the_sweep),
                                     cmocka_unit_test(formulas_give_the_gradients),
                                     cmocka_unit_test(paths_add_up),
                                     cmocka_unit_test(taught_derivatives_are_those_of_the_ops),
                                     cmocka_unit_test(rules_are_named),
                                     cmocka_unit_test(warnings_are_given),
                                     cmocka_unit_test(lecture_arithmetic_rounds_every_step),
                                     cmocka_unit_test(numbers_are_the_same_in_every_format),
                                     cmocka_unit_test(latex_is_closed_and_needs_amsmath_only),
                                     cmocka_unit_test(html_loads_nothing),
                                     cmocka_unit_test(text_fits_the_page),
                                     cmocka_unit_test(large_graphs_fold),
                                     cmocka_unit_test(the_tape_is_left_as_it_was)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
