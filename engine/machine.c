/* Registers, places in memory, and the bytes of x86-64 instructions: those of AVX, of three operands, on one number. What
 * costs time is to fetch them, so the shortest are chosen. */
#define _DEFAULT_SOURCE 1
#include "machine.h"

#if CR__HAVE_MACHINE
#include <sys/mman.h>

/* Writing lines */

static uint32_t add_line(cr__machine *m, cr__m_line line) {
  if (m->n == m->capacity && !m->failed) {
    uint32_t more = m->capacity ? 2 * m->capacity : 1024;
    cr__m_line *grown = cr__resize_on(m->t, m->line, m->capacity * sizeof *grown, more * sizeof *grown);
    if (grown) m->line = grown, m->capacity = more;
    else m->failed = true;
  }
  if (m->failed) return 0;
  m->line[m->n] = line;
  return m->n++;
}

uint32_t cr__m_load(cr__machine *m, cr__m_place place, uint32_t at) {
  return add_line(m, (cr__m_line){.kind = CR__M_LOAD, .place = (unsigned char)place, .at = at});
}

/* The pool begins with the masks of the sign and of all else. */
static const uint64_t masks[4] = {(uint64_t)1 << 63, 0, ~((uint64_t)1 << 63), 0};
enum { SIGN = 0, REST = 2, MASKS = 4 };

static uint32_t pooled(cr__machine *m, const void *bits) {
  if (m->n_pool < MASKS) m->n_pool = MASKS;
  for (uint32_t k = MASKS; k < m->n_pool; k++)
    if (!memcmp(&m->pool[k], bits, sizeof *m->pool)) return k;
  if (m->n_pool == CR__POOL) return m->failed = true, 0;
  memcpy(&m->pool[m->n_pool], bits, sizeof *m->pool);
  return m->n_pool++;
}

uint32_t cr__m_number(cr__machine *m, double x) { return cr__m_load(m, CR__IN_POOL, pooled(m, &x)); }

uint32_t cr__m_op(cr__machine *m, cr__m_kind kind, uint32_t a, uint32_t b) {
  int n = kind == CR__M_SQRT || kind == CR__M_NEG || kind == CR__M_ABS ? 1 : 2;
  return add_line(m, (cr__m_line){.kind = (unsigned char)kind, .n = (unsigned char)n, .in = {a, b}});
}

uint32_t cr__m_call(cr__machine *m, void (*function)(void), int n, const uint32_t *in) {
  _Static_assert(sizeof function == sizeof *m->pool, "addresses are as large as numbers");
  cr__m_line line = {.kind = CR__M_CALL, .n = (unsigned char)n, .at = pooled(m, &function)};
  for (int k = 0; k < n; k++) line.in[k] = in[k];
  return add_line(m, line);
}

void cr__m_store(cr__machine *m, uint32_t value, cr__m_place place, uint32_t at) {
  add_line(m, (cr__m_line){.kind = CR__M_STORE, .n = 1, .place = (unsigned char)place, .at = at, .in = {value}});
}

void cr__m_free(cr__machine *m) { cr__resize(&m->t->counted, m->line, m->capacity * sizeof *m->line, 0); }

/* Where values are */

/* Those below the first are for operands of calls, their results, masks. */
enum { FIRST_REGISTER = 3, REGISTERS = 16, NO_REGISTER = -1, BASES = 2 };

typedef struct value {
  uint32_t next;             /* the line that reads it next, CR__NO_VALUE: none */
  uint32_t at;               /* in the place */
  signed char reg;
  unsigned char place;       /* CR__NO_PLACE: it is in a register only */
} value;

typedef struct encoding {
  cr__machine *m;
  value *value;
  uint32_t (*after)[CR__M_OPERANDS]; /* by line and operand: the line that reads that value next */
  uint64_t *taken;           /* places of the space, as bits */
  uint32_t lowest, space;    /* no word below lowest has a free one */
  uint32_t holds[REGISTERS], until[REGISTERS]; /* values, and the lines that read them next */
  int64_t base[BASES], far[BASES]; /* where in the space these are, and the latest number that was out of their reach */
  unsigned char *at, *start, *pool, *fetched;
} encoding;

/* Bytes */

static void put(encoding *e, unsigned byte) { *e->at++ = (unsigned char)byte; }

static void put_int(encoding *e, int32_t x) {
  memcpy(e->at, &x, sizeof x);
  e->at += sizeof x;
}

