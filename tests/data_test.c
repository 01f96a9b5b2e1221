/* Files to arrays and back: round trips, files that others wrote, and what each damaged file is told. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "scratch.h"

/* Arrays */

static void arrays_test(void **state) {
  (void)state;
  cr_problem p = {.status = CR_OK};
  cr_array a, b;
  assert_fine(cr_array_make(&a, CR_FLOAT32, 2, (int64_t[]){3, 5}, &p), &p);
  assert_int_equal((uintptr_t)a.data % 64, 0);
  for (int64_t k = 0; k < 15; k++) assert_true(cr_array_get(&a, k) == 0);
  assert_fine(cr_array_clone(&b, &a, CR_INT32, &p), &p);
  assert_int_equal(b.dtype, CR_INT32);
  uint64_t flat = cr_array_hash(&a, 0);
  assert_int_not_equal(flat, cr_array_hash(&a, 1));
  a.dim[0] = 5, a.dim[1] = 3;
  assert_int_not_equal(flat, cr_array_hash(&a, 0));
  cr_array_release(&a);
  cr_array_release(&b);
  assert_int_equal(cr_array_make(&a, CR_FLOAT64, 2, (int64_t[]){INT64_MAX / 2, 4}, &p), CR_OVER_LIMIT);
  p.status = CR_OK;
  assert_int_equal(cr_array_make(&a, CR_FLOAT64, 1, (int64_t[]){-1}, &p), CR_BAD_SHAPE);
}

static const int64_t SHAPE[] = {2, 3, 2};

static void npy_round_test(void **state) {
  (void)state;
  for (int dtype = CR_BOOL; dtype <= CR_FLOAT64; dtype++)
    for (int rank = 0; rank <= 3; rank++) {
      cr_array a = sample((cr_dtype)dtype, rank, SHAPE), b;
      cr_problem p = {.status = CR_OK};
      assert_fine(cr_write_npy(&a, "a.npy", &p), &p);
      assert_fine(cr_read_npy(&b, "a.npy", &p), &p);
      assert_same(&a, &b);
      cr_array_release(&a);
      cr_array_release(&b);
    }
  remove("a.npy");
}

static void fill_archive(cr_archive *a) {
  cr_problem p = {.status = CR_OK};
  static const char *const names[] = {"truths", "counts", "tokens", "dense1.weight", "wide"};
  memset(a, 0, sizeof *a);
  for (int dtype = CR_BOOL; dtype <= CR_FLOAT64; dtype++) {
    cr_array x = sample((cr_dtype)dtype, dtype % 4, SHAPE);
    assert_fine(cr_archive_add(a, names[dtype], &x, &p), &p);
    cr_array_release(&x);
  }
}

static void assert_same_archive(const cr_archive *a, const cr_archive *b) {
  assert_int_equal(a->n, b->n);
  for (int k = 0; k < a->n; k++) assert_same(&a->entry[k].array, cr_archive_find(b, a->entry[k].name));
}

static void npz_round_test(void **state) {
  (void)state;
  cr_archive a, b;
  cr_problem p = {.status = CR_OK};
  fill_archive(&a);
  assert_fine(cr_write_npz(&a, "a.npz", &p), &p);
  assert_fine(cr_read_npz(&b, "a.npz", &p), &p);
  assert_same_archive(&a, &b);
  assert_refused(cr_archive_add(&a, "wide", &a.entry[0].array, &p), &p, "two arrays are called 'wide'");
  cr_archive_free(&a);
  cr_archive_free(&b);
  remove("a.npz");
}

