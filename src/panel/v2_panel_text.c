/* Growing text of the panel process.
 *
 * Invariants
 *  1. data is NULL or zero-terminated at len, and cap > len.
 *  2. Once failed, always failed: a text that lacks a piece is never sent. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_panel_text.h"

#define V2_TEXT_FIRST       256


static v2_int_t v2_text_room(v2_text_t *t, size_t more);
static int v2_text_unreserved(unsigned char c);


void
v2_text_init(v2_text_t *t)
{
    memset(t, 0, sizeof(*t));
}


void
v2_text_done(v2_text_t *t)
{
    free(t->data);
    memset(t, 0, sizeof(*t));
}


void
v2_text_add(v2_text_t *t, const char *data, size_t len)
{
    if (v2_text_room(t, len) != V2_OK || len == 0) {
        return;
    }

    memcpy(t->data + t->len, data, len);
    t->len += len;
    t->data[t->len] = '\0';
}


void
v2_text_puts(v2_text_t *t, const char *s)
{
    v2_text_add(t, s, strlen(s));
}


void
v2_text_uint(v2_text_t *t, uint64_t v)
{
    char      digits[20];
    unsigned  i;

    i = sizeof(digits);

    do {
        digits[--i] = (char) ('0' + v % 10);
        v /= 10;
    } while (v != 0);

    v2_text_add(t, digits + i, sizeof(digits) - i);
}


void
v2_text_url(v2_text_t *t, const char *s)
{
    static const char  hex[] = "0123456789ABCDEF";
    unsigned char      c;
    char               out[3];

    for ( ; *s != '\0'; s++) {
        c = (unsigned char) *s;

        if (v2_text_unreserved(c)) {
            v2_text_add(t, s, 1);
            continue;
        }

        out[0] = '%';
        out[1] = hex[c >> 4];
        out[2] = hex[c & 15];
        v2_text_add(t, out, 3);
    }
}


void
v2_text_json(v2_text_t *t, const char *s)
{
    char           out[8];
    unsigned char  c;

    v2_text_add(t, "\"", 1);

    for ( ; *s != '\0'; s++) {
        c = (unsigned char) *s;

        if (c == '"' || c == '\\') {
            v2_text_add(t, "\\", 1);
            v2_text_add(t, s, 1);

        } else if (c < 0x20 || c >= 0x7f) {
            (void) snprintf(out, sizeof(out), "\\u%04x", c);
            v2_text_puts(t, out);

        } else {
            v2_text_add(t, s, 1);
        }
    }

    v2_text_add(t, "\"", 1);
}


char *
v2_text_clean(char *out, size_t size, const char *data, size_t len,
    const char *secret)
{
    size_t    i, n, secret_len;
    unsigned  blank;

    secret_len = (secret != NULL) ? strlen(secret) : 0;
    blank = 1;
    n = 0;

    for (i = 0; i < len && n + 4 < size; i++) {

        if (secret_len != 0 && len - i >= secret_len
            && memcmp(data + i, secret, secret_len) == 0)
        {
            memcpy(out + n, "***", 3);
            n += 3;
            i += secret_len - 1;
            blank = 0;

        } else if (data[i] > ' ' && data[i] < 0x7f) {
            out[n++] = data[i];
            blank = 0;

        } else if (!blank) {
            out[n++] = ' ';
            blank = 1;
        }
    }

    while (n > 0 && out[n - 1] == ' ') {
        n--;
    }

    out[n] = '\0';
    return out;
}


static v2_int_t
v2_text_room(v2_text_t *t, size_t more)
{
    char    *data;
    size_t   cap;

    if (t->failed) {
        return V2_ERROR;
    }

    if (more < t->cap - t->len) {
        return V2_OK;
    }

    cap = v2_max(t->cap + t->cap / 2, t->len + more + 1);
    cap = v2_max(cap, V2_TEXT_FIRST);

    data = realloc(t->data, cap);
    if (data == NULL) {
        t->failed = 1;
        return V2_ERROR;
    }

    t->data = data;
    t->cap = cap;
    return V2_OK;
}


static int
v2_text_unreserved(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')
           || (c >= 'a' && c <= 'z') || c == '-' || c == '.' || c == '_'
           || c == '~';
}
