/* One step of gradient descent for two inputs, two sigmoid units and a linear output (notes 004, lines 168-210). The same in
 * PyTorch and JAX: ../lessons/same_example.md. */
#include <chainrule.h>

#include <stdio.h>

int main(void) {
  cr_tape *t = cr_new();
  cr_var x = cr_constant_of(t, CR_FLOAT64, 1, (int64_t[]){2}, (double[]){1, 0.5}),
         w = cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){2, 2}, (double[]){0.5, 2.3, 1.5, 3}),
         v = cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){2}, (double[]){1, 1});
  cr_var yhat = cr_matmul(cr_sigmoid(cr_matmul(x, w)), v), e = cr_sub(yhat, cr_const(t, 4)),
         J = cr_mul(cr_const(t, 0.5), cr_mul(e, e));
  cr_sweep *s = cr_backward(J);
  double dw[4], dv[2];
  if (s) {
    cr_adjoint_read(s, w, dw, 4);
    cr_adjoint_read(s, v, dv, 2);
  }
  if (cr_error(t) != CR_OK) return fprintf(stderr, "%s\n", cr_error_text(t)), 1;
  printf("J = %.16g\n", cr_value(J));
  printf("dJ/dw = [[%.16g, %.16g],\n         [%.16g, %.16g]]\n", dw[0], dw[1], dw[2], dw[3]);
  printf("dJ/dv = [%.16g, %.16g]\n", dv[0], dv[1]);
  cr_free(t);
  return 0;
}
