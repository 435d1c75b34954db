/* One value of the configuration on its way from JSON to its field and back.
 * What a type accepts and how it is written stands here and nowhere else.
 *
 * Readers are lenient where the meaning is plain: numbers and truth values in
 * quotes, a number for a text, words without regard to case, null for "not
 * set". They never guess: 1.5 is no number of seconds.
 *
 * Invariants
 *  1. What v2_conf_value_json() writes, v2_conf_value_read() reads back to
 *     the same value.
 *  2. A text holds no control bytes; it can go into a line of the log. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_conf_keys.h"

#include "v2_log.h"

#include <ctype.h>
#include <stdarg.h>

#define V2_VALUE_MASK       "***"

static v2_int_t v2_value_keep(const v2_conf_row_t *row, v2_conf_mark_t *mark,
    const v2_conf_value_t *v);
static v2_int_t v2_read_bool(const json_t *json, v2_conf_value_t *v);
static v2_int_t v2_read_number(const v2_conf_row_t *row, const json_t *json,
    v2_conf_value_t *v);
static v2_int_t v2_read_word(const v2_conf_row_t *row, const json_t *json,
    v2_conf_value_t *v);
static v2_int_t v2_read_ip(const v2_conf_row_t *row, const json_t *json,
    v2_conf_value_t *v);
static v2_int_t v2_read_tree(const v2_conf_row_t *row, const json_t *json,
    v2_conf_value_t *v);
static json_t *v2_read_map(const json_t *json);
static v2_int_t v2_read_text(const json_t *json, char **text);
static char *v2_read_scalar(const json_t *json);
static v2_int_t v2_parse_number(const char *text, int suffix, uint64_t *n);
static int v2_word_find(const char *list, const char *word, size_t len);
static int v2_word_switch(const char *list, const char *text);
static char *v2_word_at(const char *list, uint64_t n);
static void v2_value_allowed(const v2_conf_row_t *row, char *why,
    size_t size);
static void v2_value_words(const char *list, char *out, size_t size);
static char *v2_value_field(const v2_conf_row_t *row, const void *field);
static char *v2_value_masked(const char *json);
static int v2_value_is_text(v2_conf_type_e type);
static char *v2_value_print(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));


/* The types that need no more than a scalar come first; what is left for the
 * default case stays a tree of JSON. */
v2_int_t
v2_conf_value_read(const v2_conf_row_t *row, const json_t *json,
    v2_conf_value_t *v, char *why, size_t size)
{
    v2_int_t  rc;

    v->n = 0;
    v->s = NULL;

    switch (row->type) {

    case V2_CONF_BOOL:
        rc = v2_read_bool(json, v);
        break;

    case V2_CONF_UINT: case V2_CONF_KIB: case V2_CONF_SIZE:
        rc = v2_read_number(row, json, v);
        break;

    case V2_CONF_LEVEL: case V2_CONF_ENUM: case V2_CONF_WORD:
        rc = v2_read_word(row, json, v);
        break;

    case V2_CONF_IP:
        rc = v2_read_ip(row, json, v);
        break;

    case V2_CONF_TEXT: case V2_CONF_FILE:
        rc = v2_read_text(json, &v->s);
        break;

    default:
        rc = v2_read_tree(row, json, v);
    }

    if (rc != V2_OK) {
        v2_value_allowed(row, why, size);
    }

    return rc;
}


/* The table writes defaults as the file does, so that one reader serves both
 * and no default can be out of its own range. */
v2_int_t
v2_conf_value_default(const v2_conf_row_t *row, v2_conf_value_t *v)
{
    char      why[8];
    json_t   *json;
    v2_int_t  rc;

    v->n = 0;
    v->s = NULL;

    if (row->flags & V2_CONF_REQUIRED) {
        return V2_OK;
    }

    v2_assert(row->def != NULL);

    json = row->type >= V2_CONF_MAP
           ? json_loads(row->def, JSON_DECODE_ANY, NULL)
           : json_string(row->def);

    if (json == NULL) {
        return V2_ERROR;
    }

    rc = v2_conf_value_read(row, json, v, why, sizeof(why));
    json_decref(json);

    return rc;
}


void
v2_conf_value_done(v2_conf_value_t *v)
{
    free(v->s);
    v->s = NULL;
}