typedef enum prefix { NONE = 0, DOUBLE = 3 } prefix;
enum {
  MOVE = 0x10, STORE = 0x11, COPY = 0x28, SQRT = 0x51, AND = 0x54, XOR = 0x57, ADD = 0x58, MUL = 0x59, SUB = 0x5C,
  DIV = 0x5E, COMPARE = 0xC2, NOT_EQUAL = 4
};
/* rbp, rbx: bases in the space; r13: slots, r14: ends. Numbers up to NEAR bytes from a base have the shorter address. */
enum { RBX = 3, RBP = 5, R13 = 13, R14 = 14, NEAR = 128, CLOSE = 64 };

/* reg = with op ...; of operations that have one operand less, with is 0. */
static void put_op(encoding *e, prefix p, unsigned op, int reg, int with, int base) {
  const unsigned high = reg < 8 ? 0x80 : 0, rest = (~(unsigned)with & 15) << 3 | p;
  if (base < 8) put(e, 0xC5), put(e, high | rest);
  else put(e, 0xC4), put(e, high | 0x41), put(e, rest);
  put(e, op);
}

static void op_register(encoding *e, prefix p, unsigned op, int reg, int with, int from) {
  put_op(e, p, op, reg, with, from);
  put(e, 0xC0 | ((unsigned)reg & 7) << 3 | ((unsigned)from & 7));
}

/* tail: bytes of the instruction that follow the address. */
static void op_pool(encoding *e, prefix p, unsigned op, int reg, int with, uint32_t at, int tail) {
  put_op(e, p, op, reg, with, 0);
  put(e, ((unsigned)reg & 7) << 3 | 5);
  put_int(e, (int32_t)(e->pool + 8 * (size_t)at - (e->at + 4 + tail)));
}

static bool is_near(int64_t distance) { return distance >= -NEAR && distance < NEAR; }

/* Adds to a base. */
static void move_base(encoding *e, int k, int64_t to) {
  const int64_t distance = to - e->base[k];
  put(e, 0x48), put(e, is_near(distance) ? 0x83 : 0x81), put(e, 0xC0 | (k ? RBX : RBP));
  if (is_near(distance)) put(e, (unsigned)distance & 0xFF);
  else put_int(e, (int32_t)distance);
  e->base[k] = to;
}

/* The base for a number of the space. One follows the loads, one the stores: where two in turn are out of reach and close
 * together, it moves, ahead of them. */
static int find_base(encoding *e, int64_t at, int stores) {
  for (int k = 0; k < BASES; k++)
    if (is_near(at - e->base[k])) return k;
  const int64_t step = at - e->far[stores];
  if (step >= -CLOSE && step <= CLOSE) move_base(e, stores, at + (step < 0 ? -CLOSE : CLOSE));
  e->far[stores] = at;
  return stores;
}

static void op_memory(encoding *e, prefix p, unsigned op, int reg, int with, const value *v, int tail) {
  int base = v->place == CR__IN_SLOTS ? R13 : R14;
  int64_t distance = 8 * (int64_t)v->at;
  if (v->place == CR__IN_POOL) {
    op_pool(e, p, op, reg, with, v->at, tail);
    return;
  }
  if (v->place == CR__IN_SPACE) {
    int k = find_base(e, distance, op == STORE);
    base = k ? RBX : RBP, distance -= e->base[k];
  }
  put_op(e, p, op, reg, with, base);
  put(e, (is_near(distance) ? 0x40u : 0x80u) | ((unsigned)reg & 7) << 3 | ((unsigned)base & 7));
  if (is_near(distance)) put(e, (unsigned)distance & 0xFF);
  else put_int(e, (int32_t)distance);
}

static void op_value(encoding *e, prefix p, unsigned op, int reg, int with, const value *v, int tail) {
  if (v->reg != NO_REGISTER) op_register(e, p, op, reg, with, v->reg);
  else op_memory(e, p, op, reg, with, v, tail);
}

static void move(encoding *e, int reg, const value *v) {
  if (v->reg == NO_REGISTER) op_memory(e, DOUBLE, MOVE, reg, 0, v, 0);
  else if (v->reg != reg) op_register(e, NONE, COPY, reg, 0, v->reg);
}

/* Places and registers */

