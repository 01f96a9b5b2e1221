/* The text of the expression language: numbers, what is refused and where, depth, and trees back to text. */
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "evaluate.h"
#include "ops.h"

/* Numbers */

static void numbers_read_back(void **state) {
  (void)state;
  static const struct {
    double x;
    const char *text;
  } cases[] = {
    {0, "0"}, {-0.0, "-0"}, {0.1, "0.1"}, {1e20, "1e+20"}, {100000, "100000"}, {1e15, "1000000000000000"}, {1e16, "1e+16"},
    {1e-4, "0.0001"}, {1e-5, "1e-05"}, {123.456, "123.456"}, {5e-324, "5e-324"},
    {1.7976931348623157e308, "1.7976931348623157e+308"}, {1.0 / 3, "0.3333333333333333"}, {HUGE_VAL, "inf"},
    {-HUGE_VAL, "-inf"}, {(double)NAN, "nan"}, {-1.5e-7, "-1.5e-07"},
  };
  char text[32];
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_string_equal(cr_number_text(cases[i].x, 0, text), cases[i].text);
  assert_string_equal(cr_number_text(123456.789, 3, text), "1.23e+05");
  assert_string_equal(cr_number_text(0.5, 17, text), "0.5");
  uint64_t seed = 1;
  for (int i = 0; i < 200000; i++) {
    double x, back;
    int whole;
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    memcpy(&x, &seed, sizeof x);
    if (!isfinite(x)) continue;
    cr_number_text(x, 0, text);
    assert_true(strlen(text) < 32);
    assert_true(cr__scan_number(text + (*text == '-'), strlen(text) - (*text == '-'), &back, &whole) ==
                strlen(text) - (*text == '-'));
    assert_true(back == fabs(x) && back == strtod(text + (*text == '-'), NULL));
  }
}

static void numbers_ignore_the_locale(void **state) {
  (void)state;
  static const char *const locales[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
  bool found = false;
  for (size_t i = 0; i < sizeof locales / sizeof *locales && !found; i++) found = setlocale(LC_ALL, locales[i]) != NULL;
  char text[32];
  double x;
  int whole;
  assert_string_equal(cr_number_text(0.123456789012345678, 0, text), "0.12345678901234568");
  assert_true(cr__scan_number("1.2345678901234567e-7", 21, &x, &whole) == 21);
  assert_true(x == 1.2345678901234567e-7);
  setlocale(LC_ALL, "C");
}

static void long_numbers_round_exactly(void **state) {
  (void)state;
  /* half an ulp above 1, and one part in 10^900 more, which decides */
  char text[1100] = "1.00000000000000011102230246251565404236316680908203125";
  double x;
  int whole;
  size_t n = strlen(text);
  cr__scan_number(text, n, &x, &whole);
  assert_true(x == 1);
  memset(text + n, '0', 900);
  strcpy(text + n + 900, "1");
  cr__scan_number(text, strlen(text), &x, &whole);
  assert_true(x == 1.0000000000000002);
  cr__scan_number("00012", 5, &x, &whole);
  assert_true(x == 12 && whole);
  cr__scan_number("1e400", 5, &x, &whole);
  assert_true(isinf(x));
  assert_true(cr__scan_number("2e", 2, &x, &whole) == 1);
  assert_true(cr__scan_number("1.5.2", 5, &x, &whole) == 3 && x == 1.5 && !whole);
}

/* Syntax errors: place and message */

static void syntax_errors_say_where_and_what(void **state) {
  (void)state;
  static const struct {
    const char *source;
    unsigned line, column;
    const char *message;
  } cases[] = {
    {"sin(x +)", 1, 8, "expected a value, found ')'"},
    {"sin(x", 1, 6, "expected ',' or ')', found the end"},
    {"x +\ny", 1, 4, "expected a value, found the end of the line"},
    {"y = 3x", 1, 6, "expected an operator, as in 3*x, found 'x'"},
    {"a b", 1, 3, "expected an operator or the end of the statement, found 'b'"},
    {"1 < 2 < 3", 1, 7, "comparisons do not chain"},
    {"f(a=1, 2)", 1, 8, "a positional argument cannot follow a keyword argument"},
    {"3 = x", 1, 3, "expected a name, (a, b) or f(x) before '='"},
    {"None = 1", 1, 6, "expected a name"},
    {"f(1) = x", 1, 3, "expected the name of a parameter"},
    {"f(u, u) = u", 1, 6, "parameter 'u' appears twice"},
    {"x.f(u) = u", 1, 8, "expected a name"},
    {"a[]", 1, 3, "expected an index, found ']'"},
    {"a[1:2:3:4]", 1, 8, "expected ',' or ']', found ':'"},
    {"c ? a", 1, 6, "expected ':' of the choice"},
    {"2 * not x", 1, 5, "expected a value (write '(not ...)'), found 'not'"},
    {"2 * param 3", 1, 5, "(param ...)"},
    {"x.", 1, 3, "expected a name after '.'"},
    {"'abc", 1, 1, "this text has no closing '"},
    {"a & b", 1, 3, "expected '&&' for a logical operator"},
    {"x\n\ny $ 2", 3, 3, "unexpected character '$'"},
    {"\xC5\xB7\xC2\xB2", 1, 2, "unexpected character '\xC2\xB2'"},
    {"\xC5\xB7 + \xCE\xBB )", 1, 7, "found ')'"},
    {"x \xFF", 1, 3, "byte 0xFF is not UTF-8"},
    {"x \x01", 1, 3, "control character 0x01"},
    {"a = b = c", 1, 7, "found '='"},
    {"[1, 2", 1, 6, "expected ',' or ']', found the end"},
    {"(a, b", 1, 6, "expected ',' or ')', found the end"},
    {"*x", 1, 1, "expected a value, found '*'"},
    {"f(x, *y)", 1, 6, "expected a value, found '*'"},
  };
  cr_tape *t = cr_new();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    cr_syntax_error e;
    if (cr_parse(t, cases[i].source, strlen(cases[i].source), &e)) fail_msg("accepted: %s", cases[i].source);
    if (!strstr(e.message, cases[i].message) || e.line != cases[i].line || e.column != cases[i].column)
      fail_msg("%s: line %u, column %u: %s", cases[i].source, e.line, e.column, e.message);
    assert_int_equal(e.status, CR_BAD_SYNTAX);
  }
  assert_int_equal(cr_error(t), CR_OK);
  cr_free(t);
}

