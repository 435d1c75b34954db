/* config.json: loading. Runs in the master as root, and in its children on the
 * dump that the master hands to them. The files are the admin's own; nothing
 * here reads a byte that came from a network.
 *
 * v2_conf_text.c makes a tree of the text, v2_conf_walk.c takes values from
 * it by the rows of v2_conf_keys.c, v2_conf_node.c makes nodes; here stand the
 * order of these steps, the cores, -g and the messages.
 *
 * Invariants
 *  1. A configuration is complete or not there: v2_conf_load() returns NULL
 *     when a key of the process or of a core cannot be obeyed.
 *  2. A node that cannot be obeyed is kept with `refused` set, so that the
 *     slots of the others do not move.
 *  3. Each fault is logged once, when it is found; our own dump is read
 *     without a word, since its faults were logged when it was made. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_conf.h"

#include "v2_conf_keys.h"
#include "v2_log.h"

#include <ctype.h>
#include <stdarg.h>
#include <unistd.h>

#define V2_CONF_MESSAGE     512

static v2_conf_t *v2_conf_build(v2_conf_text_t *text, const char *overrides,
    int includes);
static v2_int_t v2_conf_fill(v2_conf_load_t *load, const char *overrides);
static char *v2_conf_folder(const char *file);
static v2_conf_t *v2_conf_create(const char *file);
static void v2_conf_cores(v2_conf_load_t *load);
static void v2_conf_core_other(v2_conf_load_t *load, const json_t *core,
    const v2_conf_at_t *at);
static void v2_conf_core_differs(v2_conf_load_t *load,
    const v2_conf_t *other, const v2_conf_at_t *at);
static void v2_conf_overrides(v2_conf_load_t *load, const char *text);
static void v2_conf_override(v2_conf_load_t *load, char *pair);
static char *v2_conf_trim(char *text);
static void v2_conf_check(v2_conf_load_t *load);
static size_t v2_conf_message(const v2_conf_load_t *load,
    const v2_conf_at_t *at, char *out, size_t size);


v2_conf_t *
v2_conf_load(const char *file, const char *overrides)
{
    char             why[V2_CONF_MESSAGE];
    v2_conf_t       *conf;
    v2_conf_text_t   text;

    if (v2_conf_text_read(&text, file, why, sizeof(why)) != V2_OK) {
        v2_log(V2_LOG_EMERG, NULL, 0, "%s", why);
        v2_conf_text_done(&text);
        return NULL;
    }

    conf = v2_conf_build(&text, overrides, 1);
    v2_conf_text_done(&text);

    return conf;
}


v2_conf_t *
v2_conf_parse(const char *bytes, size_t len, const char *name,
    const char *overrides, int includes)
{
    char             why[V2_CONF_MESSAGE];
    v2_conf_t       *conf;
    v2_conf_text_t   text;

    if (v2_conf_text_init(&text, name, bytes, len, why, sizeof(why))
        != V2_OK)
    {
        v2_log(V2_LOG_EMERG, NULL, 0, "%s", why);
        v2_conf_text_done(&text);
        return NULL;
    }

    conf = v2_conf_build(&text, overrides, includes);
    v2_conf_text_done(&text);

    return conf;
}


void
v2_conf_free(v2_conf_t *conf)
{
    uint32_t  i;

    if (conf == NULL) {
        return;
    }

    for (i = 0; i < conf->nodes_n; i++) {
        v2_conf_node_free(&conf->nodes[i]);
    }

    v2_conf_fields_free(conf, 0);
    v2_conf_marks_free(conf->marks);
    free(conf->nodes);
    free(conf->file);
    free(conf);
}


/* By the rows with V2_CONF_WORKERS, so that no key can be forgotten here. */
int
v2_conf_needs_workers(const v2_conf_t *a, const v2_conf_t *b)
{
    int                   differ;
    char                 *one, *two;
    unsigned              i;
    const v2_conf_row_t  *row;

    for (i = 0, differ = 0; i < v2_conf_rows_n && !differ; i++) {
        row = &v2_conf_rows[i];

        if (!(row->flags & V2_CONF_WORKERS)) {
            continue;
        }

        one = v2_conf_value_json(row, a, NULL, 0);
        two = v2_conf_value_json(row, b, NULL, 0);
        differ = one == NULL || two == NULL || strcmp(one, two) != 0;
        free(one);
        free(two);
    }

    return differ;
}


void
v2_conf_fault(v2_conf_load_t *load, const v2_conf_at_t *at, const char *fmt,
    ...)
{
    char     out[V2_CONF_MESSAGE];
    size_t   n;
    va_list  args;

    n = v2_conf_message(load, at, out, sizeof(out));

    va_start(args, fmt);
    vsnprintf(out + n, sizeof(out) - n, fmt, args);
    va_end(args);

    if (load->node == NULL) {
        v2_log(V2_LOG_EMERG, NULL, 0, "%s", out);
        load->failed = 1;
        return;
    }

    if (!load->quiet) {
        v2_log(V2_LOG_ERR, NULL, 0, "%s; this node does not start", out);
    }

    if (load->node->refused == NULL) {
        load->node->refused = strdup(out);

        if (load->node->refused == NULL) {
            load->failed = 1;
        }
    }
}


