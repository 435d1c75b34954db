/* Lenient reading of JSON trees: what PHP and Go panels put into a field, see
 * the header. The scanner for long lists is v2_panel_scan.c.
 *
 * Invariants
 *  1. A value that cannot be read changes nothing: callers keep a default.
 *  2. Nothing of a body is logged uncleaned. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_panel_json.h"
#include "v2_panel_text.h"

#include <ctype.h>
#include <math.h>

#define V2_JSON_SHOWN       160     /* bytes of an unknown body in a line */


static const char *v2_json_title(const char *body, size_t len, size_t *n);


json_t *
v2_json_parse(const char *body, size_t len, char *why, size_t size)
{
    json_t        *root;
    json_error_t   err;

    if (len >= 3 && memcmp(body, "\xef\xbb\xbf", 3) == 0) {
        body += 3;
        len -= 3;
    }

    if (len == 0) {
        (void) snprintf(why, size, "the answer is empty");
        return NULL;
    }

    root = json_loadb(body, len, 0, &err);

    if (root == NULL) {
        while (len > 0 && isspace((unsigned char) *body)) {
            body++;
            len--;
        }

        (void) snprintf(why, size, "the answer is not JSON%s",
                        (len > 0 && *body == '<') ? " but a web page" : "");
        return NULL;
    }

    if (!json_is_object(root)) {
        (void) snprintf(why, size, "the answer is not an object");
        json_decref(root);
        return NULL;
    }

    return root;
}


int
v2_json_none(const json_t *v)
{
    switch (json_typeof(v)) {

    case JSON_NULL:
        return 1;

    case JSON_STRING:
        return json_string_length(v) == 0;

    case JSON_ARRAY:
        return json_array_size(v) == 0;

    case JSON_OBJECT:
        return json_object_size(v) == 0;

    default:
        return 0;
    }
}


json_t *
v2_json_either(const json_t *o, const char *a, const char *b)
{
    json_t  *v;

    v = json_object_get(o, a);
    if (v != NULL && !v2_json_none(v)) {
        return v;
    }

    v = (b != NULL) ? json_object_get(o, b) : NULL;

    return (v != NULL && !v2_json_none(v)) ? v : NULL;
}


v2_int_t
v2_json_int(const json_t *v, int64_t *out)
{
    char        *end;
    double       real;
    const char  *s;
    long long    n;

    if (v == NULL) {
        return V2_ERROR;
    }

    switch (json_typeof(v)) {

    case JSON_INTEGER:
        *out = json_integer_value(v);
        return V2_OK;

    case JSON_TRUE:
    case JSON_FALSE:
        *out = json_is_true(v);
        return V2_OK;

    case JSON_REAL:
        real = json_real_value(v);
        if (real != floor(real) || fabs(real) > 9e15) {
            return V2_ERROR;
        }
        *out = (int64_t) real;
        return V2_OK;

    case JSON_STRING:
        s = json_string_value(v);
        errno = 0;
        n = strtoll(s, &end, 10);
        while (isspace((unsigned char) *end)) {
            end++;
        }
        if (end == s || *end != '\0' || errno != 0) {
            return V2_ERROR;
        }
        *out = n;
        return V2_OK;

    default:
        return V2_ERROR;
    }
}


v2_int_t
v2_json_text(const json_t *v, char *out, size_t size, int lower)
{
    size_t       i, len;
    const char  *s;

    out[0] = '\0';

    if (v == NULL || v2_json_none(v)) {
        return V2_DONE;
    }

    if (json_is_integer(v)) {
        (void) snprintf(out, size, "%lld", (long long) json_integer_value(v));
        return V2_OK;
    }

    s = json_string_value(v);
    if (s == NULL) {
        return V2_ERROR;
    }

    while (isspace((unsigned char) *s)) {
        s++;
    }

    len = strlen(s);
    while (len > 0 && isspace((unsigned char) s[len - 1])) {
        len--;
    }

    if (len >= size) {
        return V2_ERROR;
    }

    for (i = 0; i < len; i++) {
        out[i] = lower ? (char) tolower((unsigned char) s[i]) : s[i];
    }

    out[len] = '\0';
    return (len != 0) ? V2_OK : V2_DONE;
}


int
v2_json_true(const json_t *v)
{
    int64_t  n;

    if (json_is_string(v)) {
        return strcasecmp(json_string_value(v), "true") == 0
               || strcmp(json_string_value(v), "1") == 0;
    }

    return v2_json_int(v, &n) == V2_OK && n != 0;
}


int
v2_json_fail(const json_t *o)
{
    json_t   *v;
    int64_t   n;

    v = json_object_get(o, "status");
    if (json_is_string(v) && strcasecmp(json_string_value(v), "fail") == 0) {
        return 1;
    }

    v = json_object_get(o, "ret");
    if (v != NULL && v2_json_int(v, &n) == V2_OK && n == 0) {
        return 1;
    }

    return json_is_false(json_object_get(o, "data"));
}


char *
v2_json_message(const char *body, size_t len, const char *secret, char *out,
    size_t size)
{
    json_t      *root, *v;
    size_t       n;
    const char  *s;

    root = (len != 0) ? json_loadb(body, len, 0, NULL) : NULL;
    v = NULL;

    if (json_is_object(root)) {
        v = v2_json_either(root, "message", "msg");
        v = (v != NULL) ? v : v2_json_either(root, "error", NULL);
    }

    if (json_is_string(v)) {
        s = json_string_value(v);
        n = strlen(s);

    } else {
        s = v2_json_title(body, len, &n);
    }

    v2_text_clean(out, size, s, n, secret);

    json_decref(root);
    return out;
}


/* A page's title or the begin of a text. JSON without a message is not shown:
 * there may be keys and UUIDs in it. */
static const char *
v2_json_title(const char *body, size_t len, size_t *n)
{
    size_t       left;
    const char  *s, *end;

    static const char  open[] = "<title>";

    while (len > 0 && isspace((unsigned char) *body)) {
        body++;
        len--;
    }

    if (len == 0 || *body == '{' || *body == '[' || *body == '\xef') {
        *n = 0;
        return "";
    }

    s = memmem(body, len, open, sizeof(open) - 1);

    if (s != NULL) {
        s += sizeof(open) - 1;
        left = len - (size_t) (s - body);
        end = memchr(s, '<', left);
        *n = (end != NULL) ? (size_t) (end - s) : v2_min(left, V2_JSON_SHOWN);
        return s;
    }

    *n = v2_min(len, V2_JSON_SHOWN);
    return body;
}