static uint32_t take_place(encoding *e) {
  while (!~e->taken[e->lowest]) e->lowest++;
  uint32_t bit = (uint32_t)__builtin_ctzll(~e->taken[e->lowest]), at = 64 * e->lowest + bit;
  e->taken[e->lowest] |= (uint64_t)1 << bit;
  if (at >= e->space) e->space = at + 1;
  return at;
}

static void save(encoding *e, value *v) {
  if (v->place != CR__NO_PLACE) return;
  v->place = CR__IN_SPACE;
  v->at = take_place(e);
  op_memory(e, DOUBLE, STORE, v->reg, 0, v, 0);
}

static void leave_register(encoding *e, value *v) {
  if (v->reg != NO_REGISTER) e->holds[v->reg] = CR__NO_VALUE;
  v->reg = NO_REGISTER;
}

/* A register free now, other than those two; that of the value that is read last, if all are taken. */
static int take_register(encoding *e, int but, int nor) {
  int best = NO_REGISTER;
  for (int r = FIRST_REGISTER; r < REGISTERS; r++) {
    if (e->holds[r] == CR__NO_VALUE) return r;
    if (r == but || r == nor) continue;
    if (best == NO_REGISTER || e->until[r] > e->until[best]) best = r;
  }
  value *v = &e->value[e->holds[best]];
  save(e, v);
  leave_register(e, v);
  return best;
}

/* Operand k of the line was read. */
static void consume(encoding *e, uint32_t line, int k) {
  value *v = &e->value[e->m->line[line].in[k]];
  v->next = e->after[line][k];
  if (v->reg != NO_REGISTER) e->until[v->reg] = v->next;
  if (v->next != CR__NO_VALUE) return;
  leave_register(e, v);
  if (v->place != CR__IN_SPACE) return;
  e->taken[v->at / 64] &= ~((uint64_t)1 << v->at % 64);
  if (v->at / 64 < e->lowest) e->lowest = v->at / 64;
  v->place = CR__NO_PLACE;
}

static void define(encoding *e, uint32_t line, int reg) {
  e->value[line].reg = (signed char)reg;
  e->holds[reg] = line, e->until[reg] = e->value[line].next;
}

/* Instructions */

static const unsigned char code_of[] = {[CR__M_ADD] = ADD, [CR__M_SUB] = SUB, [CR__M_MUL] = MUL, [CR__M_GUARDED] = MUL,
                                        [CR__M_DIV] = DIV, [CR__M_SQRT] = SQRT};

/* Operand k in a register: its own, or a new one. */
static int in_register(encoding *e, uint32_t line, int k) {
  const cr__m_line *l = &e->m->line[line];
  const value *a = &e->value[l->in[k]];
  if (a->reg != NO_REGISTER) return a->reg;
  int reg = take_register(e, NO_REGISTER, l->n > 1 ? e->value[l->in[1 - k]].reg : NO_REGISTER);
  move(e, reg, a);
  return reg;
}

static bool dies(const encoding *e, uint32_t line, int k) {
  return e->value[e->m->line[line].in[k]].reg != NO_REGISTER && e->after[line][k] == CR__NO_VALUE;
}

/* For the result of what reads operand k in reg: that, or the other's, if nobody reads it any more. */
static int result_register(encoding *e, uint32_t line, int k, int reg) {
  const cr__m_line *l = &e->m->line[line];
  if (e->value[l->in[k]].reg != reg || dies(e, line, k)) return reg;
  if (l->n < 2) return take_register(e, reg, reg);
  int other = e->value[l->in[1 - k]].reg;
  return dies(e, line, 1 - k) ? other : take_register(e, reg, other);
}

static void put_binary(encoding *e, uint32_t line) {
  const cr__m_line *l = &e->m->line[line];
  const value *a = &e->value[l->in[0]], *b = &e->value[l->in[1]];
  const bool either = l->kind == CR__M_ADD || l->kind == CR__M_MUL;
  /* what need not be in a register, or is in one of the first, comes second */
  const int first = either && b->reg != NO_REGISTER && (a->reg == NO_REGISTER || (a->reg < 8 && b->reg >= 8));
  const value *second = first ? a : b;
  if (l->kind == CR__M_GUARDED) {
    op_register(e, NONE, XOR, 1, 1, 1);
    op_value(e, DOUBLE, COMPARE, 1, 1, a, 1);
    put(e, NOT_EQUAL); /* or no number */
  }
  int from = in_register(e, line, first), reg = result_register(e, line, first, from);
  op_value(e, DOUBLE, code_of[l->kind], reg, from, second, 0);
  if (l->kind == CR__M_GUARDED) op_register(e, NONE, AND, reg, reg, 1);
  consume(e, line, 0), consume(e, line, 1);
  define(e, line, reg);
}