void
v2_conf_warn(v2_conf_load_t *load, const v2_conf_at_t *at, const char *fmt,
    ...)
{
    char     out[V2_CONF_MESSAGE];
    size_t   n;
    va_list  args;

    if (load->quiet) {
        return;
    }

    n = v2_conf_message(load, at, out, sizeof(out));

    va_start(args, fmt);
    vsnprintf(out + n, sizeof(out) - n, fmt, args);
    va_end(args);

    v2_log(V2_LOG_WARN, NULL, 0, "%s", out);
}


char *
v2_conf_resolve(const char *dir, const char *path)
{
    char  *out;

    if (path[0] == '/') {
        return strdup(path);
    }

    if (strncmp(path, "./", 2) == 0) {
        path += 2;
    }

    if (asprintf(&out, "%s/%s", strcmp(dir, "/") == 0 ? "" : dir, path)
        == -1)
    {
        return NULL;
    }

    return out;
}


static v2_conf_t *
v2_conf_build(v2_conf_text_t *text, const char *overrides, int includes)
{
    char            *dir;
    v2_int_t         rc;
    v2_conf_load_t   load;

    memset(&load, 0, sizeof(load));

    dir = v2_conf_folder(text->file);
    load.conf = v2_conf_create(text->file);

    if (dir == NULL || load.conf == NULL) {
        v2_log(V2_LOG_EMERG, NULL, 0, "%s: out of memory", text->file);
        v2_conf_free(load.conf);
        free(dir);
        return NULL;
    }

    load.base = load.conf;
    load.marks = load.conf->marks;
    load.text = text;
    load.dir = dir;
    load.includes = includes != 0;

    rc = v2_conf_fill(&load, overrides);
    free(dir);

    if (rc == V2_OK) {
        return load.conf;
    }

    v2_conf_free(load.conf);

    return NULL;
}


/* The order matters: nodes name cores, and -g has the last word at the top. */
static v2_int_t
v2_conf_fill(v2_conf_load_t *load, const char *overrides)
{
    v2_conf_at_t  at;

    at.path = "";
    at.place = 0;

    if (!json_is_object(load->text->root)) {
        v2_log(V2_LOG_EMERG, NULL, 0, "%s:%u: the configuration is not an "
               "object, it must begin with {", load->text->file,
               v2_conf_text_line(load->text, 0));
        return V2_ERROR;
    }

    load->quiet = json_is_true(json_object_get(load->text->root, "Dumped"));

    if (load->text->bom && !load->quiet) {
        v2_log(V2_LOG_WARN, NULL, 0, "%s:1: the byte order mark is ignored, "
               "save the file without it", load->text->file);
    }

    v2_conf_object(load, load->text->root, "", &at);
    v2_conf_cores(load);

    if (overrides != NULL) {
        v2_conf_overrides(load, overrides);
    }

    v2_conf_nodes(load);
    v2_assert(load->node == NULL && load->depth == 0);
    v2_conf_check(load);

    return load->failed ? V2_ERROR : V2_OK;
}


/* The absolute folder of a file. */
static char *
v2_conf_folder(const char *file)
{
    char        *dir, *cwd, *joined;
    const char  *slash;

    slash = strrchr(file, '/');

    if (slash == NULL) {
        cwd = getcwd(NULL, 0);
        return cwd != NULL ? cwd : strdup("/");
    }

    dir = strndup(file, slash == file ? 1 : (size_t) (slash - file));

    if (dir == NULL || dir[0] == '/') {
        return dir;
    }

    cwd = getcwd(NULL, 0);
    joined = v2_conf_resolve(cwd != NULL ? cwd : "/", dir);
    free(cwd);
    free(dir);

    return joined;
}


static v2_conf_t *
v2_conf_create(const char *file)
{
    v2_conf_t  *conf;

    conf = calloc(1, sizeof(v2_conf_t));

    if (conf == NULL) {
        return NULL;
    }

    conf->file = strdup(file);
    conf->marks = v2_conf_marks_create();

    if (conf->file == NULL || conf->marks == NULL
        || v2_conf_defaults(conf, 0) != V2_OK)
    {
        v2_conf_free(conf);
        return NULL;
    }

    return conf;
}


static void
v2_conf_cores(v2_conf_load_t *load)
{
    char           path[32];
    size_t         i;
    json_t        *core;
    v2_conf_at_t   at;

    json_array_foreach(load->cores, i, core) {
        snprintf(path, sizeof(path), "Cores[%zu]", i);
        at.path = path;
        at.place = v2_conf_text_element(load->text, load->cores_place, i);

        if (!json_is_object(core)) {
            v2_conf_fault(load, &at, "is not an object");

        } else if (i == 0) {
            v2_conf_object(load, core, "Cores[]", &at);

        } else {
            v2_conf_core_other(load, core, &at);
        }
    }
}


/* Read like the first one, so that its faults are found, and then only compared
 * with it. */
