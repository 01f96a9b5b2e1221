/* Tables, arguments of sources, datasets: classes, missing values, splits, scaling, shuffling. */
#include "scratch.h"

static const char *shipped; /* the folder of the shipped data */

/* Tables */

static cr_status parse_csv(cr_table *t, const char *text, int header, cr_problem *p) {
  cr__bytes b = {(unsigned char *)strdup(text), strlen(text)};
  cr_status status = cr__parse_csv(t, &b, header, "t.csv", p);
  free(b.at);
  return status;
}

/* "a 1 2; b x y" is what the table should be, column by column. */
static void assert_table(const char *text, const char *want) {
  cr_table t;
  cr_problem p = {.status = CR_OK};
  char have[500] = "";
  assert_fine(parse_csv(&t, text, -1, &p), &p);
  for (int k = 0; k < t.n_columns; k++) {
    const cr_column *c = &t.column[k];
    sprintf(have + strlen(have), k ? "; %s" : "%s", c->name);
    for (int64_t i = 0; i < t.n_rows; i++) {
      if (isnan(c->number[i])) strcat(have, " -");
      else if (c->n_levels) sprintf(have + strlen(have), " '%s'", c->level[(int)c->number[i]]);
      else sprintf(have + strlen(have), " %g", c->number[i]);
    }
  }
  cr_table_free(&t);
  assert_string_equal(have, want);
}

static void csv_test(void **state) {
  (void)state;
  assert_table("a,b\n1,x\n2,y\n3,x\n", "a 1 2 3; b 'x' 'y' 'x'");
  assert_table("1,2\n3,4", "c0 1 3; c1 2 4");
  assert_table("\xEF\xBB\xBF"
               "a;b\r\n1,5;-2e3\r\n+.25;1e-2\r\n",
               "a 1.5 0.25; b -2000 0.01");
  assert_table("a\tb\n 1 \t two words \n", "a 1; b 'two words'");
  assert_table("# by hand\nx,y\n\n1,2\n# a comment\n3,4\n", "x 1 3; y 2 4");
  assert_table("1 2  3\n4 5 6 \n", "c0 1 4; c1 2 5; c2 3 6");
  assert_table("name,n\n\"Smith, \"\"J.\"\"\",1\n\"two\nlines\",2\n", "name 'Smith, \"J.\"' 'two\nlines'; n 1 2");
  assert_table("a,b,c\n1,,x\nNA,2,?\nnan,3,y\n", "a 1 - -; b - 2 3; c 'x' - 'y'");
  assert_table("x\n0.1\ninf\n-Infinity\n", "x 0.1 inf -inf");
  assert_table("5.1,red\n4.9,blue\n", "c0 5.1 4.9; c1 'red' 'blue'");
  assert_table("a,b\n1,\n2,\n", "a 1 2; b - -");
}

static void decimal_test(void **state) {
  (void)state;
  static const char *const texts[] = {"0",
                                      "-0.5",
                                      "1e22",
                                      "9007199254740993",
                                      "0.1",
                                      "1.7976931348623157e308",
                                      "4.9e-324",
                                      "1e400",
                                      "123456789012345678901234567890",
                                      "2.2250738585072011e-308",
                                      ".5",
                                      "5.",
                                      "00012.50"};
  for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
    double x;
    assert_true(cr__decimal(texts[k], '.', &x));
    assert_true(x == strtod(texts[k], NULL));
  }
  static const char *const others[] = {"", ".", "-", "1e", "1e+", "0x10", "1.2.3", "1 2", "nan", "1,5", "--1"};
  for (size_t k = 0; k < sizeof others / sizeof *others; k++) {
    double x;
    assert_false(cr__decimal(others[k], '.', &x));
  }
}

