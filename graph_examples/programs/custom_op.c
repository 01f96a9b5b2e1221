/* An operation of your own: swoosh(x) = x exp(-x^2), elementwise, as a struct of functions beside the built-in ones. It is
 * differentiable to any order in both modes, has a name in the expression language, and is verified like the rest. */
#include <chainrule.h>

#include <math.h>
#include <stdio.h>

/* The shape rule: the result is like the operand. */
static cr_status infer(cr_infer *c) {
  cr_array_init(c->out, (cr_dtype)c->in[0].dtype, c->in[0].rank, c->in[0].dim);
  return CR_OK;
}

/* The kernel: cr_array_get reads any dtype and any strided view. */
static cr_status eval(cr_eval *c) {
  for (int64_t k = 0; k < c->out->count; k++) {
    double x = cr_array_get(&c->in[0], k);
    cr_array_set(c->out, k, x * exp(-x * x));
  }
  return CR_OK;
}

/* d swoosh / dx = (1 - 2 x^2) exp(-x^2), from public operations, so that it can be differentiated again. */
static cr_var slope(cr_tape *t, cr_var x) {
  cr_var square = cr_mul(x, x);
  return cr_mul(cr_sub(cr_const(t, 1), cr_mul(cr_const(t, 2), square)), cr_exp(cr_neg(square)));
}
static void vjp(cr_vjp_rule *c) { c->d[0] = cr_guarded_mul(c->g, slope(c->tape, c->in[0])); }
static cr_var jvp(cr_jvp_rule *c) { return cr_guarded_mul(c->dot[0], slope(c->tape, c->in[0])); }

static const cr_op swoosh_op = {.name = "swoosh", .arity = 1, .infer = infer, .eval = eval, .vjp = vjp, .jvp = jvp,
                                .latex = "%a \\, e^{-%a^{2}}", .rule = "(1 - 2 x^2) exp(-x^2)"};

static cr_var swoosh(cr_var x) { return cr_record(x.tape, &swoosh_op, 1, &x, NULL); }

/* Its name in the expression language. */
static void call_swoosh(cr_call *c) { cr_return(c, swoosh(cr_arg_var(c, 0))); }
static const cr_function swoosh_function = {
  .signature = "swoosh(input)", .call = call_swoosh, .doc = "x exp(-x^2).", .family = "mine", .samples = "swoosh(x:(2,3))"};

int main(void) {
  cr_tape *t = cr_new();
  cr_define(t, &swoosh_function);
  cr_var x = cr_name(cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){3}, (double[]){-0.5, 0.25, 2}), "x");
  cr_var y = cr_formula(t, "sum(swoosh(x) * x)", "x", x);
  cr_report *report;
  cr_status status = cr_check(y, 1, &x, NULL, &report);
  puts(report ? report->text : cr_error_text(t));
  cr_free(t);
  return status == CR_OK ? 0 : 1;
}