static void put_unary(encoding *e, uint32_t line) {
  const cr__m_line *l = &e->m->line[line];
  int from = in_register(e, line, 0), reg = result_register(e, line, 0, from);
  if (l->kind == CR__M_SQRT) op_register(e, DOUBLE, SQRT, reg, from, from);
  else op_pool(e, NONE, l->kind == CR__M_NEG ? XOR : AND, reg, from, l->kind == CR__M_NEG ? SIGN : REST, 0);
  consume(e, line, 0);
  define(e, line, reg);
}

static void put_bytes(encoding *e, const char *bytes, size_t n) {
  memcpy(e->at, bytes, n);
  e->at += n;
}

/* Calls that name an address which they do not hold are forgotten by the processor when there are ten thousands of them, and
 * then wait for it. So each names one near by: the function, or a jump to it at the beginning of the code. */
enum { JUMP = 8 };

static void put_jumps(encoding *e) {
  for (uint32_t k = 0; k < e->m->n_pool; k++) {
    put(e, 0xFF), put(e, 0x25); /* jmp [rip + ...] */
    put_int(e, (int32_t)(e->pool + 8 * (size_t)k - (e->at + 4)));
    put_bytes(e, "\x66\x90", 2);
  }
}

static void put_near_call(encoding *e, uint32_t function) {
  uintptr_t target, next = (uintptr_t)e->at + 5;
  memcpy(&target, &e->m->pool[function], sizeof target);
  intptr_t distance = (intptr_t)(target - next);
  if (distance < INT32_MIN || distance > INT32_MAX) distance = e->start + JUMP * (size_t)function - (e->at + 5);
  put(e, 0xE8);
  put_int(e, (int32_t)distance);
}

/* A function may change every register. */
static void put_call(encoding *e, uint32_t line) {
  const cr__m_line *l = &e->m->line[line];
  for (int k = 0; k < l->n; k++) move(e, k, &e->value[l->in[k]]);
  for (int k = 0; k < l->n; k++) consume(e, line, k);
  for (int r = FIRST_REGISTER; r < REGISTERS; r++)
    if (e->holds[r] != CR__NO_VALUE) save(e, &e->value[e->holds[r]]), leave_register(e, &e->value[e->holds[r]]);
  put_near_call(e, l->at);
  op_register(e, NONE, COPY, FIRST_REGISTER, 0, 0);
  define(e, line, FIRST_REGISTER);
}

static void put_store(encoding *e, uint32_t line) {
  const cr__m_line *l = &e->m->line[line];
  value *v = &e->value[l->in[0]], to = {.place = l->place, .at = l->at};
  int reg = v->reg == NO_REGISTER ? 0 : v->reg;
  if (!reg) move(e, reg, v);
  op_memory(e, DOUBLE, STORE, reg, 0, &to, 0);
  if (v->place == CR__NO_PLACE) v->place = l->place, v->at = l->at; /* it can be read there */
  consume(e, line, 0);
}

/* Code that the second cache does not hold would come from the third as it is needed, line by line: it is fetched ahead, by
 * pairs of lines. */
enum { LONG = 50000, AHEAD = 8192, CACHE_LINES = 128 };

static void put_fetches(encoding *e) {
  while (e->m->n >= LONG && e->at >= e->fetched) {
    put(e, 0x0F), put(e, 0x18), put(e, 0x15); /* prefetcht1 */
    put_int(e, AHEAD);
    e->fetched += CACHE_LINES;
  }
}

static void put_lines(encoding *e) {
  static const char enter[] = "\xF3\x0F\x1E\xFA"             /* endbr64 */
                              "\x55\x53\x41\x55\x41\x56"     /* push rbp, rbx, r13, r14 */
                              "\x48\x83\xEC\x08"             /* sub rsp, 8: the stack stays aligned at calls */
                              "\x49\x89\xFD\x49\x89\xD6"     /* mov r13, rdi; mov r14, rdx */
                              "\x48\x89\xF5\x48\x89\xF3"     /* mov rbp, rsi; mov rbx, rsi */;
  static const char leave[] = "\x48\x83\xC4\x08\x41\x5E\x41\x5D\x5B\x5D\xC3";
  put_bytes(e, enter, sizeof enter - 1);
  for (uint32_t k = 0; k < e->m->n; k++) {
    const cr__m_line *l = &e->m->line[k];
    put_fetches(e);
    switch (l->kind) {
      case CR__M_DEAD: break;
      case CR__M_LOAD: e->value[k].place = l->place, e->value[k].at = l->at; break;
      case CR__M_STORE: put_store(e, k); break;
      case CR__M_SQRT: case CR__M_NEG: case CR__M_ABS: put_unary(e, k); break;
      case CR__M_CALL: put_call(e, k); break;
      default: put_binary(e, k);
    }
  }
  put_bytes(e, leave, sizeof leave - 1);
}

