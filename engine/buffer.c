/* Growing text, and numbers to and from text in every locale alike. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "language.h"

static bool reserve(cr_buffer *b, size_t more) {
  if (b->failed) return false;
  size_t need = b->length + more + 1;
  if (need <= b->capacity) return true;
  size_t capacity = b->capacity ? b->capacity : 256;
  while (capacity < need) capacity *= 2;
  char *text = cr__resize_on(b->tape, b->text, b->capacity, capacity);
  b->failed = !text;
  if (!text) return false;
  b->text = text;
  b->capacity = capacity;
  b->text[b->length] = 0;
  return true;
}

void cr__put_bytes(cr_buffer *b, const char *bytes, size_t n) {
  if (!reserve(b, n)) return;
  memcpy(b->text + b->length, bytes, n);
  b->length += n;
  b->text[b->length] = 0;
}

void cr_put(cr_buffer *b, const char *format, ...) {
  char text[128];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (n < 0) return;
  if ((size_t)n < sizeof text) {
    cr__put_bytes(b, text, (size_t)n);
    return;
  }
  if (!reserve(b, (size_t)n)) return;
  va_start(args, format);
  vsnprintf(b->text + b->length, b->capacity - b->length, format, args);
  va_end(args);
  b->length += (size_t)n;
}

void cr_buffer_free(cr_buffer *b) {
  if (b->text) cr__resize_on(b->tape, b->text, b->capacity, 0);
  *b = (cr_buffer){.tape = b->tape};
}

/* 768 significant digits decide every double; what comes after can only say that the number is a little larger. */
enum { MAX_DIGITS = 780, MAX_EXPONENT = 99999 };

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static size_t scan_exponent(const char *s, size_t length, int64_t *exponent) {
  size_t i = 1;
  if (!length || (*s != 'e' && *s != 'E')) return 0;
  bool negative = length > 1 && s[1] == '-';
  if (length > 1 && (s[1] == '-' || s[1] == '+')) i++;
  if (i == length || !is_digit(s[i])) return 0;
  int64_t e = 0;
  for (; i < length && is_digit(s[i]); i++)
    if (e < MAX_EXPONENT) e = e * 10 + (s[i] - '0');
  *exponent += negative ? -e : e;
  return i;
}

/* digits * 10^exponent, exactly rounded: strtod never meets a decimal point, so no locale matters. */
static double decimal_value(char *digits, size_t n, int64_t exponent) {
  static const double ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                               1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  if (!n) return 0;
  if (n <= 15 && exponent >= -22 && exponent <= 22) {
    int64_t whole = 0;
    for (size_t i = 0; i < n; i++) whole = whole * 10 + (digits[i] - '0');
    return exponent < 0 ? (double)whole / ten[-exponent] : (double)whole * ten[exponent];
  }
  snprintf(digits + n, 24, "e%lld", (long long)exponent);
  return strtod(digits, NULL);
}

size_t cr__scan_number(const char *s, size_t length, double *value, int *integral) {
  char digits[MAX_DIGITS + 24];
  size_t i = 0, n = 0;
  int64_t exponent = 0;
  bool point = false;
  for (; i < length && (is_digit(s[i]) || (s[i] == '.' && !point)); i++) {
    if (s[i] == '.') {
      point = true;
    } else if (n == MAX_DIGITS) {
      exponent += !point;
      if (s[i] != '0' && digits[n - 1] == '0') digits[n - 1] = '1';
    } else {
      exponent -= point;
      if (n || s[i] != '0') digits[n++] = s[i];
    }
  }
  size_t tail = scan_exponent(s + i, length - i, &exponent);
  *value = decimal_value(digits, n, exponent);
  *integral = !point && !tail && *value <= 9007199254740992.0;
  return i + tail;
}

/* The n significant digits of x > 0, without trailing zeros, and its decimal exponent; returns how many are left. */
static int significant(double x, int n, char *digits, int *exponent) {
  char text[64];
  int count = 0;
  snprintf(text, sizeof text, "%.*e", n - 1, x);
  const char *s = text;
  for (; *s && *s != 'e'; s++)
    if (is_digit(*s)) digits[count++] = *s;
  *exponent = *s ? (int)strtol(s + 1, NULL, 10) : 0;
  while (count > 1 && digits[count - 1] == '0') count--;
  return count;
}

static void put_decimal(char *text, const char *digits, int n, int exponent, int widest) {
  if (exponent < -4 || exponent >= widest) {
    *text++ = digits[0];
    if (n > 1) *text++ = '.';
    memcpy(text, digits + 1, (size_t)n - 1);
    sprintf(text + n - 1, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent) % 1000);
    return;
  }
  int before = exponent < 0 ? 0 : exponent + 1; /* digits before the point */
  if (!before) *text++ = '0';
  for (int k = 0; k < before; k++) *text++ = k < n ? digits[k] : '0';
  if (n > before) *text++ = '.';
  for (int k = exponent + 1; k < 0; k++) *text++ = '0';
  for (int k = before; k < n; k++) *text++ = digits[k];
  *text = 0;
}

const char *cr_number_text(double x, int digits, char *text) {
  char found[40];
  int exponent = 0, n = 0, whole;
  if (isnan(x)) return strcpy(text, "nan");
  if (isinf(x)) return strcpy(text, x > 0 ? "inf" : "-inf");
  char *start = text;
  if (signbit(x)) *start++ = '-';
  if (x == 0) return strcpy(start, "0"), text;
  double size = fabs(x), back;
  if (digits > 0) {
    if (digits > 17) digits = 17;
    n = significant(size, digits, found, &exponent);
    put_decimal(start, found, n, exponent, digits);
    return text;
  }
  for (int try = size < 2.2250738585072014e-308 ? 1 : 15; try <= 17; try++) {
    n = significant(size, try, found, &exponent);
    put_decimal(start, found, n, exponent, 16);
    cr__scan_number(start, strlen(start), &back, &whole);
    if (back == size) break;
  }
  return text;
}

const char *cr_syntax_error_text(const cr_syntax_error *e, const char *source, size_t length, char *text, size_t size) {
  size_t at = e->at < length ? e->at : length, from = at, to = at;
  while (from && source[from - 1] != '\n') from--;
  while (to < length && source[to] != '\n' && source[to] != '\r') to++;
  size_t first = from, last = to; /* of a long line, what is near the place */
  if (last - first > 160 && at - first > 60) from = at - 60;
  if (last - first > 160 && last - at > 60) to = at + 60;
  while (from > first && ((unsigned char)source[from] & 0xC0) == 0x80) from--;
  while (to > at && to < last && ((unsigned char)source[to] & 0xC0) == 0x80) to--;
  int n = snprintf(text, size, "line %u, column %u: %s\n  %.*s\n  ", e->line, e->column, e->message, (int)(to - from),
                   source + from);
  size_t end = n < 0 ? 0 : (size_t)n;
  for (size_t i = from; i < at && end + 2 < size; i++)
    if (((unsigned char)source[i] & 0xC0) != 0x80) text[end++] = source[i] == '\t' ? '\t' : ' ';
  if (end + 1 < size) memcpy(text + end, "^", 2);
  return text;
}
