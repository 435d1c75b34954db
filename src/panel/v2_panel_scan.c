/* The scanner over JSON bytes for long lists: no tree, no allocation. 100 000
 * users as a tree cost 96 MiB of heap that stays; a scan costs none.
 *
 * Invariants
 *  1. p <= end always; nothing behind end is read.
 *  2. v2_js_value takes a value only when its whole form is right, so a caller
 *     who has scanned an answer once may walk it again without surprises.
 *  3. Texts point into the answer and live as long as it does. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_panel_json.h"

#define V2_JS_DEPTH         32


static v2_int_t v2_js_deep(v2_js_t *js, v2_js_val_t *v, unsigned depth);
static v2_int_t v2_js_list(v2_js_t *js, char open, unsigned depth);
static v2_int_t v2_js_string(v2_js_t *js, v2_js_val_t *v);
static v2_int_t v2_js_number(v2_js_t *js, v2_js_val_t *v);
static v2_int_t v2_js_word(v2_js_t *js, const char *word, v2_js_val_t *v);
static void v2_js_blank(v2_js_t *js);
static int v2_js_unescape(const char **s, const char *end, char **out,
    const char *limit);
static int v2_js_hex(const char *s, const char *end, unsigned *code);


void
v2_js_init(v2_js_t *js, const char *data, size_t len)
{
    if (len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
        data += 3;
        len -= 3;
    }

    js->p = data;
    js->end = data + len;
    js->first = 1;
}


v2_int_t
v2_js_value(v2_js_t *js, v2_js_val_t *v)
{
    return v2_js_deep(js, v, V2_JS_DEPTH);
}


int
v2_js_end(v2_js_t *js)
{
    v2_js_blank(js);
    return js->p == js->end;
}


v2_int_t
v2_js_enter(v2_js_t *js, char open)
{
    v2_js_blank(js);

    if (js->p == js->end || *js->p != open) {
        return V2_DECLINED;
    }

    js->p++;
    js->first = 1;
    return V2_OK;
}


v2_int_t
v2_js_next(v2_js_t *js, char close)
{
    v2_js_blank(js);

    if (js->p == js->end) {
        return V2_ERROR;
    }

    if (*js->p == close) {
        js->p++;
        js->first = 0;
        return V2_DONE;
    }

    if (!js->first) {
        if (*js->p != ',') {
            return V2_ERROR;
        }

        js->p++;
        v2_js_blank(js);

        if (js->p == js->end || *js->p == close) {
            return V2_ERROR;
        }
    }

    js->first = 0;
    return V2_OK;
}


v2_int_t
v2_js_member(v2_js_t *js, v2_js_val_t *key, v2_js_val_t *v)
{
    v2_int_t  rc;

    rc = v2_js_next(js, '}');
    if (rc != V2_OK) {
        return rc;
    }

    if (v2_js_key(js, key) != V2_OK) {
        return V2_ERROR;
    }

    return v2_js_value(js, v);
}


v2_int_t
v2_js_key(v2_js_t *js, v2_js_val_t *key)
{
    v2_js_blank(js);

    if (js->p == js->end || *js->p != '"' || v2_js_string(js, key) != V2_OK) {
        return V2_ERROR;
    }

    v2_js_blank(js);

    if (js->p == js->end || *js->p != ':') {
        return V2_ERROR;
    }

    js->p++;
    return V2_OK;
}


v2_int_t
v2_js_uint(const v2_js_val_t *v, uint64_t *out)
{
    size_t    i;
    double    real;
    char      text[32];
    uint64_t  n;

    if (v->kind == V2_JS_NULL) {
        *out = 0;
        return V2_OK;
    }

    if ((v->kind != V2_JS_NUMBER && v->kind != V2_JS_STRING) || v->len == 0
        || v->len >= sizeof(text))
    {
        return V2_ERROR;
    }

    n = 0;

    for (i = 0; i < v->len; i++) {
        if (v->text[i] < '0' || v->text[i] > '9') {
            break;
        }
        if (n > (UINT64_MAX - 9) / 10) {
            return V2_ERROR;
        }
        n = n * 10 + (uint64_t) (v->text[i] - '0');
    }

    if (i == v->len) {
        *out = n;
        return V2_OK;
    }

    if (v->kind != V2_JS_NUMBER) {
        return V2_ERROR;
    }

    memcpy(text, v->text, v->len);
    text[v->len] = '\0';
    real = strtod(text, NULL);

    if (!(real >= 0 && real < 9e15)) {
        return V2_ERROR;
    }

    *out = (uint64_t) real;
    return V2_OK;
}


v2_int_t
v2_js_text(const v2_js_val_t *v, char *out, size_t size)
{
    char        *limit;
    const char  *s, *end;

    if ((v->kind != V2_JS_STRING && v->kind != V2_JS_NUMBER) || size == 0) {
        return V2_ERROR;
    }

    if (!v->escaped) {
        if (v->len >= size || memchr(v->text, '\0', v->len) != NULL) {
            return V2_ERROR;
        }

        memcpy(out, v->text, v->len);
        out[v->len] = '\0';
        return V2_OK;
    }

    s = v->text;
    end = s + v->len;
    limit = out + size - 1;

    while (s < end) {
        if (!v2_js_unescape(&s, end, &out, limit)) {
            return V2_ERROR;
        }
    }

    *out = '\0';
    return V2_OK;
}


int
v2_js_is(const v2_js_val_t *key, const char *name)
{
    return strlen(name) == key->len && memcmp(name, key->text, key->len) == 0;
}


static v2_int_t
v2_js_deep(v2_js_t *js, v2_js_val_t *v, unsigned depth)
{
    char  c;

    v2_js_blank(js);

    if (js->p == js->end || depth == 0) {
        return V2_ERROR;
    }

    v->text = js->p;
    v->escaped = 0;
    c = *js->p;

    switch (c) {

    case '"':
        return v2_js_string(js, v);

    case '{':
    case '[':
        v->kind = (c == '{') ? V2_JS_OBJECT : V2_JS_ARRAY;
        if (v2_js_list(js, c, depth) != V2_OK) {
            return V2_ERROR;
        }
        v->len = (size_t) (js->p - v->text);
        return V2_OK;

    case 't':
        v->kind = V2_JS_TRUE;
        return v2_js_word(js, "true", v);

    case 'f':
        v->kind = V2_JS_FALSE;
        return v2_js_word(js, "false", v);

    case 'n':
        v->kind = V2_JS_NULL;
        return v2_js_word(js, "null", v);

    default:
        return v2_js_number(js, v);
    }
}


static v2_int_t
v2_js_list(v2_js_t *js, char open, unsigned depth)
{
    char         close;
    v2_int_t     rc;
    v2_js_val_t  v;

    close = (open == '{') ? '}' : ']';
    js->p++;
    js->first = 1;

    for ( ;; ) {
        rc = v2_js_next(js, close);
        if (rc != V2_OK) {
            return (rc == V2_DONE) ? V2_OK : V2_ERROR;
        }

        if (open == '{' && v2_js_key(js, &v) != V2_OK) {
            return V2_ERROR;
        }

        if (v2_js_deep(js, &v, depth - 1) != V2_OK) {
            return V2_ERROR;
        }
    }
}


static v2_int_t
v2_js_string(v2_js_t *js, v2_js_val_t *v)
{
    const char  *p;

    v->kind = V2_JS_STRING;
    v->escaped = 0;
    v->text = ++js->p;

    for (p = js->p; p < js->end; p++) {

        if (*p == '"') {
            v->len = (size_t) (p - v->text);
            js->p = p + 1;
            return V2_OK;
        }

        if (*p == '\\') {
            v->escaped = 1;
            p++;

        } else if ((unsigned char) *p < 0x20) {
            return V2_ERROR;
        }
    }

    return V2_ERROR;
}


static v2_int_t
v2_js_number(v2_js_t *js, v2_js_val_t *v)
{
    unsigned     digits;
    const char  *p;

    v->kind = V2_JS_NUMBER;
    digits = 0;

    for (p = js->p; p < js->end; p++) {

        if (*p >= '0' && *p <= '9') {
            digits = 1;

        } else if (*p == '-' || *p == '+') {
            if (p != js->p && p[-1] != 'e' && p[-1] != 'E') {
                return V2_ERROR;
            }

        } else if (*p != '.' && *p != 'e' && *p != 'E') {
            break;
        }
    }

    v->len = (size_t) (p - v->text);
    js->p = p;
    return digits ? V2_OK : V2_ERROR;
}


static v2_int_t
v2_js_word(v2_js_t *js, const char *word, v2_js_val_t *v)
{
    size_t  len;

    len = strlen(word);

    if ((size_t) (js->end - js->p) < len || memcmp(js->p, word, len) != 0) {
        return V2_ERROR;
    }

    js->p += len;
    v->len = len;
    return V2_OK;
}


static void
v2_js_blank(v2_js_t *js)
{
    while (js->p < js->end
           && (*js->p == ' ' || *js->p == '\n' || *js->p == '\r'
               || *js->p == '\t'))
    {
        js->p++;
    }
}


/* One character of an escaped string. Code points beyond a byte become UTF-8;
 * halves of pairs are refused: no credential has them. */