static void damaged_csv_test(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"", "t.csv: there are no rows in it"},
      {"# nothing\n\n", "t.csv: there are no rows in it"},
      {"a,b\n", "t.csv: there are no rows under the header"},
      {"a,b,c,d,e\n1,2,3,4,5\n\n# c\n1,2,3,4,5\n1,2,3,4,5\n1,2,3,4\n", "t.csv: line 7: 4 fields where the header has 5"},
      {"1,2\n3\n", "t.csv: line 2: 1 field where the first row has 2"},
      {"a,\"b\nc\n", "t.csv: line 1: the quote that opens here is not closed"},
      {"a,b\n\"x\"y,1\n", "t.csv: line 2: text after a closing quote"},
      {"\xFF\xFE"
       "a",
       "t.csv: UTF-16 text: save it as UTF-8"},
  };
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    cr_table t;
    cr_problem p = {.status = CR_OK};
    assert_refused(parse_csv(&t, cases[k][0], -1, &p), &p, cases[k][1]);
    assert_null(t.column);
  }
  cr_table t;
  cr_problem p = {.status = CR_OK};
  cr__bytes zero = {(unsigned char[]){'a', ',', 0, 'b', 0}, 4};
  assert_refused(cr__parse_csv(&t, &zero, -1, "t.csv", &p), &p, "t.csv: offset 2: a zero byte: this is no text");
  p.status = CR_OK;
  assert_fine(parse_csv(&t, "a,b\n1,2\n", 0, &p), &p);
  assert_int_equal(t.n_rows, 2);
  assert_int_equal(cr_table_column(&t, "c1"), 1);
  assert_int_equal(cr_table_column(&t, "-2"), 0);
  assert_int_equal(cr_table_column(&t, "2"), -1);
  cr_table_free(&t);
}

/* Arguments */

static const char SIGNATURE[] = "adam(rate, lr=0.001, betas=[0.9, 0.999], amsgrad=False, name='none', then=None)";

static void arguments_test(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_program *names = cr_program_new(t, CR_FLOAT64);
  cr_results none;
  const char *source = "hidden = 32; rates = [1, 2, 3]";
  assert_int_equal(cr_program_run(names, source, strlen(source), &none, NULL), CR_OK);
  cr_arguments a;
  cr_problem p = {.status = CR_OK};
  assert_fine(cr_arguments_read(&a, "adam(hidden*2, lr=1/128, amsgrad=True, then=cosine(floor=0.1), name=fast)", SIGNATURE,
                                names, &p),
              &p);
  assert_string_equal(a.name, "adam");
  assert_true(cr_number_of(&a, "rate", 0) == 64);
  assert_true(cr_number_of(&a, "lr", 0) == 1.0 / 128);
  assert_true(cr_number_of(&a, "amsgrad", 0) == 1);
  assert_int_equal(cr_argument_of(&a, "betas")->given, 0);
  assert_int_equal(cr_argument_of(&a, "betas")->n, 2);
  assert_true(cr_argument_of(&a, "betas")->list[1] == 0.999);
  assert_string_equal(cr_text_of(&a, "then"), "cosine(floor=0.1)");
  assert_string_equal(cr_text_of(&a, "name"), "fast");
  cr_arguments_free(&a);
  assert_fine(
      cr_arguments_read(&a, "adam(rates, 1e-3, [[1, 2], [3, hidden]], name='x', then=['p', 'q'])", SIGNATURE, names, &p),
      &p);
  assert_int_equal(cr_argument_of(&a, "rate")->n, 3);
  assert_int_equal(cr_argument_of(&a, "betas")->rows, 2);
  assert_true(cr_argument_of(&a, "betas")->list[3] == 32);
  assert_string_equal(cr_argument_of(&a, "then")->texts[1], "q");
  cr_arguments_free(&a);
  assert_fine(cr_arguments_read(&a, "moons", "moons(n=200)", NULL, &p), &p);
  assert_true(cr_number_of(&a, "n", 0) == 200);
  cr_arguments_free(&a);
  cr_free(t);
}

static void bad_arguments_test(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"adam()",
       "adam: rate must be given: adam(rate, lr=0.001, betas=[0.9, 0.999], amsgrad=False, name='none', then=None)"},
      {"adam(1, lrr=2)",
       "adam has no argument 'lrr'; did you mean 'lr'? adam(rate, lr=0.001, betas=[0.9, 0.999], amsgrad=False, "
       "name='none', then=None)"},
      {"adam(1, lr='x')", "adam: lr is the text 'x'; a number is wanted"},
      {"adam(1, lr=[1, 2])", "adam: lr is a list; a number is wanted"},
      {"adam(1, lr=None)", "adam: lr is None; a number is wanted"},
      {"adam(1, name=3)", "adam: name is the number 3; a text is wanted"},
      {"adam(1, rate=2)", "adam: rate: given twice"},
      {"adam(1, lr=size)", "adam: lr: unknown name 'size'"},
      {"adam(1, betas=['a', 2])", "adam: betas: a list of texts holds something else"},
      {"adam(1, lr=", "'adam(1, lr=': line 1, column 12: expected a value, found the end"},
      {"1 + 2", "'1 + 2': a name and its arguments are wanted, as in name(1, key=2)"},
      {"a = b(1)", "'a = b(1)': a name and its arguments are wanted, as in name(1, key=2)"},
      {"", "'': a name and its arguments are wanted, as in name(1, key=2)"},
  };
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    cr_arguments a;
    cr_problem p = {.status = CR_OK};
    assert_refused(cr_arguments_read(&a, cases[k][0], SIGNATURE, NULL, &p), &p, cases[k][1]);
    assert_null(a.tape);
  }
}

