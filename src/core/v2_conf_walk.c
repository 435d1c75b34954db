/* From the members of a JSON object to rows of the table, and from a row to
 * its field: what is common to the top level, cores and nodes.
 *
 * A member is found by its path without regard to case, or by an alias. The
 * path that the table knows ("Nodes[].Timeout") and the one that a message
 * shows ("Nodes[2].Options.Timeout") run side by side.
 *
 * Invariants
 *  1. Objects whose members belong to the object around them (Options) are
 *     read before the other members, so that these win.
 *  2. null is "not set", everywhere. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_conf_keys.h"

#include "v2_log.h"

#define V2_WALK_PATH        192         /* longer paths are not known */
#define V2_WALK_SHOWN       80          /* bytes of a value in a message */
#define V2_WALK_DEPTH       16          /* of objects within each other */

static void v2_walk_members(v2_conf_load_t *load, const json_t *object,
    const char *path, const v2_conf_at_t *at, int flat);
static const v2_conf_row_t *v2_walk_row(const char *path, const char *key);
static void v2_walk_member(v2_conf_load_t *load, const v2_conf_row_t *row,
    const json_t *json, const v2_conf_at_t *at);
static void v2_walk_array(v2_conf_load_t *load, const v2_conf_row_t *row,
    const json_t *json, const v2_conf_at_t *at);
static void v2_walk_group(v2_conf_load_t *load, const json_t *json,
    const char *path, const v2_conf_at_t *at);
static void v2_walk_list(v2_conf_load_t *load, const v2_conf_row_t *row,
    const json_t *json, const v2_conf_at_t *at);
static void v2_walk_unknown(v2_conf_load_t *load, const char *path,
    const v2_conf_at_t *at);
static int v2_walk_twice(const json_t *object, const char *key);
static void v2_apply_store(v2_conf_load_t *load, const v2_conf_row_t *row,
    v2_conf_value_t *v, const v2_conf_at_t *at);
static v2_int_t v2_apply_path(const v2_conf_load_t *load,
    const v2_conf_row_t *row, v2_conf_value_t *v);
static char *v2_apply_shown(const v2_conf_row_t *row, const json_t *json,
    char *out);


v2_conf_mark_t *
v2_conf_marks_create(void)
{
    return calloc(v2_conf_rows_n, sizeof(v2_conf_mark_t));
}


void
v2_conf_marks_free(v2_conf_mark_t *marks)
{
    unsigned  i;

    for (i = 0; marks != NULL && i < v2_conf_rows_n; i++) {

        if (marks[i].json != NULL) {
            explicit_bzero(marks[i].json, strlen(marks[i].json));
        }

        free(marks[i].json);
        free(marks[i].origin);
    }

    free(marks);
}


void
v2_conf_object(v2_conf_load_t *load, const json_t *object, const char *path,
    const v2_conf_at_t *at)
{
    if (load->depth == V2_WALK_DEPTH) {
        v2_conf_fault(load, at, "is nested too deeply");
        return;
    }

    load->depth++;
    v2_walk_members(load, object, path, at, 1);
    v2_walk_members(load, object, path, at, 0);
    load->depth--;
    v2_assert(load->depth < V2_WALK_DEPTH);
}


/* A value at its default is never refused, whatever the key: files made by
 * other programs spell all of theirs out. */
void
v2_conf_apply(v2_conf_load_t *load, const v2_conf_row_t *row,
    const json_t *json, const v2_conf_at_t *at)
{
    char              why[320], shown[V2_WALK_SHOWN + 4];
    v2_int_t          rc;
    v2_conf_value_t   v;

    if (json_is_null(json)) {
        return;
    }

    rc = v2_conf_value_read(row, json, &v, why, sizeof(why));
    (void) v2_apply_shown(row, json, shown);

    if (rc == V2_ERROR) {
        v2_conf_fault(load, at, "is %s, %s", shown, why);
        v2_conf_value_done(&v);
        return;
    }

    if (rc == V2_DECLINED) {
        v2_conf_fault(load, at, "is %s, which is not built yet; %s", shown,
                      why);

    } else if (!v2_conf_value_is_default(row, &v)) {

        if (row->flags & V2_CONF_LATER) {
            v2_conf_fault(load, at, "is %s, which is not built yet; remove "
                          "it or set it to %s", shown,
                          row->def[0] == '\0' ? "\"\"" : row->def);
        }

        if (row->flags & V2_CONF_DEAD) {
            v2_conf_warn(load, at, "has no effect here");
        }
    }

    /* A place in a list that no enum of ours knows is not stored. */
    if (rc == V2_OK || v.s != NULL) {
        v2_apply_store(load, row, &v, at);
    }

    v2_conf_value_done(&v);
}