static void safetensors_round_test(void **state) {
  (void)state;
  cr_archive a, b;
  cr_problem p = {.status = CR_OK};
  fill_archive(&a);
  assert_fine(cr_archive_note(&a, "step", "17", &p), &p);
  assert_fine(cr_archive_note(&a, "step", "18", &p), &p);
  assert_fine(cr_archive_note(&a, "history", "line 1\nline \"2\" \xC3\xA9", &p), &p);
  for (int k = 0; k < 2; k++) { /* over the old file too */
    assert_fine(cr_write_safetensors(&a, "a.safetensors", &p), &p);
    assert_fine(cr_read_safetensors(&b, "a.safetensors", &p), &p);
    assert_same_archive(&a, &b);
    assert_string_equal(cr_archive_text(&b, "step"), "18");
    assert_string_equal(cr_archive_text(&b, "history"), "line 1\nline \"2\" \xC3\xA9");
    assert_int_equal(strlen(cr_archive_text(&b, "checksum")), 32);
    cr_archive_free(&a);
    a = b;
  }
  cr_archive_free(&a);
  remove("a.safetensors");
}

/* Every byte of a file changed in turn, and the file cut off at every length: refused, or the same arrays (a space in a
 * header, the time or a name in an archive). */
static void assert_survives(cr_status (*parse)(cr_archive *, const cr__bytes *, const char *, cr_problem *),
                            const char *name, const cr_archive *whole) {
  unsigned char bytes[4096];
  size_t n = get_file(bytes, sizeof bytes, name);
  for (size_t k = 0; k < 2 * n; k++) {
    cr_archive b;
    cr_problem p = {.status = CR_OK};
    if (k < n) bytes[k] ^= (unsigned char)(1 << k % 8);
    cr__bytes part = {bytes, k < n ? n : k - n};
    if (parse(&b, &part, name, &p) != CR_OK) {
      assert_int_equal(strncmp(p.text, name, strlen(name)), 0);
      assert_int_equal(b.n, 0);
    } else {
      assert_true(k < n);
      for (int j = 0; j < b.n; j++)
        if (cr_archive_find(whole, b.entry[j].name))
          assert_same(&b.entry[j].array, cr_archive_find(whole, b.entry[j].name));
    }
    cr_archive_free(&b);
    if (k < n) bytes[k] ^= (unsigned char)(1 << k % 8);
  }
}

static void damaged_archives_test(void **state) {
  (void)state;
  cr_archive a;
  cr_problem p = {.status = CR_OK};
  fill_archive(&a);
  assert_fine(cr_write_safetensors(&a, "a.safetensors", &p), &p);
  unsigned char bytes[4096];
  size_t n = get_file(bytes, sizeof bytes, "a.safetensors");
  bytes[n - 1] ^= 1;
  put_file("b.safetensors", bytes, n);
  cr_archive b;
  assert_refused(cr_read_safetensors(&b, "b.safetensors", &p), &p,
                 "b.safetensors: checksum does not match: the file was altered or damaged");
  remove("b.safetensors");
  size_t header = 8 + (size_t)bytes[0] + 256 * (size_t)bytes[1];
  for (size_t k = header; k < n; k++) { /* every byte of the numbers */
    get_file(bytes, sizeof bytes, "a.safetensors");
    bytes[k] ^= 0x10;
    cr_problem q = {.status = CR_OK};
    assert_int_equal(cr__parse_safetensors(&b, &(cr__bytes){bytes, n}, "a", &q), CR_MISMATCH);
  }
  assert_survives(cr__parse_safetensors, "a.safetensors", &a);
  remove("a.safetensors");
  p.status = CR_OK;
  assert_fine(cr_write_npz(&a, "a.npz", &p), &p);
  assert_survives(cr__parse_npz, "a.npz", &a);
  remove("a.npz");
  cr_archive_free(&a);
}