/* Datasets */

static void read_set(cr_dataset *d, const char *call) {
  cr_problem p = {.status = CR_OK};
  assert_fine(cr_dataset_read(d, call, shipped, CR_FLOAT64, NULL, &p), &p);
}

static void shipped_test(void **state) {
  (void)state;
  static const int per_digit[2][10] = {{376, 389, 380, 389, 387, 376, 377, 387, 380, 382},
                                       {178, 182, 177, 183, 181, 182, 181, 179, 174, 180}};
  cr_dataset d;
  read_set(&d, "csv('iris.csv', target='species')");
  assert_int_equal(cr_dataset_size(&d), 150);
  assert_int_equal(d.n_classes, 3);
  assert_string_equal(d.class_name[2], "Iris-virginica");
  assert_string_equal(d.feature_name[3], "petal_width");
  assert_true(cr_array_get(&d.x, 0) == 5.1);
  cr_dataset_free(&d);
  for (int k = 0; k < 2; k++) {
    int count[10] = {0};
    read_set(&d, k ? "csv('optdigits.tes', target=-1, classes=True, scale=16)"
                   : "csv('optdigits.tra', target='Class', classes=True, shape=[1, 8, 8])");
    assert_int_equal(d.n_classes, 10);
    assert_int_equal(d.x.rank, k ? 2 : 4);
    for (int64_t i = 0; i < d.y.count; i++) count[cr_array_get_int(&d.y, i)]++;
    assert_memory_equal(count, per_digit[k], sizeof count);
    cr_dataset_free(&d);
  }
  read_set(&d, "text('shakespeare.txt', length=50, stride=25, limit=1000)");
  assert_int_equal(d.x.dim[0], 38);
  for (int64_t k = 0; k + 1 < 50; k++) assert_int_equal(cr_array_get_int(&d.x, k + 1), cr_array_get_int(&d.y, k));
  assert_string_equal(d.class_name[cr_array_get_int(&d.x, 0)], "F");
  cr_dataset_free(&d);
}

