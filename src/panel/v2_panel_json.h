/* Lenient access to what panels send: numbers as text, text as numbers, null
 * for anything, [] for an empty object. Two readers: over a jansson tree for
 * small answers, and a scanner over the bytes for long lists, which allocates
 * nothing. */

#ifndef V2_PANEL_JSON_H
#define V2_PANEL_JSON_H

#include <jansson.h>

/* --- trees --- */

/* Parses a whole answer that must be an object; a BOM in front is skipped.
 * NULL: one line in why. */
json_t      *v2_json_parse(const char *body, size_t len, char *why,
    size_t size);

/* NULL, JSON null, "", [] and {} count as nothing. */
int          v2_json_none(const json_t *v);
/* The first of both names that is something, or NULL. */
json_t      *v2_json_either(const json_t *o, const char *a, const char *b);
/* Integer, whole real, text of digits, true or false. V2_ERROR: none of them;
 * *out is left alone. */
v2_int_t     v2_json_int(const json_t *v, int64_t *out);
/* Text, or a number written into out. Lower case if asked. V2_ERROR: neither,
 * or too long for size; V2_DONE: nothing there, out is "". */
v2_int_t     v2_json_text(const json_t *v, char *out, size_t size,
    int lower);
int          v2_json_true(const json_t *v);

/* Does an answer say that the panel refused, whatever its status: `status`
 * fail, `ret` 0, `data` false? */
int          v2_json_fail(const json_t *o);
/* The panel's own message of a body (JSON message or msg, a page's title, or
 * its first bytes), cleaned, secret masked. Returns out. */
char        *v2_json_message(const char *body, size_t len,
    const char *secret, char *out, size_t size);

/* --- scanner --- */

typedef enum {
    V2_JS_NULL, V2_JS_TRUE, V2_JS_FALSE, V2_JS_NUMBER, V2_JS_STRING,
    V2_JS_ARRAY, V2_JS_OBJECT
} v2_js_e;

typedef struct {
    v2_js_e        kind;
    const char    *text;        /* strings: without the quotes */
    size_t         len;
    unsigned       escaped:1;   /* a string with a backslash in it */
} v2_js_val_t;

typedef struct {
    const char    *p, *end;
    unsigned       first:1;     /* no comma before the next one */
} v2_js_t;

void      v2_js_init(v2_js_t *js, const char *data, size_t len);
/* Takes one whole value and checks its form (nesting at most 32). */
v2_int_t  v2_js_value(v2_js_t *js, v2_js_val_t *v);
/* Only blanks follow. */
int       v2_js_end(v2_js_t *js);
/* Steps into the array or object that begins here: V2_OK, or V2_DECLINED
 * when another thing does (nothing is taken). */
v2_int_t  v2_js_enter(v2_js_t *js, char open);
/* Before each element of an array: V2_OK one follows, V2_DONE the end was
 * taken, V2_ERROR. */
v2_int_t  v2_js_next(v2_js_t *js, char close);
/* A member's name and the colon, after v2_js_next. */
v2_int_t  v2_js_key(v2_js_t *js, v2_js_val_t *key);
/* One member: V2_OK, V2_DONE, V2_ERROR. */
v2_int_t  v2_js_member(v2_js_t *js, v2_js_val_t *key, v2_js_val_t *v);

/* A number of at least 0, or text of digits; null counts as 0. */
v2_int_t  v2_js_uint(const v2_js_val_t *v, uint64_t *out);
/* A string unescaped, or a number as it stands, zero-terminated. */
v2_int_t  v2_js_text(const v2_js_val_t *v, char *out, size_t size);
int       v2_js_is(const v2_js_val_t *key, const char *name);

#endif