int
v2_conf_value_is_default(const v2_conf_row_t *row, const v2_conf_value_t *v)
{
    int              same;
    v2_conf_value_t  def;

    if (v2_conf_value_default(row, &def) != V2_OK) {
        v2_conf_value_done(&def);
        return 0;
    }

    same = v->n == def.n
           && (v->s == NULL || def.s == NULL || strcmp(v->s, def.s) == 0);
    v2_conf_value_done(&def);

    return same;
}


v2_int_t
v2_conf_value_store(const v2_conf_row_t *row, void *base,
    v2_conf_mark_t *mark, v2_conf_value_t *v)
{
    void   *field;
    char  **text;

    if (row->field == V2_CONF_NOFIELD) {
        v2_assert(mark != NULL);
        return v2_value_keep(row, mark, v);
    }

    field = (char *) base + row->field;

    switch (row->type) {

    case V2_CONF_BOOL:
        *(uint8_t *) field = v->n != 0;
        return V2_OK;

    case V2_CONF_KIB:
        *(uint32_t *) field = (uint32_t) v->n * 1024;
        return V2_OK;

    case V2_CONF_UINT: case V2_CONF_LEVEL: case V2_CONF_ENUM:
        *(uint32_t *) field = (uint32_t) v->n;
        return V2_OK;

    case V2_CONF_SIZE:
        *(uint64_t *) field = v->n;
        return V2_OK;

    default:
        text = field;
        free(*text);
        *text = v->s;
        v->s = NULL;
        return V2_OK;
    }
}


/* Without a field, the value is kept as the JSON that reads back to it. */
static v2_int_t
v2_value_keep(const v2_conf_row_t *row, v2_conf_mark_t *mark,
    const v2_conf_value_t *v)
{
    char  *json;

    if (row->type >= V2_CONF_MAP) {
        json = strdup(v->s);

    } else if (v->s != NULL) {
        json = v2_conf_quote(v->s);

    } else if (row->type == V2_CONF_BOOL) {
        json = strdup(v->n ? "true" : "false");

    } else {
        json = v2_value_print("%" PRIu64, v->n);
    }

    if (json == NULL) {
        return V2_ERROR;
    }

    free(mark->json);
    mark->json = json;

    return V2_OK;
}


char *
v2_conf_value_json(const v2_conf_row_t *row, const void *base,
    const v2_conf_mark_t *mark, int mask)
{
    char  *json, *masked;

    if (row->field == V2_CONF_NOFIELD) {
        json = mark != NULL && mark->json != NULL ? strdup(mark->json)
               : v2_conf_default_json(row);

    } else {
        json = v2_value_field(row, (const char *) base + row->field);
    }

    if (json == NULL || !mask || !(row->flags & V2_CONF_SECRET)) {
        return json;
    }

    masked = v2_value_masked(json);
    explicit_bzero(json, strlen(json));
    free(json);

    return masked;
}


char *
v2_conf_default_json(const v2_conf_row_t *row)
{
    switch (row->type) {

    case V2_CONF_BOOL: case V2_CONF_UINT: case V2_CONF_KIB:
    case V2_CONF_MAP: case V2_CONF_ANY: case V2_CONF_LIST:
        return strdup(row->def);

    default:
        return v2_conf_quote(row->def);
    }
}


char *
v2_conf_quote(const char *text)
{
    char    *out, *ascii, *p;
    json_t  *json;

    json = json_string(text);

    if (json == NULL) {         /* not UTF-8: a message cut off, a file name */
        ascii = strdup(text);

        for (p = ascii; p != NULL && *p != '\0'; p++) {
            *p = (unsigned char) *p < 0x80 ? *p : '?';
        }

        json = json_string(ascii);
        free(ascii);
    }

    out = json_dumps(json, JSON_ENCODE_ANY);
    json_decref(json);

    return out;
}


v2_int_t
v2_conf_defaults(void *base, int nodes)
{
    unsigned              i;
    v2_int_t              rc;
    v2_conf_value_t       v;
    const v2_conf_row_t  *row;

    for (i = 0; i < v2_conf_rows_n; i++) {
        row = &v2_conf_rows[i];

        if (row->field == V2_CONF_NOFIELD || row->def == NULL
            || v2_conf_row_is_node(row) != nodes)
        {
            continue;
        }

        rc = v2_conf_value_default(row, &v);

        if (rc == V2_OK) {
            rc = v2_conf_value_store(row, base, NULL, &v);
        }

        v2_conf_value_done(&v);

        if (rc != V2_OK) {
            return V2_ERROR;
        }
    }

    return V2_OK;
}