/* Writing fails without harm to the old file, and leaves nothing behind */
static void full_disk_test(void **state) {
  (void)state;
  struct rlimit old, none = {100, 100};
  cr_problem p = {.status = CR_OK};
  char bytes[1000] = "new", *text;
  size_t n;
  put_file("kept", "old", 3);
  assert_false(getrlimit(RLIMIT_FSIZE, &old));
  none.rlim_max = old.rlim_max;
  signal(SIGXFSZ, SIG_IGN);
  assert_false(setrlimit(RLIMIT_FSIZE, &none));
  cr_status status = cr_write_file(bytes, sizeof bytes, "kept", &p);
  setrlimit(RLIMIT_FSIZE, &old);
  assert_refused(status, &p, "kept: cannot be written: File too large");
  assert_int_equal(access("kept.partial", F_OK), -1);
  p.status = CR_OK;
  assert_fine(cr_read_text(&text, &n, "kept", &p), &p);
  assert_string_equal(text, "old");
  free(text);
  put_file("kept.partial", "left by a killed program", 24);
  assert_fine(cr_write_file(bytes, 3, "kept", &p), &p);
  assert_fine(cr_read_text(&text, &n, "kept", &p), &p);
  assert_string_equal(text, "new");
  free(text);
  remove("kept");
  assert_refused(cr_write_file("x", 1, "nowhere/x", &p), &p, "nowhere/x: cannot be written: No such file or directory");
  p.status = CR_OK;
  assert_refused(cr_read_text(&text, &n, "nowhere", &p), &p, "nowhere: cannot be opened: No such file or directory");
  p.status = CR_OK;
  assert_refused(cr_read_text(&text, &n, ".", &p), &p, ".: cannot be read: Is a directory");
  p.status = CR_OK;
  assert_fine(cr_write_file("x", 1, "/dev/null", &p), &p); /* which stays a device */
  struct stat about;
  assert_false(stat("/dev/null", &about));
  assert_true(S_ISCHR(about.st_mode));
}

/* Damaged files, by what they are told */

typedef struct damage {
  const char *bytes;
  size_t n;
  const char *text;
} damage;
#define DAMAGE(bytes, text)                                                                                                 \
  { bytes, sizeof bytes - 1, text }

#define MAGIC "\x93NUMPY\x01\x00"
static const damage npy_damage[] = {
    DAMAGE("", "f: offset 0: not a .npy file"),
    DAMAGE("PK\3\4 and more", "f: offset 0: not a .npy file"),
    DAMAGE("\x93NUMPY\x04\x00\x01\x00 ", "f: offset 6: version 4 of .npy is unknown"),
    DAMAGE(MAGIC "\x80\x00{", "f: offset 11: the header is cut off"),
    DAMAGE("\x93NUMPY\x02\x00\xFF\xFF\xFF\xFF{", "f: offset 13: the header is cut off"),
    DAMAGE(MAGIC "\x02\x00 1", "f: offset 11: the header is not a dictionary"),
    DAMAGE(MAGIC "\x0C\x00{'names': 1}", "f: offset 19: the header has an unknown key 'names'"),
    DAMAGE(MAGIC "\x10\x00{'descr': '<c8'}",
           "f: offset 25: numbers of type '<c8' cannot be read: f2 to f8, i1 to i8, u1 to u8 and b1 can"),
    DAMAGE(MAGIC "\x10\x00{'descr': '<f4'}", "f: offset 26: the header lacks descr, fortran_order or shape"),
    DAMAGE(MAGIC "\x1E\x00{'shape': (2,), 'shape': (2,)}", "f: offset 34: the header has 'shape' twice"),
    DAMAGE(MAGIC "\x38\x00{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}",
           "f: offset 61: the header's shape is damaged"),
    DAMAGE(MAGIC "\x37\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}1234567",
           "f: offset 72: the file ends after 1 of 2 numbers"),
    DAMAGE(MAGIC "\x37\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}123456789",
           "f: offset 73: the file goes on after its 2 numbers"),
    DAMAGE(MAGIC "\x4B\x00{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296,4294967296,)}",
           "f: offset 85: the shape is larger than any memory"),
    DAMAGE(MAGIC "\x37\x00{'descr': '<u8', 'fortran_order': False, 'shape': (1,)}\0\0\0\0\0\0\0\x80",
           "f: offset 65: number 0 is too large for int64"),
};