static int
v2_js_unescape(const char **s, const char *end, char **out,
    const char *limit)
{
    char         c, utf8[3];
    unsigned     code, n;
    const char  *place;

    static const char  from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";

    c = *(*s)++;
    n = 1;
    utf8[0] = c;

    if (c == '\\') {
        if (*s == end) {
            return 0;
        }

        c = *(*s)++;

        if (c == 'u') {
            if (!v2_js_hex(*s, end, &code) || code == 0
                || (code >= 0xd800 && code < 0xe000))
            {
                return 0;
            }

            *s += 4;

            if (code < 0x80) {
                utf8[0] = (char) code;

            } else if (code < 0x800) {
                utf8[0] = (char) (0xc0 | code >> 6);
                utf8[1] = (char) (0x80 | (code & 0x3f));
                n = 2;

            } else {
                utf8[0] = (char) (0xe0 | code >> 12);
                utf8[1] = (char) (0x80 | (code >> 6 & 0x3f));
                utf8[2] = (char) (0x80 | (code & 0x3f));
                n = 3;
            }

        } else {
            place = (c != '\0') ? strchr(from, c) : NULL;
            if (place == NULL) {
                return 0;
            }
            utf8[0] = to[place - from];
        }
    }

    if (utf8[0] == '\0' || (size_t) (limit - *out) < n) {
        return 0;
    }

    memcpy(*out, utf8, n);
    *out += n;
    return 1;
}


static int
v2_js_hex(const char *s, const char *end, unsigned *code)
{
    char      c;
    unsigned  i;

    if (end - s < 4) {
        return 0;
    }

    *code = 0;

    for (i = 0; i < 4; i++) {
        c = s[i];

        if (c >= '0' && c <= '9') {
            *code = *code * 16 + (unsigned) (c - '0');

        } else if ((c | 32) >= 'a' && (c | 32) <= 'f') {
            *code = *code * 16 + (unsigned) ((c | 32) - 'a' + 10);

        } else {
            return 0;
        }
    }

    return 1;
}
