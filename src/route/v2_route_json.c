/* Reading the Xray-format files: text to JSON, and messages that name file,
 * rule, key, value and what is possible. Runs in the builder, which has no
 * rights and ends after one image; called by v2_route_compile.c and
 * v2_route_default.c.
 *
 * Invariants
 *  1. A message is one line of printable characters, whatever the file has.
 *  2. Go's decoder is the measure: keys match without regard to case, null
 *     and empty values count as absent. Differing: a key that is given twice
 *     is refused, since it is a mistake that would hide a rule. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_conf_json.h"
#include "v2_route_json.h"

#include <stdarg.h>


#define V2_ROUTE_VALUE  60              /* bytes of a value in a message */


json_t *
v2_route_json_load(v2_route_msg_t *m, const char *text, size_t len)
{
    char          *copy;
    size_t         skip;
    json_t        *root;
    unsigned       line;
    json_error_t   error;

    copy = malloc(len + 1);

    if (copy == NULL) {
        v2_route_fail(m, "out of memory");
        return NULL;
    }

    memcpy(copy, text, len);
    copy[len] = '\0';
    skip = len >= 3 && memcmp(copy, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

    line = v2_conf_relax(copy + skip, len - skip);

    if (line != 0) {
        v2_route_fail(m, "line %u: a comment is not closed", line);
        free(copy);
        return NULL;
    }

    root = json_loadb(copy + skip, len - skip, JSON_REJECT_DUPLICATES,
                      &error);
    free(copy);

    if (root == NULL) {
        v2_route_fail(m, "line %d, column %d: %s", error.line, error.column,
                      error.text);
    }

    return root;
}


v2_int_t
v2_route_fail(v2_route_msg_t *m, const char *fmt, ...)
{
    char     text[512];
    size_t   i;
    va_list  args;

    if (m->size == 0) {
        return V2_ERROR;
    }

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    if (m->item == NULL) {
        snprintf(m->why, m->size, "%s: %s", m->key, text);

    } else if (m->tag == NULL) {
        snprintf(m->why, m->size, "%s: %s %zu: %s", m->key, m->item,
                 m->number, text);

    } else {
        snprintf(m->why, m->size, "%s: %s %zu \"%.64s\": %s", m->key,
                 m->item, m->number, m->tag, text);
    }

    for (i = 0; m->why[i] != '\0'; i++) {
        if ((unsigned char) m->why[i] < ' ' || m->why[i] == 0x7f) {
            m->why[i] = '?';
        }
    }

    return V2_ERROR;
}


v2_int_t
v2_route_fail_value(v2_route_msg_t *m, const char *key, const json_t *value,
    const char *what)
{
    char      *text;
    v2_int_t   rc;

    text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

    if (text != NULL && strlen(text) > V2_ROUTE_VALUE) {
        memcpy(text + V2_ROUTE_VALUE - 3, "...", 4);
    }

    rc = v2_route_fail(m, "\"%.40s\": %s %s", key,
                       text != NULL ? text : "value", what);
    free(text);

    return rc;
}


json_t *
v2_route_json_get(json_t *object, const char *key)
{
    json_t      *value;
    const char  *name;

    json_object_foreach(object, name, value) {
        if (strcasecmp(name, key) == 0 && !json_is_null(value)) {
            return value;
        }
    }

    return NULL;
}


int
v2_route_json_empty(const json_t *value)
{
    return value == NULL || json_is_null(value)
           || (json_is_string(value) && json_string_length(value) == 0)
           || (json_is_array(value) && json_array_size(value) == 0)
           || (json_is_object(value) && json_object_size(value) == 0);
}


int
v2_route_json_is(const json_t *value, const char *text)
{
    return json_is_string(value)
           && strcasecmp(json_string_value(value), text) == 0;
}


v2_int_t
v2_route_json_list(const json_t *value,
    v2_int_t (*put)(void *owner, const char *part), void *owner)
{
    char        *copy, *part, *end, *rest;
    size_t       i;
    json_t      *item;
    v2_int_t     rc;

    if (json_is_array(value)) {
        json_array_foreach(value, i, item) {
            if (!json_is_string(item) || json_string_length(item) == 0) {
                return V2_DECLINED;
            }

            rc = put(owner, json_string_value(item));

            if (rc != V2_OK) {
                return rc;
            }
        }

        return V2_OK;
    }

    if (!json_is_string(value)) {
        return V2_DECLINED;
    }

    copy = strdup(json_string_value(value));

    if (copy == NULL) {
        return V2_ERROR;
    }

    rest = copy;
    rc = V2_OK;

    while (rc == V2_OK && (part = strsep(&rest, ",")) != NULL) {
        part += strspn(part, " \t");
        end = part + strlen(part);

        while (end > part && (end[-1] == ' ' || end[-1] == '\t')) {
            *--end = '\0';
        }

        rc = *part == '\0' ? V2_DECLINED : put(owner, part);
    }

    free(copy);

    return rc;
}