/* Which lines are read, and where next. */
static void find_uses(encoding *e) {
  const cr__machine *m = e->m;
  for (uint32_t k = 0; k < m->n; k++) e->value[k] = (value){.next = CR__NO_VALUE, .reg = NO_REGISTER};
  for (uint32_t k = m->n; k-- > 0;) {
    cr__m_line *l = &m->line[k];
    if (l->kind != CR__M_STORE && e->value[k].next == CR__NO_VALUE) l->kind = CR__M_DEAD;
    if (l->kind == CR__M_DEAD) continue;
    for (int i = 0; i < l->n; i++) e->after[k][i] = e->value[l->in[i]].next;
    for (int i = 0; i < l->n; i++) e->value[l->in[i]].next = k;
  }
}

/* Memory for code: a header, the pool, the instructions */

typedef struct header {
  void *next;
  size_t bytes;
  double pool[CR__POOL];
} header;

/* Bytes of a line with what it saves and fetches, and of the ends; room is given back by pages. */
enum { LONGEST = 96, AROUND = 128, PAGE = 4096, LARGE = 16 << 20 };

static bool encode(encoding *e, void **codes, cr__machine_code *code) {
  size_t bytes = sizeof(header) + CR__POOL * JUMP + AROUND + (size_t)e->m->n * LONGEST;
  header *h = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (h == MAP_FAILED) return false;
#ifdef MADV_HUGEPAGE
  if (bytes >= LARGE) madvise(h, bytes, MADV_HUGEPAGE); /* fewer addresses to look up */
#endif
  e->pool = (unsigned char *)h->pool;
  e->at = e->start = e->fetched = (unsigned char *)(h + 1);
  put_jumps(e);
  unsigned char *entry = e->at;
  put_lines(e);
  size_t used = ((size_t)(e->at - (unsigned char *)h) + PAGE - 1) / PAGE * PAGE;
  *h = (header){.next = *codes, .bytes = bytes};
  memcpy(h->pool, e->m->pool, sizeof h->pool);
  memcpy(h->pool, masks, sizeof masks);
  if (used < bytes && !munmap((char *)h + used, bytes - used)) h->bytes = used;
  if (mprotect(h, h->bytes, PROT_READ | PROT_EXEC)) return munmap(h, h->bytes), false;
  memcpy(code, &entry, sizeof *code);
  *codes = h;
  e->m->space = e->space;
  return true;
}

bool cr__m_finish(cr__machine *m, cr__machine_code *code, void **codes) {
  size_t words = m->n / 64 + 1, bytes = m->n * (sizeof(value) + sizeof(uint32_t[CR__M_OPERANDS])) + words * sizeof(uint64_t);
  char *memory = m->failed || !__builtin_cpu_supports("avx") ? NULL : cr__resize_on(m->t, NULL, 0, bytes);
  encoding e = {.m = m};
  bool good = false;
  if (memory) {
    e.taken = (uint64_t *)(void *)memory;
    e.value = (value *)(void *)(e.taken + words);
    e.after = (uint32_t(*)[CR__M_OPERANDS])(void *)(e.value + m->n);
    memset(e.taken, 0, words * sizeof *e.taken);
    for (int r = 0; r < REGISTERS; r++) e.holds[r] = CR__NO_VALUE;
    find_uses(&e);
    good = encode(&e, codes, code);
    cr__resize(&m->t->counted, memory, bytes, 0);
  }
  m->n = 0, m->failed = false;
  return good;
}

void cr__free_codes(void *codes) {
  for (header *h = codes, *next; h; h = next) {
    next = h->next;
    munmap(h, h->bytes);
  }
}
#else
void cr__free_codes(void *codes) { (void)codes; }
#endif
