/* Numbers as files hold them: any width and byte order to an array and back, and decimal text. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "readers.h"

bool cr__is_big_endian(void) {
  const uint16_t one = 1;
  return !*(const unsigned char *)&one;
}

uint64_t cr__word(const unsigned char *b, int size, bool big) {
  uint64_t word = 0;
  for (int k = 0; k < size; k++) word = word << 8 | b[big ? k : size - 1 - k];
  return word;
}

cr_dtype cr__dtype_for(cr__coding c) {
  if (c.kind == 'b') return CR_BOOL;
  if (c.kind == 'f' || c.kind == 'h') return c.size == 8 ? CR_FLOAT64 : CR_FLOAT32;
  return c.size == 8 || (c.kind == 'u' && c.size == 4) ? CR_INT64 : CR_INT32;
}

static float float_of_bits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* IEEE 754 binary16. */
static float half(uint32_t bits) {
  uint32_t exponent = bits >> 10 & 31, fraction = bits & 0x3FF;
  float size = exponent == 31 ? fraction ? (float)NAN : (float)INFINITY
               : exponent     ? ldexpf((float)(fraction | 0x400), (int)exponent - 25)
                              : ldexpf((float)fraction, -24);
  return bits & 0x8000 ? -size : size;
}

static void decode_one(cr_array *a, cr__coding c, uint64_t word, int64_t k) {
  uint64_t sign = c.kind == 'i' ? (uint64_t)1 << (8 * c.size - 1) : 0;
  switch (a->dtype) {
    case CR_BOOL:
      ((unsigned char *)a->data)[k] = word != 0;
      break;
    case CR_INT32:
      ((int32_t *)a->data)[k] = (int32_t)((word ^ sign) - sign);
      break;
    case CR_INT64:
      ((int64_t *)a->data)[k] = (int64_t)((word ^ sign) - sign);
      break;
    case CR_FLOAT32:
      ((float *)a->data)[k] = c.kind == 'h' ? float_of_bits((uint32_t)word << 16)
                              : c.size == 2 ? half((uint32_t)word)
                                            : float_of_bits((uint32_t)word);
      break;
    default:
      memcpy((double *)a->data + k, &word, sizeof word);
      break;
  }
}

int64_t cr__decode(cr_array *a, cr__coding c, const unsigned char *from) {
  bool same = (size_t)c.size == cr_dtype_size((cr_dtype)a->dtype) && c.kind != 'u' && c.kind != 'b';
  if (same && (c.size == 1 || c.big == cr__is_big_endian())) {
    memcpy(a->data, from, (size_t)a->count * (size_t)c.size);
    return -1;
  }
  for (int64_t k = 0; k < a->count; k++, from += c.size) {
    uint64_t word = cr__word(from, c.size, c.big);
    if (c.kind == 'u' && word > INT64_MAX) return k;
    decode_one(a, c, word, k);
  }
  return -1;
}

void cr__encode(unsigned char *to, const cr_array *a) {
  size_t size = cr_dtype_size((cr_dtype)a->dtype), bytes = (size_t)a->count * size;
  const unsigned char *from = a->data;
  if (!cr__is_big_endian()) {
    if (bytes) memcpy(to, from, bytes);
    return;
  }
  for (size_t at = 0; at < bytes; at++) to[at] = from[at - at % size + (size - 1 - at % size)];
}

/* Decimal text */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* digits * 10^exponent, exactly rounded: exact factors while both are small, else by strtod, which meets no decimal point
 * and so needs no locale. */
static double scaled(uint64_t digits, int n_digits, int exponent, const char *text) {
  static const double power[] = {1,    1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  if (n_digits <= 15 && exponent >= -22 && exponent <= 22)
    return exponent < 0 ? (double)digits / power[-exponent] : (double)digits * power[exponent];
  return strtod(text, NULL);
}

enum { LONGEST_NUMBER = 800 }; /* digits; no double needs more to be told from its neighbours */

bool cr__decimal(const char *s, char point, double *x) {
  char text[LONGEST_NUMBER + 32];
  uint64_t digits = 0;
  int n = 0, exponent = 0;
  bool negative = *s == '-', behind = false, any = false;
  for (s += *s == '-' || *s == '+'; is_digit(*s) || (*s == point && !behind); s++) {
    if (*s == point) {
      behind = true;
      continue;
    }
    any = true;
    exponent -= behind;
    if (n == 0 && *s == '0') continue;
    if (n == LONGEST_NUMBER) return false;
    digits = digits * 10 + (uint64_t)(*s - '0');
    text[n++] = *s;
  }
  if (any && (*s == 'e' || *s == 'E') && (is_digit(s[1]) || ((s[1] == '-' || s[1] == '+') && is_digit(s[2])))) {
    bool below = *++s == '-';
    int power = 0;
    for (s += !is_digit(*s); is_digit(*s); s++)
      if (power < 100000) power = power * 10 + (*s - '0');
    exponent += below ? -power : power;
  }
  if (!any || *s) return false;
  if (!n) text[n++] = '0';
  snprintf(text + n, 32, "e%d", exponent);
  double size = scaled(digits, n, exponent, text);
  *x = negative ? -size : size;
  return true;
}