/* Keys of panels and the like are wiped: a core file or a page that comes back
 * to another process must not hold them. */
void
v2_conf_fields_free(void *base, int nodes)
{
    char                **text;
    unsigned              i;
    const v2_conf_row_t  *row;

    for (i = 0; i < v2_conf_rows_n; i++) {
        row = &v2_conf_rows[i];

        if (row->field != V2_CONF_NOFIELD && v2_value_is_text(row->type)
            && v2_conf_row_is_node(row) == nodes)
        {
            text = (char **) (void *) ((char *) base + row->field);

            if (*text != NULL && (row->flags & V2_CONF_SECRET)) {
                explicit_bzero(*text, strlen(*text));
            }

            free(*text);
            *text = NULL;
        }
    }
}


static int
v2_value_is_text(v2_conf_type_e type)
{
    return type == V2_CONF_WORD || type == V2_CONF_TEXT
           || type == V2_CONF_FILE || type == V2_CONF_IP;
}


/* Go refuses 1 and "true" for a truth value; admins write both. */
static v2_int_t
v2_read_bool(const json_t *json, v2_conf_value_t *v)
{
    int    n;
    char  *text;

    if (json_is_boolean(json)) {
        v->n = json_is_true(json);
        return V2_OK;
    }

    if (v2_read_text(json, &text) != V2_OK) {
        return V2_ERROR;
    }

    n = v2_word_find("false|true|0|1|off|on|no|yes", text, strlen(text));
    free(text);

    if (n == -1) {
        return V2_ERROR;
    }

    v->n = (unsigned) n % 2;

    return V2_OK;
}


/* Numbers pass through text: one way for 30, "30" and 30.0, and a whole number
 * above 2^53 is not rounded on its way. */
static v2_int_t
v2_read_number(const v2_conf_row_t *row, const json_t *json,
    v2_conf_value_t *v)
{
    int       suffix;
    char     *text;
    uint64_t  min, max;
    v2_int_t  rc;

    suffix = row->type == V2_CONF_SIZE;

    if (v2_read_text(json, &text) != V2_OK) {
        return V2_ERROR;
    }

    rc = v2_parse_number(text, suffix, &v->n);
    free(text);

    if (rc != V2_OK || v2_parse_number(row->min, suffix, &min) != V2_OK
        || v2_parse_number(row->max, suffix, &max) != V2_OK)
    {
        return V2_ERROR;
    }

    return v->n >= min && v->n <= max ? V2_OK : V2_ERROR;
}


/* A known word that is not built yet is told apart from an unknown one: the
 * first is no mistake of the admin's. */
static v2_int_t
v2_read_word(const v2_conf_row_t *row, const json_t *json,
    v2_conf_value_t *v)
{
    int    n, later;
    char  *text;

    if (v2_read_text(json, &text) != V2_OK) {
        return V2_ERROR;
    }

    n = v2_word_find(row->min, text, strlen(text));

    if (n == -1 && text[0] == '\0') {
        free(text);
        return v2_conf_value_default(row, v);
    }

    if (n == -1) {
        n = v2_word_switch(row->min, text);
    }

    later = n == -1 && row->max != NULL;

    if (later) {
        n = v2_word_find(row->max, text, strlen(text));
    }

    free(text);

    if (n == -1) {
        return V2_ERROR;
    }

    text = v2_word_at(later ? row->max : row->min, (uint64_t) n);

    if (text == NULL) {
        return V2_ERROR;
    }

    if (row->type == V2_CONF_WORD) {
        v->s = text;

    } else {
        v->n = row->type == V2_CONF_LEVEL ? v2_log_parse_level(text)
               : (uint64_t) n;
        free(text);
    }

    return later ? V2_DECLINED : V2_OK;
}