static void
v2_walk_members(v2_conf_load_t *load, const json_t *object, const char *path,
    const v2_conf_at_t *at, int flat)
{
    int                   twice;
    char                  known[V2_WALK_PATH], shown[V2_WALK_PATH];
    json_t               *value;
    const char           *key;
    v2_conf_at_t          one;
    const v2_conf_row_t  *row;

    json_object_foreach((json_t *) (uintptr_t) object, key, value) {
        snprintf(known, sizeof(known), "%s%s%s", path,
                 path[0] == '\0' ? "" : ".", key);
        snprintf(shown, sizeof(shown), "%s%s%s", at->path,
                 at->path[0] == '\0' ? "" : ".", key);

        row = v2_walk_row(known, key);

        if (row != NULL && (row->flags & V2_CONF_HIDDEN)) {

            if (load->quiet) {          /* ours, and read already */
                continue;
            }

            row = NULL;
        }

        if ((row != NULL && row->type == V2_CONF_FLAT) != flat) {
            continue;
        }

        one.path = shown;
        one.place = v2_conf_text_member(load->text, at->place, key, &twice);

        if (row == NULL) {
            v2_walk_unknown(load, known, &one);
            continue;
        }

        if (twice || v2_walk_twice(object, key)) {
            v2_conf_warn(load, &one, "is there more than once in its object, "
                         "the last one holds");
        }

        v2_walk_member(load, row, value, &one);
    }
}


/* A key that is itself written as a path could name a row of another scope,
 * whose field is in another struct. */
static const v2_conf_row_t *
v2_walk_row(const char *path, const char *key)
{
    return strpbrk(key, ".[]") != NULL ? NULL : v2_conf_row_find(path);
}


static void
v2_walk_member(v2_conf_load_t *load, const v2_conf_row_t *row,
    const json_t *json, const v2_conf_at_t *at)
{
    switch (row->type) {

    case V2_CONF_ARRAY:
        v2_walk_array(load, row, json, at);
        return;

    case V2_CONF_FLAT:
        v2_walk_group(load, json, "Nodes[]", at);
        return;

    case V2_CONF_GROUP:
        v2_walk_group(load, json, row->path, at);
        return;

    case V2_CONF_LIST:
        v2_walk_list(load, row, json, at);
        return;

    case V2_CONF_INCLUDE:

        if (load->included) {
            v2_conf_fault(load, at, "stands in an included file, which "
                          "cannot include another");
        }

        return;

    default:
        v2_conf_apply(load, row, json, at);
    }
}


/* Cores and Nodes are read later, in this order. */
static void
v2_walk_array(v2_conf_load_t *load, const v2_conf_row_t *row,
    const json_t *json, const v2_conf_at_t *at)
{
    json_t  *array;

    array = (json_t *) (uintptr_t) json;

    if (json_is_null(array)) {
        return;
    }

    if (!json_is_array(array)) {
        v2_conf_fault(load, at, "is not an array, allowed: [{...}, {...}]");
        return;
    }

    if (strcmp(row->path, "Cores") == 0) {
        load->cores = array;
        load->cores_place = at->place;

    } else {
        load->nodes = array;
        load->nodes_place = at->place;
    }
}


/* PHP writes an empty object as []. */
static void
v2_walk_group(v2_conf_load_t *load, const json_t *json, const char *path,
    const v2_conf_at_t *at)
{
    if (json_is_object(json)) {
        v2_conf_object(load, json, path, at);
        return;
    }

    if (!json_is_null(json) && json_array_size(json) == 0
        && !json_is_array(json))
    {
        v2_conf_fault(load, at, "is not an object, allowed: {...}");

    } else if (json_array_size(json) > 0) {
        v2_conf_fault(load, at, "is an array, allowed: {...}");
    }
}


