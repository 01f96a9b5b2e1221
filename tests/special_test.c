/* Compares the special functions with tests/special/special.tsv (path in
 * argv[1]); prints the worst error per function, exit status 1 when any error
 * is over its limit.  With -v it prints every point over 1e-14. */
#include "../ops/special.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef double function1(double);
typedef double function2(double, double);
typedef double function3(double, double, double);

struct function {
    const char *name;
    double limit;
    function1 *f1;
    function2 *f2;
    function3 *f3;
    double worst;
    double worst_at[3];
    int points, over;
};

#define ONE(name, limit) {#name, limit, cr__##name, NULL, NULL, 0, {0}, 0, 0}
#define TWO(name, limit) {#name, limit, NULL, cr__##name, NULL, 0, {0}, 0, 0}
#define THREE(name, limit) {#name, limit, NULL, NULL, cr__##name, 0, {0}, 0, 0}

static struct function functions[] = {
    ONE(log1mexp, 1e-14), ONE(sigmoid, 1e-14), ONE(softplus, 1e-14),
    TWO(logaddexp, 1e-14), ONE(sinc, 1e-14), ONE(erfcx, 1e-14),
    ONE(erfinv, 1e-14), ONE(erfcinv, 1e-14), ONE(ndtr, 1e-14),
    ONE(log_ndtr, 1e-14), ONE(ndtri, 1e-14), ONE(lgamma, 1e-14),
    ONE(lgamma1p, 1e-14), ONE(digamma, 1e-14), TWO(polygamma, 1e-14),
    TWO(zeta, 1e-14), TWO(betaln, 1e-14), THREE(betainc, 1e-14),
    TWO(gammainc, 1e-14), TWO(gammaincc, 1e-14), TWO(gammainc_da, 1e-14),
    TWO(bessel_in, 1e-14), TWO(bessel_ine, 1e-14), TWO(spherical_jn, 1e-14),
};

static double call(const struct function *f, const double *args)
{
    if (f->f1)
        return f->f1(args[0]);
    return f->f2 ? f->f2(args[0], args[1]) : f->f3(args[0], args[1], args[2]);
}

static double error_of(double got, const char *expected_text, const char *scale_text)
{
    double expected = strtod(expected_text, NULL);
    if (isnan(expected))
        return isnan(got) ? 0 : HUGE_VAL;
    if (got == expected) {
        bool sign_matters = expected_text[0] == '-' || got == 0;
        return sign_matters && !signbit(got) != !signbit(expected) ? HUGE_VAL : 0;
    }
    if (isnan(got) || isinf(got) || isinf(expected))
        return HUGE_VAL;
    double scale = strcmp(scale_text, "rel") == 0 ? fabs(expected) : strtod(scale_text, NULL);
    return fabs(got - expected) / fmax(scale, DBL_MIN);
}

static struct function *find(const char *name)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (strcmp(functions[i].name, name) == 0)
            return &functions[i];
    return NULL;
}

/* One row; false when it cannot be understood. */
static bool compare(char *line, bool verbose)
{
    char *name = strtok(line, "\t\n"), *args_text = strtok(NULL, "\t\n");
    char *expected = strtok(NULL, "\t\n"), *scale = strtok(NULL, "\t\n");
    struct function *f = name ? find(name) : NULL;
    if (!f || !args_text || !expected || !scale)
        return false;
    double args[3] = {0};
    int count = 0;
    for (char *end; count < 3; args_text = end, count++) {
        args[count] = strtod(args_text, &end);
        if (end == args_text)
            break;
    }
    if (count != (f->f1 ? 1 : f->f2 ? 2 : 3))
        return false;
    double got = call(f, args), error = error_of(got, expected, scale);
    f->points++;
    f->over += error > f->limit;
    if (error > f->worst) {
        f->worst = error;
        memcpy(f->worst_at, args, sizeof args);
    }
    if (error > f->limit || (verbose && error > 1e-14))
        printf("%s(%.17g, %.17g, %.17g) = %.17g, expected %s (scale %s): error %.2e\n",
               f->name, args[0], args[1], args[2], got, expected, scale, error);
    return true;
}

static int report(void)
{
    int over = 0;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        const struct function *f = &functions[i];
        printf("%-13s %4d points, worst %.2e at (%.6g, %.6g, %.6g)%s\n", f->name, f->points, f->worst,
               f->worst_at[0], f->worst_at[1], f->worst_at[2], f->over ? "  OVER" : "");
        over += f->over + (f->points == 0);
    }
    return over;
}

int main(int argc, char **argv)
{
    FILE *file = argc > 1 ? fopen(argv[1], "r") : NULL;
    if (!file) {
        fprintf(stderr, "usage: special_test special.tsv [-v]\n");
        return 2;
    }
    char line[512];
    bool ok = true;
    for (int number = 1; fgets(line, sizeof line, file); number++)
        if (!compare(line, argc > 2)) {
            fprintf(stderr, "%s:%d: not understood\n", argv[1], number);
            ok = false;
        }
    fclose(file);
    int over = report();
    return ok && over == 0 ? 0 : 1;
}