static void a_caret_points_at_the_place(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_syntax_error e;
  char text[600];
  const char *source = "x = 1\n\xC5\xB7\t+ sin(x +)";
  assert_null(cr_parse(t, source, strlen(source), &e));
  assert_string_equal(cr_syntax_error_text(&e, source, strlen(source), text, sizeof text),
                      "line 2, column 12: expected a value, found ')'\n  \xC5\xB7\t+ sin(x +)\n   \t         ^");
  char *wide = malloc(100001);
  memset(wide, '+', 100000);
  wide[100000] = 0;
  assert_null(cr_parse(t, wide, 100000, &e));
  cr_syntax_error_text(&e, wide, 100000, text, sizeof text);
  assert_true(strlen(text) < 400);
  cr_syntax_error_text(&e, wide, 100000, text, 40);
  assert_true(strlen(text) < 40);
  free(wide);
  cr_free(t);
}

/* Depth and size */

static char *repeated(const char *head, const char *unit, size_t n, const char *tail) {
  size_t k = strlen(unit), h = strlen(head);
  char *s = malloc(h + n * k + strlen(tail) + 1);
  memcpy(s, head, h);
  for (size_t i = 0; i < n; i++) memcpy(s + h + i * k, unit, k);
  strcpy(s + h + n * k, tail);
  return s;
}

static void depth_is_bounded(void **state) {
  (void)state;
  static const struct {
    const char *unit, *tail;
  } nests[] = {{"(", "1"},        {"[", "1"},  {"-", "1"},  {"not ", "1"}, {"f(", "1"},
               {"1 ? 2 : ", "1"}, {"2^", "1"}, {"x[", "1"}, {"1 + (", "1"}};
  cr_tape *t = cr_new();
  for (size_t i = 0; i < sizeof nests / sizeof *nests; i++) {
    cr_syntax_error e;
    char *s = repeated("", nests[i].unit, 5000, nests[i].tail);
    assert_null(cr_parse(t, s, strlen(s), &e));
    assert_int_equal(e.status, CR_OVER_LIMIT);
    free(s);
  }
  cr_syntax_error e;
  char *s = repeated("x", ".T", 5000, "");
  assert_null(cr_parse(t, s, strlen(s), &e));
  assert_int_equal(e.status, CR_OVER_LIMIT);
  free(s);
  s = repeated("", "-(", 400, "2");
  char *closed = repeated(s, ")", 400, "");
  assert_true(cr_value(cr_formula(t, closed)) == 2);
  free(s);
  free(closed);
  static char big[1];
  assert_null(cr_parse(t, big, (size_t)CR_MAX_SOURCE + 1, &e));
  assert_int_equal(e.status, CR_OVER_LIMIT);
  cr_free(t);
}