/* The array is kept whole; its elements are only looked through for faults. */
static void
v2_walk_list(v2_conf_load_t *load, const v2_conf_row_t *row,
    const json_t *json, const v2_conf_at_t *at)
{
    char           shown[V2_WALK_PATH], path[V2_WALK_PATH];
    size_t         i;
    json_t        *item;
    v2_conf_at_t   one;

    v2_conf_apply(load, row, json, at);

    snprintf(path, sizeof(path), "%s[]", row->path);

    json_array_foreach((json_t *) (uintptr_t) json, i, item) {
        snprintf(shown, sizeof(shown), "%s[%zu]", at->path, i);
        one.path = shown;
        one.place = v2_conf_text_element(load->text, at->place, i);

        v2_walk_group(load, item, path, &one);
    }
}


/* Never a reason not to start: an older v2sp must read a newer file. */
static void
v2_walk_unknown(v2_conf_load_t *load, const char *path,
    const v2_conf_at_t *at)
{
    const char  *near;

    near = v2_conf_row_near(path);

    if (near == NULL) {
        v2_conf_warn(load, at, "is not known, and is ignored");
        return;
    }

    v2_conf_warn(load, at, "is not known, and is ignored; nearest is \"%s\"",
                 near);
}


/* Does another member of the same name, in other letters, stand before it? */
static int
v2_walk_twice(const json_t *object, const char *key)
{
    json_t      *value;
    const char  *other;

    json_object_foreach((json_t *) (uintptr_t) object, other, value) {

        if (strcmp(other, key) == 0) {
            return 0;
        }

        if (strcasecmp(other, key) == 0) {
            return 1;
        }
    }

    return 0;
}


static void
v2_apply_store(v2_conf_load_t *load, const v2_conf_row_t *row,
    v2_conf_value_t *v, const v2_conf_at_t *at)
{
    char            *origin;
    int              n;
    v2_conf_mark_t  *mark;

    v2_assert(v2_conf_row_is_node(row) == (load->node != NULL));

    mark = &load->marks[row - v2_conf_rows];

    n = load->text == NULL ? asprintf(&origin, "-g")
        : asprintf(&origin, "%s:%u", load->text->file,
                   v2_conf_text_line(load->text, at->place));

    if (n == -1) {
        load->failed = 1;
        return;
    }

    free(mark->origin);
    mark->origin = origin;

    if (v2_apply_path(load, row, v) != V2_OK
        || v2_conf_value_store(row, load->base, mark, v) != V2_OK)
    {
        load->failed = 1;
    }
}


/* A name of a file is kept absolute: the master changes to "/" later, and the
 * dump is read by processes that stand elsewhere. */
static v2_int_t
v2_apply_path(const v2_conf_load_t *load, const v2_conf_row_t *row,
    v2_conf_value_t *v)
{
    char  *path;

    if (row->type != V2_CONF_FILE || v->s[0] == '\0'
        || ((row->flags & V2_CONF_NONE) && strcasecmp(v->s, "none") == 0))
    {
        return V2_OK;
    }

    path = v2_conf_resolve(load->dir, v->s);

    if (path == NULL) {
        return V2_ERROR;
    }

    free(v->s);
    v->s = path;

    return V2_OK;
}


/* A value for a message: JSON in ASCII, cut off, secrets not at all. */
static char *
v2_apply_shown(const v2_conf_row_t *row, const json_t *json, char *out)
{
    char  *text;

    if (row->flags & V2_CONF_SECRET) {
        return strcpy(out, "***");
    }

    text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY
                            | JSON_ENSURE_ASCII);

    snprintf(out, V2_WALK_SHOWN + 4, "%.*s%s", V2_WALK_SHOWN,
             text == NULL ? "?" : text,
             text != NULL && strlen(text) > V2_WALK_SHOWN ? "..." : "");
    free(text);

    return out;
}