static void columns_test(void **state) {
  (void)state;
  cr_dataset d;
  cr_problem p = {.status = CR_OK};
  put_file("t.csv", "size,kind,price,class\n2,b,10,-1\n,a,20,1\n6,a,30,1\n", 48);
  assert_fine(cr_dataset_read(&d, "csv('t.csv', target='price', inputs=['size', 'kind'], missing='mean', scale=2)", NULL,
                              CR_FLOAT32, NULL, &p),
              &p);
  assert_numbers(&d.x, CR_FLOAT32, 9, (double[]){1, 0, 1, 2, 1, 0, 3, 1, 0});
  assert_string_equal(d.feature_name[2], "kind=b");
  assert_numbers(&d.y, CR_FLOAT32, 3, (double[]){10, 20, 30});
  cr_dataset_free(&d);
  assert_fine(cr_dataset_read(&d, "csv('t.csv', target=-1, inputs=[0, 2], missing='drop', classes=True)", NULL, CR_FLOAT64,
                              NULL, &p),
              &p);
  assert_numbers(&d.x, CR_FLOAT64, 4, (double[]){2, 10, 6, 30});
  assert_numbers(&d.y, CR_INT64, 2, (double[]){0, 1});
  assert_string_equal(d.class_name[0], "-1");
  cr_dataset_free(&d);
  static const char *const cases[][2] = {
      {"csv('t.csv', target='price')",
       "t.csv: line 3: column 'size' is missing (missing='drop' leaves such rows out, missing='mean' fills numbers in)"},
      {"csv('t.csv', target='prize')", "t.csv: there is no column 'prize'; did you mean 'price'?"},
      {"csv('t.csv', target=7)", "t.csv: there is no column '7' among the 4, 'size' to 'class'"},
      {"csv('t.csv', target='price', inputs='price')", "t.csv: column 'price' is both input and target"},
      {"csv('t.csv', target='kind', inputs='price', classes=False)",
       "t.csv: column 'kind' holds texts, which are no values to predict"},
      {"csv('t.csv', target='price', inputs='class', shape=[2, 2])", "csv: shape wants 4 numbers an example, there are 1"},
      {"csv('t.csv', missing='maybe')", "csv: missing is 'error', 'drop', or 'mean', not 'maybe'"},
      {"csv('u.csv')", "u.csv: cannot be opened: No such file or directory"},
      {"csv(3)", "csv: path is the number 3; a text is wanted"},
      {"cvs('t.csv')", "unknown source 'cvs'; did you mean 'csv'?"},
      {"table('t.csv')", "unknown source 'table'; there are csv, idx, npy, npz, safetensors, text, points, moons, "
                         "circles, spirals, xor, blobs, "
                         "sine, polynomial"},
      {"npz('t.csv')", "t.csv: offset 0: not a .npz file"},
      {"text('t.csv', length=100)", "t.csv: 48 characters are too few for windows of 100 and the next"},
      {"moons(n=0)", "moons: n = 0; a whole number in [1, 100000000] is wanted"},
      {"points([[1, 2], [3]])", "points: x: rows of a list must be equally long: row 0 has 2 entries, row 1 has 1 entries"},
      {"points([1, 2], y=[1])", "points: x has 2 examples, y 1"},
  };
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    p.status = CR_OK;
    assert_refused(cr_dataset_read(&d, cases[k][0], NULL, CR_FLOAT64, NULL, &p), &p, cases[k][1]);
    assert_null(d.x.data);
  }
  put_file("t.csv", "x,y\n1,2\n2,3\n3x,4\n5,6\n", 21);
  p.status = CR_OK;
  assert_refused(cr_dataset_read(&d, "csv('t.csv', target='y')", NULL, CR_FLOAT64, NULL, &p), &p,
                 "t.csv: line 4: '3x' in column 'x' is not a number");
  remove("t.csv");
}

static void files_test(void **state) {
  (void)state;
  cr_dataset d;
  cr_problem p = {.status = CR_OK};
  put_gzip("images", "\0\0\x08\3\0\0\0\2\0\0\0\2\0\0\0\2\0\xFF\x33\0\0\0\0\x66", 24);
  put_file("labels", "\0\0\x08\1\0\0\0\2\7\0", 10);
  assert_fine(cr_dataset_read(&d, "idx('images', 'labels')", NULL, CR_FLOAT64, NULL, &p), &p);
  assert_numbers(&d.x, CR_FLOAT64, 8, (double[]){0, 1, 0.2, 0, 0, 0, 0, 0.4});
  assert_int_equal(d.x.rank, 2);
  assert_int_equal(d.n_classes, 8);
  cr_dataset_free(&d);
  assert_fine(cr_dataset_read(&d, "idx('images', 'labels', shape=[1, 2, 2], scale=1)", ".", CR_FLOAT32, NULL, &p), &p);
  assert_int_equal(d.x.rank, 4);
  cr_dataset_free(&d);
  put_file("labels", "\0\0\x08\1\0\0\0\3\7\0\1", 11);
  assert_refused(cr_dataset_read(&d, "idx('images', 'labels')", NULL, CR_FLOAT64, NULL, &p), &p,
                 "labels: y is (3,) where x is (2, 4): the first axis counts the examples");
  remove("images");
  remove("labels");
  cr_archive a = {0};
  cr_array x = sample(CR_FLOAT32, 2, (int64_t[]){3, 2}), y = sample(CR_FLOAT64, 1, (int64_t[]){3});
  p.status = CR_OK;
  assert_fine(cr_archive_add(&a, "x", &x, &p), &p);
  assert_fine(cr_archive_add(&a, "target", &y, &p), &p);
  assert_fine(cr_write_npz(&a, "a.npz", &p), &p);
  assert_fine(cr_dataset_read(&d, "npz('a.npz', y='target')", NULL, CR_FLOAT64, NULL, &p), &p);
  assert_int_equal(d.y.dtype, CR_FLOAT64);
  assert_int_equal(d.y.dim[1], 1);
  cr_dataset_free(&d);
  assert_refused(cr_dataset_read(&d, "npz('a.npz', y='targets')", NULL, CR_FLOAT64, NULL, &p), &p,
                 "a.npz: there is no array 'targets'; did you mean 'target'?");
  cr_archive_free(&a);
  cr_array_release(&x);
  cr_array_release(&y);
  remove("a.npz");
}