static void long_chains_are_flat(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_syntax_error e;
  char *s = repeated("a", " + a", 100000, "");
  cr_syntax *tree = cr_parse(t, s, strlen(s), &e);
  assert_non_null(tree);
  assert_true(tree->height < 5);
  cr_buffer b = {.tape = t};
  cr_print_syntax(&b, tree);
  assert_string_equal(b.text, s);
  b.length = 0;
  cr_latex_syntax(&b, tree);
  assert_string_equal(b.text, s);
  b.length = 0;
  cr_var y = cr_formula(t, s, "a", cr_name(cr_input(t, 0.5), "a"));
  assert_true(cr_value(y) == 50000.5);
  cr_print_infix(&b, y, 0); /* cut off, but no overflow of the stack */
  assert_true(b.length > 60000 && b.length < 1000000);
  cr_buffer_free(&b);
  free(s);
  cr_free(t);
}

/* Printing: the fewest brackets, and back to the same tree */

static void trees_print_with_few_brackets(void **state) {
  (void)state;
  static const char *const cases[][2] = {
    {"((a))", "a"}, {"(a+b)+c", "a + b + c"}, {"a+(b+c)", "a + (b + c)"}, {"a-(b-c)", "a - (b - c)"}, {"(a*b)*c", "a*b*c"},
    {"a*(b*c)", "a*(b*c)"}, {"(a+b)*c", "(a + b)*c"}, {"a/(b*c)", "a/(b*c)"}, {"(-x)^2", "(-x)^2"}, {"-(x^2)", "-x^2"},
    {"2^(-x)", "2^-x"}, {"(2^-x)*y", "2^-x*y"}, {"2**3**4", "2^3^4"}, {"(2^3)^4", "(2^3)^4"}, {"-(a*b)", "-(a*b)"},
    {"(-a)*b", "-a*b"}, {"a*(-b)", "a*-b"}, {"not (a == b)", "not a == b"}, {"(not a) == b", "(not a) == b"},
    {"!a == b", "(not a) == b"}, {"a and b or c", "a && b || c"}, {"a && (b || c)", "a && (b || c)"},
    {"(c ? a : b) + 1", "(c ? a : b) + 1"}, {"a ? b : (c ? d : e)", "a ? b : c ? d : e"},
    {"(a ? b : c) ? d : e", "(a ? b : c) ? d : e"}, {"a<(b<c)", "a < (b < c)"}, {"x.sum(dim = 0)", "sum(x, dim=0)"},
    {"torch.linalg.det(A)", "torch.linalg.det(A)"}, {"F.T", "F.T"}, {"(a,)", "(a,)"}, {"()", "()"}, {"[ ]", "[]"},
    {"a, b = sort(x)", "(a, b) = sort(x)"}, {"x[1:,::-1,...,None,2]", "x[1:, ::-1, ..., None, 2]"}, {"x[:]", "x[:]"},
    {"f ( u ) = u ;  # doc\n g(a, k=2) = a", "f(u) = u\ng(a, k=2) = a"}, {"W = param [[0.5]]", "W = param [[0.5]]"},
    {"\"it's\\n\"", "'it\\'s\\n'"}, {"2.0", "2.0"}, {"1e3", "1000.0"}, {"(2).T", "(2).T"},
    {"a \xE2\x88\x92 b\xC2\xB7\xC3\x97 c", NULL}, {"a \xE2\x88\x92 b\xC2\xB7" "c", "a - b*c"}, {"a //b% c", "a // b % c"},
    {"A@B@C", "A @ B @ C"}, {"(a\n+\nb)", "a + b"}, {"a \\\n+ b", "a + b"},
    {"nn.functional.relu(x)", "nn.functional.relu(x)"}, {"x.shape[0]", "x.shape[0]"}, {"f(x)[0].T", "f(x)[0].T"}, {"", ""},
    {";;\n", ""},
  };
  cr_tape *t = cr_new();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    cr_syntax_error e;
    cr_buffer b = {.tape = t};
    cr_syntax *s = cr_parse(t, cases[i][0], strlen(cases[i][0]), &e);
    if (!cases[i][1]) {
      assert_null(s);
      continue;
    }
    if (!s) fail_msg("%s: %s", cases[i][0], e.message);
    cr_put(&b, "%s", "");
    cr_print_syntax(&b, s);
    assert_string_equal(b.text, cases[i][1]);
    cr_buffer_free(&b);
  }
  cr_free(t);
}

