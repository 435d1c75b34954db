/* The text of a configuration file: comments and trailing commas taken out
 * (v2_conf_json.c), jansson's tree made of the rest, and beside it the line of
 * every member and element, since jansson forgets them.
 *
 * Invariants
 *  1. Lines and offsets of the text that is kept are those of the file.
 *  2. The places stand in the order of the text; a place's `up` and what comes
 *     before it among its siblings are smaller than itself, so that every walk
 *     ends.
 *  3. A place whose key is written with escapes is not found by its name: a
 *     message then has no line, and nothing else changes. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_conf_keys.h"

#include "v2_conf_json.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct v2_conf_place_s {
    uint32_t    up, first, last, next;  /* V2_NONE: none */
    uint32_t    line;
    uint32_t    key, key_len;           /* in the text, without quotes */
    unsigned    object:1;               /* members, not elements */
};

/* The state of the walk that makes the places. */
typedef struct {
    v2_conf_text_t  *t;
    size_t           len;
    uint32_t         up;                /* the container we are in */
    uint32_t         line;
    uint32_t         key, key_len, key_line;
    unsigned         want_key:1;        /* the next string is a key */
    unsigned         has_key:1;
} v2_conf_walk_t;

static v2_int_t v2_conf_text_load(const char *file, int fd, char **text,
    size_t *len, char *why, size_t size);
static v2_int_t v2_walk_all(v2_conf_text_t *t);
static v2_int_t v2_walk_value(v2_conf_walk_t *w, int container, int object);
static size_t v2_walk_string(v2_conf_walk_t *w, size_t i, v2_int_t *rc);
static void v2_walk_close(v2_conf_walk_t *w);


v2_int_t
v2_conf_text_init(v2_conf_text_t *t, const char *file, const char *text,
    size_t len, char *why, size_t size)
{
    unsigned      line;
    json_error_t  err;

    memset(t, 0, sizeof(v2_conf_text_t));

    if (len > V2_CONF_BYTES_MAX) {
        snprintf(why, size, "%s: the text is larger than %u bytes", file,
                 V2_CONF_BYTES_MAX);
        return V2_ERROR;
    }

    t->file = strdup(file);
    t->text = malloc(len + 1);

    if (t->file == NULL || t->text == NULL) {
        snprintf(why, size, "%s: out of memory", file);
        return V2_ERROR;
    }

    memcpy(t->text, text, len);
    t->text[len] = '\0';
    t->len = len;

    if (len >= 3 && memcmp(t->text, "\xef\xbb\xbf", 3) == 0) {
        memset(t->text, ' ', 3);
        t->bom = 1;
    }

    /* jansson passes over a zero byte behind a number */
    if (memchr(t->text, '\0', len) != NULL) {
        snprintf(why, size, "%s: the text holds a zero byte", file);
        return V2_ERROR;
    }

    line = v2_conf_relax(t->text, len);

    if (line != 0) {
        snprintf(why, size, "%s:%u: the comment is not closed", file, line);
        return V2_ERROR;
    }

    t->root = json_loadb(t->text, len, 0, &err);

    if (t->root == NULL) {
        snprintf(why, size, "%s:%d: %s", file, v2_max(err.line, 1), err.text);
        return V2_ERROR;
    }

    if (v2_walk_all(t) != V2_OK) {
        snprintf(why, size, "%s: out of memory", file);
        return V2_ERROR;
    }

    return V2_OK;
}


/* A FIFO or device in place of the file must not hang the master. */
v2_int_t
v2_conf_text_read(v2_conf_text_t *t, const char *file, char *why, size_t size)
{
    int       fd;
    char     *text;
    size_t    len;
    v2_int_t  rc;

    memset(t, 0, sizeof(v2_conf_text_t));

    fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd == -1) {
        snprintf(why, size, "open() \"%s\" failed (%d: %s)", file, errno,
                 strerror(errno));
        return V2_ERROR;
    }

    rc = v2_conf_text_load(file, fd, &text, &len, why, size);
    (void) close(fd);

    if (rc == V2_OK) {
        rc = v2_conf_text_init(t, file, text, len, why, size);
        explicit_bzero(text, len);
        free(text);
    }

    return rc;
}


/* A file that grows meanwhile is taken at the size that was seen first. */
static v2_int_t
v2_conf_text_load(const char *file, int fd, char **text, size_t *len,
    char *why, size_t size)
{
    size_t       n;
    ssize_t      got;
    struct stat  st;

    if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
        snprintf(why, size, "\"%s\" is not a regular file", file);
        return V2_ERROR;
    }

    if (st.st_size > (off_t) V2_CONF_BYTES_MAX) {
        snprintf(why, size, "\"%s\" is larger than %u bytes", file,
                 V2_CONF_BYTES_MAX);
        return V2_ERROR;
    }

    *text = malloc((size_t) st.st_size + 1);

    if (*text == NULL) {
        snprintf(why, size, "%s: out of memory", file);
        return V2_ERROR;
    }

    for (n = 0; n < (size_t) st.st_size; n += (size_t) got) {
        got = read(fd, *text + n, (size_t) st.st_size - n);

        if (got == -1) {
            snprintf(why, size, "read() \"%s\" failed (%d: %s)", file, errno,
                     strerror(errno));
            free(*text);
            return V2_ERROR;
        }

        if (got == 0) {
            break;
        }
    }

    *len = n;

    return V2_OK;
}