static const damage idx_damage[] = {
    DAMAGE("", "f: offset 0: the file ends within the magic number"),
    DAMAGE("\0\0\x08", "f: offset 3: the file ends within the magic number"),
    DAMAGE("\x93NUM", "f: offset 0: not an IDX file, which begins with two zero bytes, not 93 4e"),
    DAMAGE("\0\0\x0A\x01\0\0\0\1x", "f: offset 2: the dtype code 0a is none of 08, 09, 0b, 0c, 0d, 0e"),
    DAMAGE("\0\0\x08\x00", "f: offset 3: 0 axes; 1 to 8 can be read"),
    DAMAGE("\0\0\x08\x09", "f: offset 3: 9 axes; 1 to 8 can be read"),
    DAMAGE("\0\0\x08\x02\0\0\0\2\0", "f: offset 9: the file ends before the size of axis 1"),
    DAMAGE("\0\0\x08\x03\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
           "f: offset 4: the shape is larger than any memory"),
    DAMAGE("\0\0\x0C\x01\0\0\0\2\0\0\0\7\0\0", "f: offset 14: the file ends after 1 of 2 numbers"),
    DAMAGE("\0\0\x08\x01\0\0\0\2abc", "f: offset 10: 1 bytes follow the 2 numbers"),
};

#define HEAD(n, json) n "\0\0\0\0\0\0\0" json
static const damage safetensors_damage[] = {
    DAMAGE("\2\0\0", "f: offset 3: the file ends within the header's length"),
    DAMAGE("\0\0\0\0\0\0\0\1{}", "f: offset 0: a header of 72057594037927936 bytes: this is no safetensors file"),
    DAMAGE(HEAD("\x09", "{}"), "f: offset 10: the file ends within its header of 9 bytes"),
    DAMAGE(HEAD("\2", "[]"), "f: offset 8: the header is not a JSON object"),
    DAMAGE(HEAD("\2", "{}x"), "f: offset 10: 1 bytes follow the last tensor"),
    DAMAGE(HEAD("\x07", "{\"a\":1}"), "f: tensor 'a': the header must have dtype, shape and data_offsets"),
    DAMAGE(HEAD("\x36", "{\"a\":{\"dtype\":\"C64\",\"shape\":[1],\"data_offsets\":[0,8]}}12345678"),
           "f: tensor 'a': dtype 'C64' cannot be read"),
    DAMAGE(HEAD("\x36", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,8]}}12345678"),
           "f: tensor 'a': dtype and shape want 4 bytes, the offsets have 8"),
    DAMAGE(HEAD("\x36", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}12345678"),
           "f: tensor 'a' begins at offset 66, where 62 is next"),
    DAMAGE(HEAD("\x36", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}1234"),
           "f: offset 66: the file ends within tensor 'a', which goes on to 70"),
    DAMAGE(HEAD("\x6B", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                        "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}1234"),
           "f: tensor 'b' begins at offset 115, where 119 is next"),
    DAMAGE(HEAD("\x1B", "{\"__metadata__\":{\"a\":   1}}"), "f: __metadata__: 'a' is not a text"),
    DAMAGE(HEAD("\x21", "{\"__metadata__\":{\"checksum\":\"0\"}}"),
           "f: checksum does not match: the file was altered or damaged"),
};

static const damage npz_damage[] = {
    DAMAGE("", "f: offset 0: not a .npz file"),
    DAMAGE("\x93NUMPY", "f: offset 0: not a .npz file"),
    DAMAGE("PK\3\4 cut off", "f: offset 12: the directory at the end is missing: the file is cut off"),
    DAMAGE("PK\5\6\0\0\0\0\1\0\1\0\x2E\0\0\0\7\0\0\0\0\0", "f: offset 0: the directory is not where its end says"),
    DAMAGE("PK\5\6\0\0\0\0\xFF\xFF\xFF\xFF\0\0\0\0\0\0\0\0\0\0",
           "f: in the ZIP64 format, for more than 4 GiB or 65535 arrays: it cannot be read"),
};

static cr_status archive_of(cr_array *a, cr_status (*parse)(cr_archive *, const cr__bytes *, const char *, cr_problem *),
                            const cr__bytes *b, cr_problem *p) {
  cr_archive archive;
  memset(a, 0, sizeof *a);
  cr_status status = parse(&archive, b, "f", p);
  cr_archive_free(&archive);
  return status;
}