static uint64_t random_state;
static unsigned roll(unsigned n) {
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)(random_state >> 33) % n;
}

static cr_syntax *random_tree(cr_tape *t, int depth);

static cr_syntax *tree_of(cr_tape *t, cr_syntax_kind kind, const char *text, int children, int depth) {
  cr_syntax *s = cr__alloc(t, sizeof *s), **tail = &s->first;
  *s = (cr_syntax){.kind = kind, .text = text};
  for (int i = 0; i < children; i++, tail = &(*tail)->next) *tail = random_tree(t, depth - 1);
  return s;
}

static cr_syntax *random_subscript(cr_tape *t, int depth) {
  if (roll(5) == 0) return tree_of(t, CR_ELLIPSIS, NULL, 0, 0);
  if (roll(2)) return random_tree(t, depth - 1);
  cr_syntax *s = tree_of(t, CR_SLICE, NULL, 0, 0), **tail = &s->first;
  for (int i = 0; i < 3; i++, tail = &(*tail)->next)
    *tail = roll(2) ? tree_of(t, CR_NONE, NULL, 0, 0) : random_tree(t, depth - 1);
  return s;
}

static cr_syntax *random_tree(cr_tape *t, int depth) {
  static const char *const names[] = {"x", "y1", "\xC5\xB7", "None", "notx", "params"};
  static const char *const texts[] = {"", "mean", "it's", "a\\b\n\t\"", "\xCE\xBB"};
  static const char *const operators[] = {"+", "-",  "*", "/",  "^",  "@",  "//", "%",
                                          "<", "<=", ">", ">=", "==", "!=", "&&", "||"};
  static const char *const unary[] = {"-", "+", "not"}, *const callees[] = {"f", "sin", "F.relu", "torch.linalg.det"};
  if (depth <= 0) {
    cr_syntax *s = tree_of(t, CR_NUMBER, NULL, 0, 0);
    if (roll(3) == 0) return tree_of(t, CR_NAME, names[roll(6)], 0, 0);
    if (roll(4) == 0) return tree_of(t, CR_TEXT, texts[roll(5)], 0, 0);
    s->integral = (int)roll(2);
    s->number = s->integral ? roll(1000) : roll(1000000) * 0x1.23456789p-12;
    return s;
  }
  switch (roll(13)) {
    case 0: return tree_of(t, CR_LIST, NULL, (int)roll(4), depth);
    case 1: return tree_of(t, CR_TUPLE, NULL, (int)roll(4), depth);
    case 2: return tree_of(t, CR_CALL, callees[roll(4)], (int)roll(4), depth);
    case 3: {
      cr_syntax *s = tree_of(t, CR_CALL, callees[roll(2)], 0, 0);
      s->first = tree_of(t, CR_KEYWORD, "dim", 1, depth);
      return s;
    }
    case 4: case 5: return tree_of(t, CR_UNARY, unary[roll(3)], 1, depth);
    case 6: return tree_of(t, CR_CHOICE, NULL, 3, depth);
    case 7: {
      cr_syntax *s = tree_of(t, CR_INDEX, NULL, 1, depth), **tail = &s->first->next;
      for (unsigned i = 0, n = 1 + roll(3); i < n; i++, tail = &(*tail)->next) *tail = random_subscript(t, depth);
      return s;
    }
    case 8: return tree_of(t, CR_MEMBER, "T", 1, depth);
    default: return tree_of(t, CR_BINARY, operators[roll(16)], 2, depth);
  }
}

static bool equal_trees(const cr_syntax *a, const cr_syntax *b) {
  if (a->kind != b->kind || a->number != b->number || a->integral != b->integral || !a->text != !b->text) return false;
  if (a->text && strcmp(a->text, b->text)) return false;
  for (a = a->first, b = b->first; a && b; a = a->next, b = b->next)
    if (!equal_trees(a, b)) return false;
  return !a && !b;
}