/* The text holds keys of panels. */
void
v2_conf_text_done(v2_conf_text_t *t)
{
    if (t->text != NULL) {
        explicit_bzero(t->text, t->len);
    }

    json_decref(t->root);
    free(t->text);
    free(t->file);
    free(t->places);
    memset(t, 0, sizeof(v2_conf_text_t));
}


/* Of several, the last one: so does jansson, and so did Go. */
uint32_t
v2_conf_text_member(const v2_conf_text_t *t, uint32_t up, const char *key,
    int *twice)
{
    size_t                  len;
    uint32_t                i, found;
    const v2_conf_place_t  *p;

    *twice = 0;
    found = V2_NONE;

    if (up >= t->places_n || !t->places[up].object) {
        return V2_NONE;
    }

    len = strlen(key);

    for (i = t->places[up].first; i != V2_NONE; i = t->places[i].next) {
        p = &t->places[i];

        if (p->key_len == len && memcmp(t->text + p->key, key, len) == 0) {
            *twice |= found != V2_NONE;
            found = i;
        }
    }

    return found;
}


uint32_t
v2_conf_text_element(const v2_conf_text_t *t, uint32_t up, size_t i)
{
    uint32_t  at;

    if (up >= t->places_n || t->places[up].object) {
        return V2_NONE;
    }

    for (at = t->places[up].first; at != V2_NONE && i > 0; i--) {
        at = t->places[at].next;
    }

    return at;
}


unsigned
v2_conf_text_line(const v2_conf_text_t *t, uint32_t place)
{
    return place < t->places_n ? t->places[place].line : 0;
}


/* The text is valid JSON here: jansson took it. */
static v2_int_t
v2_walk_all(v2_conf_text_t *t)
{
    size_t          i;
    v2_int_t        rc;
    v2_conf_walk_t  w;

    memset(&w, 0, sizeof(w));
    w.t = t;
    w.len = t->len;
    w.up = V2_NONE;
    w.line = 1;
    rc = V2_OK;

    for (i = 0; i < t->len && rc == V2_OK; i++) {

        switch (t->text[i]) {

        case '\n':
            w.line++;
            break;

        case ' ': case '\t': case '\r': case ':':
            break;

        case ',':
            w.want_key = w.up != V2_NONE && t->places[w.up].object;
            break;

        case '{': case '[':
            rc = v2_walk_value(&w, 1, t->text[i] == '{');
            break;

        case '}': case ']':
            v2_walk_close(&w);
            break;

        case '"':
            i = v2_walk_string(&w, i, &rc);
            break;

        default:
            rc = v2_walk_value(&w, 0, 0);
            i += v2_max(strcspn(t->text + i, " \t\r\n,]}"), 1) - 1;
        }
    }

    return rc;
}


/* A value begins: a place below `up`, and the new `up` if it is a container. */
static v2_int_t
v2_walk_value(v2_conf_walk_t *w, int container, int object)
{
    uint32_t          cap, n;
    v2_conf_text_t   *t;
    v2_conf_place_t  *p;

    t = w->t;
    n = t->places_n;

    if (n == t->places_cap) {
        cap = v2_max(n * 2, 64);
        p = realloc(t->places, cap * sizeof(v2_conf_place_t));

        if (p == NULL) {
            return V2_ERROR;
        }

        t->places = p;
        t->places_cap = cap;
    }

    v2_assert(w->up == V2_NONE || w->up < n);

    p = &t->places[n];
    memset(p, 0, sizeof(v2_conf_place_t));
    p->up = w->up;
    p->first = p->last = p->next = V2_NONE;
    p->line = w->has_key ? w->key_line : w->line;
    p->key = w->has_key ? w->key : 0;
    p->key_len = w->has_key ? w->key_len : 0;
    p->object = object != 0;

    if (w->up != V2_NONE) {

        if (t->places[w->up].last == V2_NONE) {
            t->places[w->up].first = n;

        } else {
            t->places[t->places[w->up].last].next = n;
        }

        t->places[w->up].last = n;
    }

    t->places_n = n + 1;
    w->has_key = 0;

    if (container) {
        w->up = n;
        w->want_key = object != 0;
    }

    return V2_OK;
}


/* The offset of the closing quote. A key only waits for its value. */
static size_t
v2_walk_string(v2_conf_walk_t *w, size_t i, v2_int_t *rc)
{
    size_t  end;

    end = v2_conf_string_end(w->t->text, w->len, i) - 1;

    if (!w->want_key) {
        *rc = v2_walk_value(w, 0, 0);
        return end;
    }

    w->key = (uint32_t) (i + 1);
    w->key_len = (uint32_t) (end - i - 1);
    w->key_line = w->line;
    w->has_key = 1;
    w->want_key = 0;

    return end;
}


static void
v2_walk_close(v2_conf_walk_t *w)
{
    v2_assert(w->up != V2_NONE);

    if (w->up != V2_NONE) {
        w->up = w->t->places[w->up].up;
    }

    w->want_key = 0;
}