static void damaged_test(void **state) {
  (void)state;
  static const struct {
    const damage *damage;
    size_t n;
  } all[] = {{npy_damage, sizeof npy_damage / sizeof *npy_damage},
             {idx_damage, sizeof idx_damage / sizeof *idx_damage},
             {safetensors_damage, sizeof safetensors_damage / sizeof *safetensors_damage},
             {npz_damage, sizeof npz_damage / sizeof *npz_damage}};
  for (int format = 0; format < 4; format++)
    for (const damage *d = all[format].damage; d < all[format].damage + all[format].n; d++) {
      cr_array a;
      cr_problem p = {.status = CR_OK};
      cr__bytes b = {malloc(d->n + 1), d->n};
      memcpy(b.at, d->bytes, d->n);
      cr_status status = format == 0   ? cr__parse_npy(&a, &b, "f", &p)
                         : format == 1 ? cr__parse_idx(&a, &b, "f", &p)
                         : format == 2 ? archive_of(&a, cr__parse_safetensors, &b, &p)
                                       : archive_of(&a, cr__parse_npz, &b, &p);
      assert_refused(status, &p, d->text);
      assert_null(a.data);
      free(b.at);
    }
}

/* Files that others wrote */

static void parse_npy(cr_array *a, const void *bytes, size_t n) {
  cr_problem p = {.status = CR_OK};
  cr__bytes b = {malloc(n), n};
  memcpy(b.at, bytes, n);
  assert_fine(cr__parse_npy(a, &b, "f", &p), &p);
  free(b.at);
}

#define NPY(type, order, shape, numbers)                                                                                    \
  "\x93NUMPY\x03\x00\x3A\x00\x00\x00{'descr': '" type "', 'fortran_order': " order ", 'shape': " shape "}" numbers

static void npy_dtypes_test(void **state) {
  (void)state;
  static const struct {
    const char *bytes;
    size_t n;
    cr_dtype dtype;
    double want[2];
  } cases[] = {
#define CASE(type, numbers, dtype, a, b)                                                                                    \
  {                                                                                                                         \
    NPY(type, "False", "(2,)   ", numbers), sizeof NPY(type, "False", "(2,)   ", numbers) - 1, dtype, { a, b }              \
  }
      CASE("<f2", "\x00\x3E\x01\x80", CR_FLOAT32, 1.5, -0x1p-24),
      CASE(">f4", "\xC0\x20\0\0\x3F\x80\0\0", CR_FLOAT32, -2.5, 1),
      CASE("<f8", "\0\0\0\0\0\0\xF0\x3F\0\0\0\0\0\0\0\xC0", CR_FLOAT64, 1, -2),
      CASE("|i1", "\xFF\x7F", CR_INT32, -1, 127),
      CASE(">i2", "\x80\x00\x00\x05", CR_INT32, -32768, 5),
      CASE("<u2", "\xFF\xFF\x05\x00", CR_INT32, 65535, 5),
      CASE("<u4", "\xFF\xFF\xFF\xFF\5\0\0\0", CR_INT64, 4294967295, 5),
      CASE("|b1", "\0\1", CR_BOOL, 0, 1),
      CASE("<i8", "\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\1\0\0\0\0\0\0\0", CR_INT64, -2, 1)};
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    cr_array a;
    parse_npy(&a, cases[k].bytes, cases[k].n);
    assert_numbers(&a, cases[k].dtype, 2, cases[k].want);
    cr_array_release(&a);
  }
  static const char columns[] = NPY("|u1", "True ", "(2, 3) ", "\1\4\2\5\3\6");
  cr_array a;
  parse_npy(&a, columns, sizeof columns - 1);
  assert_int_equal(a.dim[1], 3);
  assert_numbers(&a, CR_INT32, 6, (double[]){1, 2, 3, 4, 5, 6});
  cr_array_release(&a);
}

