/* The standard set: rows, functions by family, and the ops that passes need. */
#include "ops.h"
#include "vectors.h"

/* Where two functions share a name the later one is the one called by it; operators always mean the elementwise op. */
static const cr_function *const families[] = {
  cr__elementwise_functions,
  cr__creation_functions,
  cr__movement_functions,
  cr__layout_functions,
  cr__slice_functions,
  cr__pad_functions,
  cr__join_functions,
  cr__select_functions,
  cr__index_functions,
  cr__sort_functions,
  cr__scan_functions,
  cr__reduce_functions,
  cr__extreme_functions,
  cr__moment_functions,
  cr__softmax_functions,
  cr__activation_functions,
  cr__loss_functions,
  cr__norm_functions,
  cr__convolution_functions,
  cr__pool_functions,
  cr__resize_functions,
  cr__attention_functions,
  cr__recurrent_functions,
  cr__recurrence_functions,
  cr__random_functions,
  cr__matmul_functions,
  cr__linalg_functions,
  cr__decomposition_functions,
  cr__special_functions,
  cr__arithmetic_functions,
  cr__functional_functions,
  NULL};

static cr_var list(cr_tape *t, int n, const cr_var *items) {
  return n > 0 ? cr_stack(n, items, 0) : cr_zeros(t, CR_FLOAT64, 1, (int64_t[]){0});
}

const cr_op_table *cr_standard_ops(void) {
  static const cr_op_table table = {
    .rows = cr__rows,
    .n_rows = &cr__n_rows,
    .few = cr__few,
    .loops = cr__loops,
    .scalar_sweep = cr__scalar_sweep,
    .scalar_run = cr__scalar_run,
    .scalar_strips = cr__scalar_strips,
    .scalar_strips_back = cr__scalar_strips_back,
    .helpers = cr__helpers,
    .rewrites = cr__rewrites,
    .functions = families,
    .add = cr_add,
    .mul = cr_mul,
    .guarded_mul = cr_guarded_mul,
    .neg = cr_neg,
    .full = cr_full,
    .cast = cr_cast,
    .preaccumulated = cr_preaccumulated,
    .list = list,
  };
  return &table;
}

cr_tape *cr_new(void) { return cr_new_with(cr_standard_ops(), NULL); }