static v2_int_t
v2_read_ip(const v2_conf_row_t *row, const json_t *json, v2_conf_value_t *v)
{
    v2_addr_t  addr;

    if (v2_read_text(json, &v->s) != V2_OK) {
        return V2_ERROR;
    }

    if (row->max != NULL && v2_word_find(row->max, v->s, strlen(v->s)) != -1) {
        return V2_DECLINED;
    }

    memset(&addr, 0, sizeof(addr));

    if (v->s[0] == '\0' || v2_addr_parse(&addr, v->s) == V2_OK) {
        return V2_OK;
    }

    return V2_ERROR;
}


/* Values that stay JSON. PHP writes an empty map as []. */
static v2_int_t
v2_read_tree(const v2_conf_row_t *row, const json_t *json,
    v2_conf_value_t *v)
{
    json_t  *tree;

    if (row->type == V2_CONF_MAP) {
        tree = v2_read_map(json);

    } else if (row->type == V2_CONF_LIST && !json_is_array(json)) {
        tree = json_is_object(json) && json_object_size(json) == 0
               ? json_array() : NULL;

    } else {
        tree = json_deep_copy(json);
    }

    if (tree == NULL) {
        return V2_ERROR;
    }

    v->s = json_dumps(tree, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(tree);

    return v->s == NULL ? V2_ERROR : V2_OK;
}


/* Values may hold newlines (a service account's key); they are never logged. */
static json_t *
v2_read_map(const json_t *json)
{
    char        *text;
    json_t      *map, *value;
    const char  *key;

    if (json_is_array(json) && json_array_size(json) == 0) {
        return json_object();
    }

    map = json_is_object(json) ? json_object() : NULL;

    if (map == NULL) {
        return NULL;
    }

    json_object_foreach((json_t *) (uintptr_t) json, key, value) {

        text = v2_read_scalar(value);

        if (text == NULL) {
            json_decref(map);
            return NULL;
        }

        (void) json_object_set_new(map, key, json_string(text));
        free(text);
    }

    return map;
}


/* A scalar for a field, which may come up in a line of the log. */
static v2_int_t
v2_read_text(const json_t *json, char **text)
{
    const char  *s;

    *text = v2_read_scalar(json);

    for (s = *text; s != NULL && *s != '\0'; s++) {

        if ((unsigned char) *s < 0x20 || *s == 0x7f) {
            free(*text);
            *text = NULL;
            return V2_ERROR;
        }
    }

    return *text == NULL ? V2_ERROR : V2_OK;
}


/* Any scalar as text; whole numbers written as 30.0 become "30". */
static char *
v2_read_scalar(const json_t *json)
{
    double  d;

    if (json_is_string(json)) {
        return strdup(json_string_value(json));
    }

    if (json_is_integer(json)) {
        return v2_value_print("%" JSON_INTEGER_FORMAT,
                              json_integer_value(json));
    }

    if (json_is_real(json)) {
        d = json_real_value(json);
        return v2_value_print(d >= 0 && d < 1e15 && d == (double) (int64_t) d
                              ? "%.0f" : "%.17g", d);
    }

    if (json_is_boolean(json)) {
        return strdup(json_is_true(json) ? "true" : "false");
    }

    return NULL;
}


/* Digits, and with `suffix` one of k, m, g; blanks around them. */
static v2_int_t
v2_parse_number(const char *text, int suffix, uint64_t *n)
{
    char      *end;
    unsigned   shift;

    text += strspn(text, " \t");

    if (!isdigit((unsigned char) *text)) {
        return V2_ERROR;
    }

    errno = 0;
    *n = strtoull(text, &end, 10);

    if (errno != 0) {
        return V2_ERROR;
    }

    if (suffix && *end != '\0' && strchr("kKmMgG", *end) != NULL) {
        shift = strchr("kK", *end) ? 10 : strchr("mM", *end) ? 20 : 30;

        if (*n > UINT64_MAX >> shift) {
            return V2_ERROR;
        }

        *n <<= shift;
        end++;
    }

    end += strspn(end, " \t");

    return *end == '\0' ? V2_OK : V2_ERROR;
}


/* The place of a word in "a|b|c", or -1. */
static int
v2_word_find(const char *list, const char *word, size_t len)
{
    int     n;
    size_t  one;

    for (n = 0; /* void */ ; n++) {
        one = strcspn(list, "|");

        if (one == len && strncasecmp(list, word, len) == 0) {
            return n;
        }

        if (list[one] == '\0') {
            return -1;
        }

        list += one + 1;
    }
}


/* Where a list has "on" and "off", truth values mean them. */
static int
v2_word_switch(const char *list, const char *text)
{
    int  n;

    n = v2_word_find("false|true|0|1|no|yes", text, strlen(text));

    if (n == -1) {
        return -1;
    }

    return n % 2 == 0 ? v2_word_find(list, "off", 3)
                      : v2_word_find(list, "on", 2);
}


static char *
v2_word_at(const char *list, uint64_t n)
{
    for ( /* void */ ; n > 0; n--) {
        list += strcspn(list, "|");
        list += *list == '|';
    }

    return strndup(list, strcspn(list, "|"));
}


/* "allowed: 0..300", "allowed: auto, io_uring, epoll". */
static void
v2_value_allowed(const v2_conf_row_t *row, char *why, size_t size)
{
    char  words[256];

    switch (row->type) {

    case V2_CONF_BOOL:
        snprintf(why, size, "allowed: true, false");
        break;

    case V2_CONF_UINT: case V2_CONF_KIB: case V2_CONF_SIZE:
        snprintf(why, size, "allowed: %s..%s", row->min, row->max);
        break;

    case V2_CONF_LEVEL: case V2_CONF_ENUM: case V2_CONF_WORD:
        v2_value_words(row->min, words, sizeof(words));
        snprintf(why, size, "allowed: %s", words);
        break;

    case V2_CONF_IP:
        snprintf(why, size, "allowed: an IPv4 or IPv6 address");
        break;

    case V2_CONF_MAP:
        snprintf(why, size, "allowed: an object of texts");
        break;

    case V2_CONF_LIST:
        snprintf(why, size, "allowed: an array of objects");
        break;

    default:
        snprintf(why, size, "allowed: a text without control characters");
    }
}


static void
v2_value_words(const char *list, char *out, size_t size)
{
    size_t  n, one;

    for (n = 0; n < size; list += one + 1) {
        one = strcspn(list, "|");
        n += (size_t) snprintf(out + n, size - n, "%s%.*s", n == 0 ? "" : ", ",
                               one == 0 ? 2 : (int) one,
                               one == 0 ? "\"\"" : list);

        if (list[one] == '\0') {
            return;
        }
    }
}


/* A level has several names; the first in the table is printed. */
static char *
v2_value_field(const v2_conf_row_t *row, const void *field)
{
    char        *word, *json;
    uint32_t     n, i;
    const char  *text;

    switch (row->type) {

    case V2_CONF_BOOL:
        return strdup(*(const uint8_t *) field ? "true" : "false");

    case V2_CONF_UINT:
        return v2_value_print("%" PRIu32, *(const uint32_t *) field);

    case V2_CONF_KIB:
        return v2_value_print("%" PRIu32, *(const uint32_t *) field / 1024);

    case V2_CONF_SIZE:
        return v2_value_print("%" PRIu64, *(const uint64_t *) field);

    case V2_CONF_ENUM: case V2_CONF_LEVEL:
        n = *(const uint32_t *) field;
        word = v2_word_at(row->min, row->type == V2_CONF_ENUM ? n : 0);

        for (i = 1; row->type == V2_CONF_LEVEL && word != NULL
                    && v2_log_parse_level(word) != n && i < 8; i++)
        {
            free(word);
            word = v2_word_at(row->min, i);
        }

        json = word == NULL ? NULL : v2_conf_quote(word);
        free(word);
        return json;

    default:
        text = *(char *const *) field;
        return v2_conf_quote(text == NULL ? "" : text);
    }
}


/* The same JSON with "***" for each text that is not empty. */
static char *
v2_value_masked(const char *json)
{
    char        *out;
    json_t      *tree, *value;
    const char  *key;

    tree = json_loads(json, JSON_DECODE_ANY, NULL);

    if (json_is_object(tree)) {
        json_object_foreach(tree, key, value) {
            (void) json_string_set(value, V2_VALUE_MASK);
        }

    } else if (json_string_length(tree) > 0) {
        (void) json_string_set(tree, V2_VALUE_MASK);
    }

    out = json_dumps(tree, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(tree);

    return out;
}


static char *
v2_value_print(const char *fmt, ...)
{
    char     *out;
    va_list   args;

    va_start(args, fmt);

    if (vasprintf(&out, fmt, args) == -1) {
        out = NULL;
    }

    va_end(args);

    return out;
}