static void random_trees_print_and_parse_back(void **state) {
  (void)state;
  random_state = 7;
  for (int i = 0; i < 20000; i++) {
    cr_tape *t = cr_new();
    cr_syntax *s = random_tree(t, (int)roll(7));
    if (roll(3) == 0) {
      cr_syntax *param = tree_of(t, CR_PARAM, NULL, 0, 0), *assign = tree_of(t, CR_ASSIGN, NULL, 0, 0);
      param->first = s;
      assign->first = tree_of(t, CR_NAME, "z", 0, 0);
      assign->first->next = param;
      s = assign;
    }
    cr_buffer b = {.tape = t};
    cr_syntax_error e;
    cr_print_syntax(&b, s);
    cr_syntax *back = cr_parse(t, b.text, b.length, &e);
    if (!back) fail_msg("%s: column %u: %s", b.text, e.column, e.message);
    if (!back->first || !equal_trees(s, back->first) || back->first->next) {
      cr_buffer again = {.tape = t};
      cr_print_syntax(&again, back);
      fail_msg("%s\nis read as\n%s", b.text, again.text);
    }
    b.length = 0;
    cr_latex_syntax(&b, s);
    assert_false(b.failed);
    cr_buffer_free(&b);
    cr_free(t);
  }
}

static void trees_typeset(void **state) {
  (void)state;
  static const char *const cases[][2] = {
    {"a/b", "\\frac{a}{b}"}, {"(a+b)/(c*d)", "\\frac{a + b}{c \\, d}"}, {"(a/b)^2", "\\left(\\frac{a}{b}\\right)^{2}"},
    {"x^(a+b)", "x^{a + b}"}, {"(x^2)^3", "\\left(x^{2}\\right)^{3}"}, {"-x^2", "-x^{2}"},
    {"sin(x)", "\\sin\\left(x\\right)"}, {"exp(-u)", "e^{-u}"}, {"sqrt(x+1)", "\\sqrt{x + 1}"},
    {"alpha*x1 + w11", "\\alpha \\, x_{1} + w_{11}"}, {"yhat - y_bar", "\\hat{y} - \\bar{y}"},
    {"\xC5\xB7*\xCE\xBB", "\\hat{y} \\, \\lambda "}, {"W_ih", "W_{ih}"}, {"delta_hidden", "\\delta_{hidden}"},
    {"loss", "\\mathrm{loss}"}, {"A.T @ B", "A^{\\top} \\, B"}, {"1e-20*x", "1 \\cdot 10^{-20} \\, x"},
    {"x*2", "x \\cdot 2"}, {"a*(-b)", "a \\, \\left(-b\\right)"}, {"(a < b) && c", "a < b \\land c"},
    {"x >= 1 ? x : 0", "\\begin{cases} x & x \\ge 1 \\\\ 0 & \\text{otherwise} \\end{cases}"},
    {"softmax(x, dim=1)", "\\operatorname{softmax}\\left(x, \\mathrm{dim} = 1\\right)"}, {"A[0, 1:]", "A_{0, 1:}"},
    {"[[1,2],[3,4]]", "\\begin{bmatrix}1 & 2 \\\\ 3 & 4\\end{bmatrix}"}, {"f(x) = x", "f\\left(x\\right) = x"},
    {"'a_b'", "\\text{'a\\_b'}"}, {"abs(x - y)", "\\left|x - y\\right|"}, {"beta1", "\\beta_{1}"},
    {"z1hat", "\\mathrm{z1hat}"}, {"a/b/c", "\\frac{\\frac{a}{b}}{c}"}, {"a - (b - c)", "a - \\left(b - c\\right)"},
    {"x*y/z", "\\frac{x \\, y}{z}"}, {"mu_2", "\\mu_{2}"}, {"x_hat", "\\hat{x}"},
  };
  cr_tape *t = cr_new();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    cr_syntax_error e;
    cr_buffer b = {.tape = t};
    cr_syntax *s = cr_parse(t, cases[i][0], strlen(cases[i][0]), &e);
    assert_non_null(s);
    cr_latex_syntax(&b, s);
    assert_string_equal(b.text, cases[i][1]);
    cr_buffer_free(&b);
  }
  cr_free(t);
}
int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(numbers_read_back), cmocka_unit_test(numbers_ignore_the_locale),
    cmocka_unit_test(long_numbers_round_exactly), cmocka_unit_test(syntax_errors_say_where_and_what),
    cmocka_unit_test(a_caret_points_at_the_place), cmocka_unit_test(depth_is_bounded),
    cmocka_unit_test(long_chains_are_flat), cmocka_unit_test(trees_print_with_few_brackets),
    cmocka_unit_test(random_trees_print_and_parse_back), cmocka_unit_test(trees_typeset),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