/* -100 is no class: it keeps its number and is none of the classes, among positive labels and negative ones. */
static void no_class_test(void **state) {
  (void)state;
  cr_dataset d, first, second;
  cr_problem p = {.status = CR_OK};
  read_set(&d, "points([1, 2, 3, 4], y=[2, -100, 0, 2], classes=True)");
  assert_int_equal(d.n_classes, 3);
  assert_numbers(&d.y, CR_INT64, 4, (double[]){2, -100, 0, 2});
  assert_fine(cr_dataset_split(&first, &second, &d, 0.5, 1, &p), &p);
  assert_int_equal(cr_dataset_size(&first) + cr_dataset_size(&second), 4);
  assert_fine(cr_dataset_align(&first, &d, &p), &p);
  cr_dataset_free(&first);
  cr_dataset_free(&second);
  cr_dataset_free(&d);
  read_set(&d, "points([1, 2, 3], y=[-1, -100, 1], classes=True)");
  assert_int_equal(d.n_classes, 2);
  assert_numbers(&d.y, CR_INT64, 3, (double[]){0, -100, 1});
  cr_dataset_free(&d);
}

/* Tokens are no classes: the names of the classes do not renumber them. */
static void tokens_test(void **state) {
  (void)state;
  cr_archive a = {0};
  cr_dataset d, again;
  cr_problem p = {.status = CR_OK};
  cr_array x, y;
  assert_fine(cr_array_make(&x, CR_INT64, 2, (int64_t[]){2, 2}, &p), &p);
  assert_fine(cr_array_make(&y, CR_INT64, 2, (int64_t[]){2, 2}, &p), &p);
  for (int k = 0; k < 4; k++) cr_array_set(&x, k, 1000 * k), cr_array_set(&y, k, k % 2);
  assert_fine(cr_archive_add(&a, "x", &x, &p), &p);
  assert_fine(cr_archive_add(&a, "y", &y, &p), &p);
  assert_fine(cr_write_npz(&a, "a.npz", &p), &p);
  assert_fine(cr_dataset_read(&d, "npz('a.npz', tokens=True)", NULL, CR_FLOAT64, NULL, &p), &p);
  assert_fine(cr_dataset_read(&again, "npz('a.npz', tokens=True)", NULL, CR_FLOAT64, NULL, &p), &p);
  assert_fine(cr_dataset_align(&again, &d, &p), &p);
  assert_numbers(&again.x, CR_INT64, 4, (double[]){0, 1000, 2000, 3000});
  cr_dataset_free(&again);
  cr_dataset_free(&d);
  cr_archive_free(&a);
  cr_array_release(&x);
  cr_array_release(&y);
  remove("a.npz");
}

