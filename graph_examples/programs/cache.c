/* chainrule cache: the functions that were compiled and kept. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jit.h>

#include "captured.h"
#include "command.h"

bool cache_folder(char *folder, size_t size) {
  const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  bool own = base && *base == '/';
  int n =
      own ? snprintf(folder, size, "%s/chainrule", base) : snprintf(folder, size, "%s/.cache/chainrule", home ? home : "");
  if ((own || (home && *home)) && n > 0 && (size_t)n < size) return true;
  complain("there is no folder for the cache: neither XDG_CACHE_HOME nor HOME is set");
  return false;
}

typedef struct listing {
  json_t *entries; /* NULL: as text */
  int64_t bytes;
  int n;
} listing;

static void put_age(double seconds) {
  static const struct {
    double length;
    const char *name;
  } units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {0, "second"}};
  int k = 0;
  while (seconds < units[k].length) k++;
  double count = floor(seconds / (units[k].length > 0 ? units[k].length : 1));
  printf("%.0f %s%s ago\n", count, units[k].name, count == 1 ? "" : "s");
}

static void visit(void *user, const cr_jit_entry *e) {
  listing *l = user;
  double age = difftime(time(NULL), (time_t)e->used);
  l->bytes += e->bytes;
  if (l->entries) {
    json_array_append_new(l->entries,
                          json_pack("{s:s, s:I, s:f}", "key", e->key, "bytes", (json_int_t)e->bytes, "age", age));
    return;
  }
  if (!l->n++) printf("key                                 bytes  last used\n");
  printf("%s %8lld  ", e->key, (long long)e->bytes);
  put_age(age > 0 ? age : 0);
}

static int clear(const context *c, const char *folder) {
  char note[400];
  int n = cr_jit_cache_clear(folder, note, sizeof note);
  if (n < 0) return complain("%s", note);
  if (has(c, OPT_JSON)) return put_json(stdout, json_pack("{s:s, s:i}", "folder", folder, "removed", n));
  printf("%s: %d %s removed\n", folder, n, n == 1 ? "entry" : "entries");
  return STATUS_GOOD;
}

int verb_cache(context *c) {
  char folder[1000], note[400];
  listing l = {.entries = NULL};
  if (c->n_arguments || c->n_assignments) return complain("cache takes no arguments"), STATUS_USAGE;
  if (!cache_folder(folder, sizeof folder)) return STATUS_USAGE;
  if (has(c, OPT_CLEAR)) return clear(c, folder);
  if (has(c, OPT_JSON)) l.entries = json_array();
  int n = cr_jit_cache_list(folder, visit, &l, note, sizeof note);
  if (n < 0) {
    json_decref(l.entries);
    return complain("%s", note);
  }
  if (l.entries)
    return put_json(stdout,
                    json_pack("{s:s, s:I, s:o}", "folder", folder, "bytes", (json_int_t)l.bytes, "entries", l.entries));
  printf("%s: %d %s, %lld bytes\n", folder, n, n == 1 ? "entry" : "entries", (long long)l.bytes);
  return STATUS_GOOD;
}