/* Of Python's safetensors: numbers of half precision, bfloat16 and bytes. */
static void foreign_safetensors_test(void **state) {
  (void)state;
  static const char bytes[] = "\xB8\0\0\0\0\0\0\0{\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]},\"h\":{"
                              "\"dtype\":\"F16\",\"shape\":[2,1],"
                              "\"data_offsets\":[4,8]},\"u\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[8,10]}}      "
                              "   \x80\x3F\x20\xC0\x00\x3C\x00\xFCxy";
  unsigned char copy[sizeof bytes];
  size_t header = strcspn(bytes + 8, "\x80");
  memcpy(copy, bytes, sizeof bytes);
  copy[0] = (unsigned char)header;
  cr_archive a;
  cr_problem p = {.status = CR_OK};
  assert_fine(cr__parse_safetensors(&a, &(cr__bytes){copy, sizeof bytes - 1}, "f", &p), &p);
  assert_numbers(cr_archive_find(&a, "b"), CR_FLOAT32, 2, (double[]){1, -2.5});
  assert_numbers(cr_archive_find(&a, "h"), CR_FLOAT32, 2, (double[]){1, -(double)INFINITY});
  assert_numbers(cr_archive_find(&a, "u"), CR_INT32, 2, (double[]){'x', 'y'});
  cr_archive_free(&a);
}

static void idx_test(void **state) {
  (void)state;
  static const struct {
    const char *bytes;
    size_t n;
    cr_dtype dtype;
    double want[2];
  } cases[] = {
#define IDX(code, numbers, dtype, a, b)                                                                                     \
  {                                                                                                                         \
    "\0\0" code "\1\0\0\0\2" numbers, sizeof "\0\0" code "\1\0\0\0\2" numbers - 1, dtype, { a, b }                          \
  }
      IDX("\x08", "\xFF\x01", CR_INT32, 255, 1),
      IDX("\x09", "\xFF\x01", CR_INT32, -1, 1),
      IDX("\x0B", "\xFF\xFE\0\1", CR_INT32, -2, 1),
      IDX("\x0C", "\0\1\0\0\xFF\xFF\xFF\xFF", CR_INT32, 65536, -1),
      IDX("\x0D", "\x3F\x80\0\0\xC0\x20\0\0", CR_FLOAT32, 1, -2.5),
      IDX("\x0E", "\x3F\xF0\0\0\0\0\0\0\xC0\0\0\0\0\0\0\0", CR_FLOAT64, 1, -2)};
  for (size_t k = 0; k < 2 * sizeof cases / sizeof *cases; k++) {
    cr_array a;
    cr_problem p = {.status = CR_OK};
    (k % 2 ? put_gzip : put_file)("a.idx", cases[k / 2].bytes, cases[k / 2].n);
    assert_fine(cr_read_idx(&a, "a.idx", &p), &p);
    assert_numbers(&a, cases[k / 2].dtype, 2, cases[k / 2].want);
    cr_array_release(&a);
  }
  unsigned char bytes[100];
  cr_array a;
  cr_problem p = {.status = CR_OK};
  size_t n = get_file(bytes, sizeof bytes, "a.idx");
  char want[100];
  put_file("a.idx", bytes, n - 9);
  snprintf(want, sizeof want, "a.idx: offset %zu: cannot be read: the compressed data are cut off", n - 9);
  assert_refused(cr_read_idx(&a, "a.idx", &p), &p, want);
  bytes[n - 8] ^= 1;
  put_file("a.idx", bytes, n);
  p.status = CR_OK;
  assert_int_not_equal(cr_read_idx(&a, "a.idx", &p), CR_OK);
  assert_non_null(strstr(p.text, ": cannot be read: incorrect data check"));
  remove("a.idx");
}

int main(int argc, char **argv) {
  (void)argc;
  (void)argv;
  const struct CMUnitTest tests[] = {cmocka_unit_test(arrays_test),
                                     cmocka_unit_test(npy_round_test),
                                     cmocka_unit_test(npz_round_test),
                                     cmocka_unit_test(safetensors_round_test),
                                     cmocka_unit_test(damaged_archives_test),
                                     cmocka_unit_test(full_disk_test),
                                     cmocka_unit_test(damaged_test),
                                     cmocka_unit_test(npy_dtypes_test),
                                     cmocka_unit_test(foreign_safetensors_test),
                                     cmocka_unit_test(idx_test)};
  return cmocka_run_group_tests(tests, open_folder, close_folder);
}