static void split_test(void **state) {
  (void)state;
  cr_dataset d, a, b, a2, b2;
  cr_problem p = {.status = CR_OK};
  int count[3] = {0};
  read_set(&d, "csv('iris.csv', target='species')");
  assert_fine(cr_dataset_split(&a, &b, &d, 0.7, 3, &p), &p);
  assert_int_equal(cr_dataset_size(&a), 105);
  assert_int_equal(cr_dataset_size(&b), 45);
  for (int64_t k = 0; k < 105; k++) count[cr_array_get_int(&a.y, k)]++;
  for (int k = 0; k < 3; k++) assert_int_equal(count[k], 35);
  double sum = 0, parts = 0;
  for (int64_t k = 0; k < d.x.count; k++) sum += cr_array_get(&d.x, k);
  for (int64_t k = 0; k < a.x.count; k++) parts += cr_array_get(&a.x, k);
  for (int64_t k = 0; k < b.x.count; k++) parts += cr_array_get(&b.x, k);
  assert_true(fabs(sum - parts) < 1e-9); /* each example is in one of them */
  assert_fine(cr_dataset_split(&a2, &b2, &d, 0.7, 3, &p), &p);
  assert_same(&a.x, &a2.x);
  cr_dataset_free(&a2);
  cr_dataset_free(&b2);
  assert_fine(cr_dataset_split(&a2, &b2, &d, 0.7, 4, &p), &p);
  assert_int_not_equal(cr_array_hash(&a.x, 0), cr_array_hash(&a2.x, 0));
  assert_fine(cr_dataset_standardize(&a, &a, &p), &p);
  assert_fine(cr_dataset_standardize(&b, &a, &p), &p);
  for (int j = 0; j < 4; j++) {
    double mean = 0, square = 0;
    for (int64_t k = 0; k < 105; k++) {
      double x = cr_array_get(&a.x, 4 * k + j);
      mean += x / 105;
      square += x * x / 105;
    }
    assert_true(fabs(mean) < 1e-12 && fabs(square - 1) < 1e-12);
    assert_true(cr_array_get(&a.center, j) == cr_array_get(&b.center, j));
  }
  cr_dataset_free(&a2);
  cr_dataset_free(&b2);
  assert_fine(cr_dataset_slice(&a2, &d, 50, 60, &p), &p);
  assert_int_equal(cr_array_get_int(&a2.y, 0), 1);
  assert_fine(cr_dataset_align(&a2, &a, &p), &p);
  assert_true(a2.center.data != NULL);
  assert_refused(cr_dataset_slice(&b2, &d, 0, 151, &p), &p, "examples 0 to 151 of 150");
  p.status = CR_OK;
  assert_refused(cr_dataset_split(&b2, &b2, &d, 1, 0, &p), &p, "a split needs a fraction between 0 and 1, not 1");
  cr_dataset_free(&a2);
  cr_dataset_free(&a);
  cr_dataset_free(&b);
  cr_dataset_free(&d);
}

static void align_test(void **state) {
  (void)state;
  cr_dataset train, test;
  cr_problem p = {.status = CR_OK};
  read_set(&train, "points([1, 2, 3], y=['ant', 'bee', 'cat'])");
  read_set(&test, "points([5, 6], y=['cat', 'bee'])");
  assert_int_equal(cr_array_get_int(&test.y, 0), 1);
  assert_fine(cr_dataset_align(&test, &train, &p), &p);
  assert_int_equal(cr_array_get_int(&test.y, 0), 2);
  assert_int_equal(test.n_classes, 3);
  cr_dataset_free(&test);
  read_set(&test, "points([5, 6], y=['dog', 'bee'])");
  assert_refused(cr_dataset_align(&test, &train, &p), &p,
                 "points([5, 6], y=['dog', 'bee']): 'dog' does not occur in the training data");
  cr_dataset_free(&test);
  cr_dataset_free(&train);
  p.status = CR_OK;
  put_file("t.csv", "town,size,y\nUlm,1,7\nBonn,2,8\n", 29);
  put_file("u.csv", "id,size,town,y\n9,5,Ulm,1\n", 25);
  assert_fine(cr_dataset_read(&train, "csv('t.csv', target='y')", NULL, CR_FLOAT64, NULL, &p), &p);
  assert_fine(cr_dataset_read(&test, "csv('u.csv', target='y')", NULL, CR_FLOAT64, NULL, &p), &p);
  assert_fine(cr_dataset_align(&test, &train, &p), &p);
  assert_numbers(&test.x, CR_FLOAT64, 3, (double[]){0, 1, 5}); /* Bonn, Ulm, size */
  cr_dataset_free(&test);
  static const char *const other[][2] = {{"size,town,y\n5,Koeln,1\n", "'town=Koeln' does not occur in the training data"},
                                         {"town,y\nUlm,1\n", "there is no column 'size', which the training data have"}};
  for (int k = 0; k < 2; k++) {
    put_file("u.csv", other[k][0], strlen(other[k][0]));
    assert_fine(cr_dataset_read(&test, "csv('u.csv', target='y')", NULL, CR_FLOAT64, NULL, &p), &p);
    assert_int_not_equal(cr_dataset_align(&test, &train, &p), CR_OK);
    assert_non_null(strstr(p.text, other[k][1]));
    cr_dataset_free(&test);
    p.status = CR_OK;
  }
  cr_dataset_free(&train);
  remove("t.csv");
  remove("u.csv");
  read_set(&train, "points([[1, 7], [3, 7]])");
  assert_fine(cr_dataset_standardize(&train, &train, &p), &p);
  assert_numbers(&train.x, CR_FLOAT64, 4, (double[]){-1, 0, 1, 0}); /* a constant feature */
  cr_dataset_free(&train);
}