static void
v2_conf_core_other(v2_conf_load_t *load, const json_t *core,
    const v2_conf_at_t *at)
{
    v2_conf_t       *other;
    v2_conf_load_t   one;

    other = v2_conf_create(load->text->file);

    if (other == NULL) {
        load->failed = 1;
        return;
    }

    one = *load;
    one.conf = other;
    one.base = other;
    one.marks = other->marks;

    v2_conf_object(&one, core, "Cores[]", at);
    load->failed = one.failed;
    v2_conf_core_differs(load, other, at);

    v2_conf_free(other);
}


static void
v2_conf_core_differs(v2_conf_load_t *load, const v2_conf_t *other,
    const v2_conf_at_t *at)
{
    int                   differ;
    char                 *one, *two;
    unsigned              i;
    const v2_conf_row_t  *row;

    for (i = 0; i < v2_conf_rows_n; i++) {
        row = &v2_conf_rows[i];

        if (row->field == V2_CONF_NOFIELD
            || strncmp(row->path, "Cores[].", 8) != 0)
        {
            continue;
        }

        one = v2_conf_value_json(row, load->conf, NULL, 0);
        two = v2_conf_value_json(row, other, NULL, 0);
        differ = one != NULL && two != NULL && strcmp(one, two) != 0;
        free(one);
        free(two);

        if (differ) {
            v2_conf_warn(load, at, "differs from the first core in \"%s\"; "
                         "the settings of the first core hold for all nodes",
                         row->path + 8);
            return;
        }
    }
}


/* "Key=value; Key=value"; a value in quotes may hold a semicolon. */
static void
v2_conf_overrides(v2_conf_load_t *load, const char *text)
{
    char                  *copy, *p, *pair;
    int                    quoted;
    const v2_conf_text_t  *file;

    copy = strdup(text);

    if (copy == NULL) {
        load->failed = 1;
        return;
    }

    file = load->text;
    load->text = NULL;

    for (p = pair = copy, quoted = 0; /* void */ ; p++) {

        if (*p == '"') {
            quoted = !quoted;
        }

        if (*p == '\0' || (*p == ';' && !quoted)) {

            if (*p == '\0') {
                v2_conf_override(load, pair);
                break;
            }

            *p = '\0';
            v2_conf_override(load, pair);
            pair = p + 1;
        }
    }

    load->text = file;
    free(copy);
}


static void
v2_conf_override(v2_conf_load_t *load, char *pair)
{
    char                 *value;
    size_t                len;
    json_t               *json;
    v2_conf_at_t          at;
    const char           *near;
    const v2_conf_row_t  *row;

    pair = v2_conf_trim(pair);

    if (*pair == '\0') {
        return;
    }

    value = strchr(pair, '=');
    at.path = pair;
    at.place = V2_NONE;

    if (value == NULL) {
        v2_conf_fault(load, &at, "has no value, write Key=value");
        return;
    }

    *value++ = '\0';
    pair = v2_conf_trim(pair);
    value = v2_conf_trim(value);
    len = strlen(value);

    if (len >= 2 && value[0] == '"' && value[len - 1] == '"') {
        value[len - 1] = '\0';
        value++;
    }

    row = v2_conf_row_find(pair);

    if (row == NULL || row->def == NULL || strstr(row->path, "[]") != NULL) {
        near = row == NULL ? v2_conf_row_near(pair) : NULL;
        v2_conf_fault(load, &at, "is not a key of the top level%s%s",
                      near != NULL ? ", nearest is " : "",
                      near != NULL ? near : "");
        return;
    }

    json = json_string(value);

    if (json == NULL) {
        v2_conf_fault(load, &at, "has a value that is not UTF-8");
        return;
    }

    v2_conf_apply(load, row, json, &at);
    json_decref(json);
}


static char *
v2_conf_trim(char *text)
{
    size_t  n;

    text += strspn(text, " \t\r\n");
    n = strlen(text);

    while (n > 0 && isspace((unsigned char) text[n - 1])) {
        text[--n] = '\0';
    }

    return text;
}


/* What no single key can tell. */
static void
v2_conf_check(v2_conf_load_t *load)
{
    v2_conf_at_t  at;

    load->node = NULL;
    at.place = V2_NONE;

    if (load->conf->nodes_n == 0 && !load->failed) {
        at.path = "Nodes";
        v2_conf_fault(load, &at, "is empty; add one object with ApiHost, "
                      "ApiKey and NodeID for each node");
    }
}


/* The beginning of each message: "KEY" in FILE:LINE. */
static size_t
v2_conf_message(const v2_conf_load_t *load, const v2_conf_at_t *at, char *out,
    size_t size)
{
    int       n;
    unsigned  line;

    if (load->text == NULL) {
        n = snprintf(out, size, "\"%s\" of option -g ", at->path);

    } else {
        line = v2_conf_text_line(load->text, at->place);
        n = line == 0
            ? snprintf(out, size, "\"%s\" in %s ", at->path, load->text->file)
            : snprintf(out, size, "\"%s\" in %s:%u ", at->path,
                       load->text->file, line);
    }

    return v2_min((size_t) n, size - 1);
}
