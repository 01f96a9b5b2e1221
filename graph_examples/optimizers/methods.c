/* THE TABLE: one row per method. An update is the program that runs. */
#include <string.h>

#include "descent.h"

/* The gradient as torch.optim takes it in: uphill on request, and with the weights' own pull. */
#define GRADIENT "g = maximize ? -g : g; g = weight_decay != 0 ? g + weight_decay*w : g; "
#define UPHILL "g = maximize ? -g : g; "
/* Rprop's steps: s grows while the sign of the gradient stays, shrinks when it turned. p is the gradient before. */
#define RPROP(name) name "(lr=0.01, etas=[0.5, 1.2], step_sizes=[1e-6, 50], maximize=False)"
#define RPROP_STEPS UPHILL "c = g*p; s = clamp(c > 0 ? eta2*s : c < 0 ? eta1*s : s, step_size1, step_size2); "

static const cr_method methods[] = {
  {.signature = "gradient_descent(lr=0.001, momentum=0, dampening=0, weight_decay=0, nesterov=False, maximize=False)",
   .aliases = "sgd, gd",
   .state = "v = 0",
   .update = GRADIENT
             "v = momentum != 0 ? momentum*v + (t == 1 ? 1 : 1 - dampening)*g : v; "
             "w = w - lr*(momentum == 0 ? g : nesterov ? g + momentum*v : v)",
   .doc = "Against the gradient; with momentum in PyTorch's form.", .source = "Cauchy 1847; Polyak 1964; torch.optim.SGD"},

  {.signature = "momentum(lr=0.01, momentum=0.9, form='ema', dampening=0, nesterov=False, weight_decay=0, maximize=False)",
   .state = "v = 0",
   .update = GRADIENT
             "v = form == 'ema' ? momentum*v + (1 - momentum)*g : "
             "form == 'torch' ? momentum*v + (t == 1 ? 1 : 1 - dampening)*g : "
             "form == 'heavy_ball' || form == 'printed_003' ? momentum*v + lr*g : v; "
             "w = form == 'heavy_ball' ? w - v : nesterov && form == 'torch' ? w - lr*(g + momentum*v) : w - lr*v",
   .doc = "The gradients' running sum, in the form named: 'ema' averages them, 'heavy_ball' has the rate inside, 'torch' "
          "outside, and 'printed_003' twice, as one lecture note prints it.",
   .source = "Polyak 1964"},

  {.signature = "heavy_ball(lr=0.01, momentum=0.9, weight_decay=0, maximize=False)", .state = "v = 0",
   .update = GRADIENT "v = momentum*v + lr*g; w = w - v",
   .doc = "A ball that rolls with friction: momentum with the rate inside.", .source = "Polyak 1964"},

  {.signature = "nesterov(lr=0.01, momentum=0.9, weight_decay=0, maximize=False)", .state = "v = 0",
   .update = GRADIENT "v = momentum*v + g; w = w - lr*(g + momentum*v)",
   .doc = "Momentum that looks ahead.", .source = "Nesterov 1983; Sutskever et al. 2013"},

  {.signature = "adagrad(lr=0.01, lr_decay=0, weight_decay=0, initial_accumulator_value=0, eps=1e-10, maximize=False)",
   .state = "v = initial_accumulator_value",
   .update = GRADIENT "v = v + g*g; w = w - lr/(1 + (t - 1)*lr_decay) * g/(sqrt(v) + eps)",
   .doc = "Rates fall with the sum of squared gradients.", .source = "Duchi, Hazan and Singer 2011"},

  {.signature = "rmsprop(lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False, maximize=False)",
   .state = "v = 0; a = 0; b = 0",
   .update = GRADIENT
             "v = alpha*v + (1 - alpha)*(g*g); "
             "a = centered ? a + (1 - alpha)*(g - a) : a; "
             "d = g/(sqrt(centered ? v - a*a : v) + eps); "
             "b = momentum > 0 ? momentum*b + d : b; "
             "w = w - lr*(momentum > 0 ? b : d)",
   .doc = "Each gradient over the root of its running mean square.", .source = "Tieleman and Hinton 2012; Graves 2013"},

  {.signature = "adadelta(lr=1.0, rho=0.9, eps=1e-6, weight_decay=0, maximize=False)", .state = "v = 0; u = 0",
   .update = GRADIENT
             "v = rho*v + (1 - rho)*(g*g); "
             "d = sqrt(u + eps)/sqrt(v + eps)*g; "
             "u = rho*u + (1 - rho)*(d*d); "
             "w = w - lr*d",
   .doc = "Steps in the units of the parameters: root mean square of steps over that of gradients.",
   .source = "Zeiler 2012"},

  {.signature = "adam(lr=0.001, betas=[0.9, 0.999], eps=1e-8, weight_decay=0, amsgrad=False, bias_correction=True, "
                "maximize=False)",
   .state = "m = 0; v = 0; h = 0",
   .update = GRADIENT
             "m = beta1*m + (1 - beta1)*g; "
             "v = beta2*v + (1 - beta2)*(g*g); "
             "h = amsgrad ? maximum(h, v) : h; "
             "c1 = bias_correction ? 1 - beta1^t : 1; c2 = bias_correction ? 1 - beta2^t : 1; "
             "w = w - lr/c1 * m/(1/sqrt(c2)*sqrt(amsgrad ? h : v) + eps)",
   .doc = "Running means of the gradient and of its square; amsgrad keeps the largest of the latter.",
   .source = "Kingma and Ba 2015; Reddi, Kale and Kumar 2018"},

  {.signature = "adamw(lr=0.001, betas=[0.9, 0.999], eps=1e-8, weight_decay=0.01, amsgrad=False, bias_correction=True, "
                "maximize=False)",
   .state = "m = 0; v = 0; h = 0",
   .update = UPHILL
             "w = weight_decay != 0 ? (1 - lr*weight_decay)*w : w; "
             "m = beta1*m + (1 - beta1)*g; "
             "v = beta2*v + (1 - beta2)*(g*g); "
             "h = amsgrad ? maximum(h, v) : h; "
             "c1 = bias_correction ? 1 - beta1^t : 1; c2 = bias_correction ? 1 - beta2^t : 1; "
             "w = w - lr/c1 * m/(1/sqrt(c2)*sqrt(amsgrad ? h : v) + eps)",
   .doc = "Adam with the weights' decay beside the gradient, not in it.", .source = "Loshchilov and Hutter 2019"},

  {.signature = "nadam(lr=0.002, betas=[0.9, 0.999], eps=1e-8, weight_decay=0, momentum_decay=0.004, "
                "decoupled_weight_decay=False, maximize=False)",
   .state = "m = 0; v = 0; product = 1",
   .update = UPHILL
             "w = decoupled_weight_decay ? (1 - lr*weight_decay)*w : w; "
             "g = decoupled_weight_decay || weight_decay == 0 ? g : g + weight_decay*w; "
             "mu = beta1*(1 - 0.5*0.96^(t*momentum_decay)); "
             "mu_next = beta1*(1 - 0.5*0.96^((t + 1)*momentum_decay)); "
             "product = product*mu; "
             "m = beta1*m + (1 - beta1)*g; "
             "v = beta2*v + (1 - beta2)*(g*g); "
             "d = sqrt(v/(1 - beta2^t)) + eps; "
             "w = w - lr*(1 - mu)/(1 - product) * g/d - lr*mu_next/(1 - product*mu_next) * m/d",
   .doc = "Adam with Nesterov's look ahead.", .source = "Dozat 2016; torch.optim.NAdam"},

  {.signature = "lion(lr=0.0001, betas=[0.9, 0.99], weight_decay=0, maximize=False)", .state = "m = 0",
   .update = UPHILL
             "w = weight_decay != 0 ? (1 - lr*weight_decay)*w : w; "
             "w = w - lr*sign(beta1*m + (1 - beta1)*g); "
             "m = beta2*m + (1 - beta2)*g",
   .doc = "Only the sign of a running mean.", .source = "Chen et al. 2023"},

  {.signature = RPROP("rprop_plus"), .state = "s = lr; p = 0; d = 0",
   .update = RPROP_STEPS "d = c < 0 ? d : -sign(g)*s; w = c < 0 ? w - d : w + d; p = c < 0 ? 0 : g",
   .doc = "Steps by sign; takes the last one back where the sign turned.", .source = "Riedmiller and Braun 1993"},

  {.signature = RPROP("rprop_minus"), .state = "s = lr; p = 0",
   .update = RPROP_STEPS "w = w - sign(g)*s; p = g",
   .doc = "Steps by sign.", .source = "Riedmiller 1994"},

  {.signature = RPROP("irprop_plus"), .state = "s = lr; p = 0; d = 0",
   .update = RPROP_STEPS
             "worse = loss > previous_loss; d = c < 0 ? d : -sign(g)*s; "
             "w = c < 0 ? (worse ? w - d : w) : w + d; p = c < 0 ? 0 : g",
   .doc = "Steps by sign; takes the last one back where the sign turned and the loss has grown.",
   .source = "Igel and Huesken 2000"},

  {.signature = RPROP("irprop_minus"), .aliases = "rprop", .state = "s = lr; p = 0",
   .update = RPROP_STEPS "g = c < 0 ? 0 : g; w = w - sign(g)*s; p = g",
   .doc = "Steps by sign; waits a step where the sign turned. This is torch.optim.Rprop.",
   .source = "Igel and Huesken 2000"},

  {.signature = "quickprop(lr=0.01, growth=1.75, weight_decay=0, maximize=False)", .state = "d = 0; p = 0",
   .update = GRADIENT
             "s = sign(d); "
             "d = (s*g <= 0 ? -lr*g : 0) + "
             "(s == 0 ? 0 : s*g < growth/(1 + growth)*s*p ? growth*d : d*g/(p - g)); "
             "p = g; w = w + d",
   .doc = "To the minimum of the parabola through the last two slopes, at most growth times the last step.",
   .source = "Fahlman 1988"},

  {.signature = "lbfgs(lr=1, max_iter=1, max_eval=None, tolerance_grad=1e-7, tolerance_change=1e-9, history_size=100, "
                "line_search_fn='strong_wolfe')",
   .formula = "d = -H g, H from the last history_size pairs s = change of w, y = change of g (two loops over them)\n"
              "w = w + a d, a by line_search_fn",
   .doc = "Limited-memory BFGS as torch.optim.LBFGS; a step is max_iter iterations of at most max_eval evaluations: None is "
          "1.25 max_iter, or 26 for one; line_search_fn None takes steps of lr.",
   .source = "Nocedal 1980; Liu and Nocedal 1989",
   .needs = 1, .step = cr_step_lbfgs},

  {.signature = "bfgs(lr=1, c1=1e-4, c2=0.9)",
   .formula = "d = -H g\nw = w + a d, a by strong Wolfe\n"
              "H = (I - r s y') H (I - r y s') + r s s', r = 1/(y's), s = change of w, y = change of g",
   .doc = "Quasi-Newton with the full inverse Hessian: for some thousand parameters, 16384 at most.",
   .source = "Broyden, Fletcher, Goldfarb and Shanno 1970; Nocedal and Wright 2006, 6.1", .needs = 1, .step = cr_step_bfgs},

  {.signature = "conjugate_gradient(lr=1, beta='polak_ribiere', c1=1e-4, c2=0.1)", .aliases = "cg",
   .formula = "b = max(0, g'(g - p)/(p'p)) with p the gradient before; 'fletcher_reeves': g'g/(p'p)\n"
              "d = -g + b d\nw = w + a d, a by strong Wolfe",
   .doc = "Nonlinear conjugate gradients.", .source = "Fletcher and Reeves 1964; Polak and Ribiere 1969", .needs = 1,
   .step = cr_step_conjugate_gradient},

  {.signature = "newton_cg(lr=1, max_iter=50, c1=1e-4)", .aliases = "newton",
   .formula = "H d = -g by conjugate gradients over Hessian-vector products, until |H d + g| <= min(0.5, sqrt|g|) |g| or\n"
              "curvature is not positive\n"
              "w = w + a d, a = lr, lr/2, lr/4, ... until the loss falls by c1 a |g'd|",
   .doc = "Truncated Newton.", .source = "Dembo and Steihaug 1983; Nocedal and Wright 2006, 7.1",
   .needs = 1, .step = cr_step_newton_cg},

  {.signature = "levenberg_marquardt(damping=0.001, up=10, down=10, scaling='identity')", .aliases = "lm, marquardt",
   .formula = "(J'J + damping I) d = -J'r, J = dr/dw; 'diagonal': damping diag(J'J)\n"
              "w = w + d if |r|^2 falls, then damping/down; else damping*up and again",
   .doc = "Least squares of residuals r, between Gauss-Newton and gradient descent.",
   .source = "Levenberg 1944; Marquardt 1963",
   .needs = 2, .step = cr_step_levenberg_marquardt},
};

const cr_method *cr_method_at(int k) {
  return k >= 0 && k < (int)(sizeof methods / sizeof *methods) ? &methods[k] : NULL;
}

/* Is this one of the names in "a, b, c"? */
static int listed(const char *list, const char *name) {
  size_t n = strlen(name);
  for (const char *at = list; at && *at; at = strchr(at, ' '), at += at != NULL)
    if (!strncmp(at, name, n) && (at[n] == ',' || at[n] == 0 || at[n] == '(')) return 1;
  return 0;
}

const cr_method *cr_method_named(const char *name) {
  const cr_method *m;
  for (int k = 0; *name && (m = cr_method_at(k)); k++) {
    size_t n = strlen(name);
    if ((!strncmp(m->signature, name, n) && m->signature[n] == '(') || listed(m->aliases, name)) return m;
  }
  return NULL;
}