static void synthetic_test(void **state) {
  (void)state;
  static const char *const calls[] = {"moons(201)",
                                      "circles(99)",
                                      "spirals(100, classes=3)",
                                      "xor(50, noise=0.1)",
                                      "blobs(99, features=5)",
                                      "sine(20)",
                                      "polynomial(n=7, noise=0)"};
  for (size_t k = 0; k < sizeof calls / sizeof *calls; k++) {
    cr_dataset a, b;
    int count[3] = {0};
    read_set(&a, calls[k]);
    read_set(&b, calls[k]);
    assert_same(&a.x, &b.x);
    assert_same(&a.y, &b.y);
    for (int64_t i = 0; i < a.y.count && a.n_classes; i++) count[cr_array_get_int(&a.y, i)]++;
    for (int c = 0; c < a.n_classes; c++) assert_true(abs(count[c] - (int)a.y.count / a.n_classes) <= 1);
    for (int64_t i = 0; i < a.x.count; i++) assert_true(fabs(cr_array_get(&a.x, i)) < 8);
    cr_dataset_free(&a);
    cr_dataset_free(&b);
  }
  cr_dataset d;
  read_set(&d, "polynomial([1, 0, -2], n=3, noise=0, low=-1, high=3)");
  assert_numbers(&d.y, CR_FLOAT64, 3, (double[]){-1, -1, -17});
  cr_dataset_free(&d);
  read_set(&d, "xor");
  assert_numbers(&d.x, CR_FLOAT64, 8, (double[]){0, 0, 0, 1, 1, 0, 1, 1});
  assert_numbers(&d.y, CR_INT64, 4, (double[]){0, 1, 1, 0});
  cr_dataset_free(&d);
}

static void shuffle_test(void **state) {
  (void)state;
  enum { N = 5, ROUNDS = 5000 };
  int64_t order[N], other[N], first[N] = {0};
  for (uint64_t epoch = 0; epoch < ROUNDS; epoch++) {
    int seen = 0;
    cr_shuffle(N, 7, epoch, order);
    for (int k = 0; k < N; k++) seen |= 1 << order[k];
    assert_int_equal(seen, (1 << N) - 1);
    first[order[0]]++;
  }
  for (int k = 0; k < N; k++) assert_true(llabs(first[k] - ROUNDS / N) < 150); /* five standard deviations */
  int64_t long_order[100], again[100];
  cr_shuffle(100, 7, 3, long_order);
  cr_shuffle(100, 7, 3, again);
  assert_memory_equal(long_order, again, sizeof again);
  cr_shuffle(100, 8, 3, again);
  assert_memory_not_equal(long_order, again, sizeof again);
  cr_shuffle(0, 1, 1, other);
  cr_random r = {.seed = 4}, kept = r;
  double sum = 0, square = 0;
  for (int k = 0; k < 10000; k++) {
    double x = cr_random_normal(&r), u = cr_random_uniform(&r);
    assert_true(u >= 0 && u < 1);
    sum += x;
    square += x * x;
  }
  assert_true(fabs(sum / 10000) < 0.05 && fabs(square / 10000 - 1) < 0.08);
  double x = cr_random_normal(&kept);
  kept.count = 0;
  assert_true(x == cr_random_normal(&kept));
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  shipped = argv[1];
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(csv_test),       cmocka_unit_test(decimal_test),       cmocka_unit_test(damaged_csv_test),
      cmocka_unit_test(arguments_test), cmocka_unit_test(bad_arguments_test), cmocka_unit_test(shipped_test),
      cmocka_unit_test(columns_test),   cmocka_unit_test(files_test),         cmocka_unit_test(split_test),
      cmocka_unit_test(no_class_test),  cmocka_unit_test(tokens_test),        cmocka_unit_test(align_test),
      cmocka_unit_test(synthetic_test), cmocka_unit_test(shuffle_test)};
  return cmocka_run_group_tests(tests, open_folder, close_folder);
}
